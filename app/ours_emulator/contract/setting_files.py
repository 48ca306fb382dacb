"""Reads the files that settings name, such as the one of --experiments."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from ours_emulator.errors import SettingsError, file_problem
from ours_emulator.wording import cut, plain

T = TypeVar("T")


def read_setting_file(file: Path, what: str, form: str, parse: Callable[[str], Any], validate: Callable[[Any], T]) -> T:
    """Return what is in *file*: its text *parsed*, which is of that *form*, and *validated*. Raises SettingsError.

    *what* is in the file, for the error if it cannot be read.
    """
    try:
        return validate(parse(file.read_text("utf-8-sig")))
    except OSError as error:
        raise SettingsError(f"{what} {file_problem(Path.cwd() / file, 'read', error)}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]")
        raise SettingsError(f"{file}: {f'{cut(place)}: ' if place else ''}{plain(first)}") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{file} is not valid {form}: {error}") from None

"""Reads the files that settings name, such as the one of --experiments."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from ours_emulator.errors import NotUtf8Error, SettingsError, file_problem, file_text
from ours_emulator.wording import cut, plain

T = TypeVar("T")


class NoParserError(ValueError):
    """What reads a form is not installed; the message says what to install."""


def read_setting_file(file: Path, what: str, form: str, parse: Callable[[str], Any], validate: Callable[[Any], T]) -> T:
    """Return what is in *file*: its text *parsed*, which is of that *form*, and *validated*. Raises SettingsError.

    *what* is in the file, for the error if it cannot be read.
    """
    try:
        return validate(parse(file_text(file)))
    except OSError as error:
        raise SettingsError(f"{what} {file_problem(Path.cwd() / file, 'read', error)}") from None
    except NotUtf8Error as error:
        raise SettingsError(str(error)) from None
    except NoParserError as error:
        raise SettingsError(f"{file}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]")
        raise SettingsError(f"{file}: {f'{cut(place)}: ' if place else ''}{plain(first)}") from None
    except RecursionError:
        raise SettingsError(f"{file} is not valid {form}: nested too deep") from None
    except ValueError as error:
        raise SettingsError(f"{file} is not valid {form}: {error}") from None

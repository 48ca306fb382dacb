"""A flag for every setting, for the commands that run an emulator."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic.fields import FieldInfo

from ours_emulator.settings import ENV_PREFIX, Loaded, Settings, SettingsError, flag, load

F = TypeVar("F", bound=Callable[..., Any])


def setting_flags(**defaults: object) -> Callable[[F], F]:
    """Give a command --config and a flag for every setting, with *defaults* of the command's own."""

    def with_flags(command: F) -> F:
        for name, field in reversed(Settings.model_fields.items()):
            command = _flag(name, field, defaults.get(name, field.default))(command)
        path = click.Path(path_type=Path)
        return click.option("--config", type=path, envvar=ENV_PREFIX + "CONFIG", help="TOML file of settings.")(command)

    return with_flags


def loaded(flags: Mapping[str, object], config: Path | None, **defaults: object) -> Loaded:
    """Return the settings of *flags*, environment and *config*. *defaults* are used where no flag is given."""
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return load({**defaults, **given}, config)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def _flag(name: str, field: FieldInfo, default: object) -> Callable[[F], F]:
    spelled = f"{flag(name)}/--no-{flag(name)[2:]}" if field.annotation is bool else flag(name)
    shown = "" if default in (None, ()) else f" [default: {_text(default)}]"
    return click.option(spelled, name, default=None, help=f"{field.description}{shown}")


def _text(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)

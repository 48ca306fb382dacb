"""The command line: `ours-emulator serve`, with a flag for every setting."""

import gc
import logging
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from pydantic.fields import FieldInfo

from ours_emulator import __version__
from ours_emulator.cli.commands import looking_in
from ours_emulator.clock import iso
from ours_emulator.http.sockets import listen
from ours_emulator.locator import announce, url_of, withdraw
from ours_emulator.settings import ENV_PREFIX, Loaded, Settings, SettingsError, flag, load

FAILED = 2
_OF_EXEC: Mapping[str, object] = {"port": 0, "log_format": "none"}
"""What `exec` has for settings that no flag says, in place of environment, file and default."""
F = TypeVar("F", bound=Callable[..., Any])


def main() -> None:
    """Run the command line. Anything that can't be done is one line on standard error, and exit code 2."""
    try:
        commands.main(standalone_mode=False, prog_name="ours-emulator")
    except click.ClickException as error:
        _fail(error.format_message())
    except click.Abort:
        sys.exit(130)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Emulate the Ours Privacy Ingest API and Client API on this machine."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _flags(**defaults: object) -> Callable[[F], F]:
    """Give a command a flag for every setting: what Settings has, with *defaults* of the command's own."""

    def given(command: F) -> F:
        for name, field in reversed(Settings.model_fields.items()):
            command = _flag(name, field, defaults.get(name, field.default))(command)
        return command

    return given


def _flag(name: str, field: FieldInfo, default: object) -> Callable[[F], F]:
    spelled = f"{flag(name)}/--no-{flag(name)[2:]}" if field.annotation is bool else flag(name)
    known = default if default not in (None, ()) else None
    shown = "" if known is None else f" [default: {str(known).lower() if isinstance(known, bool) else known}]"
    return click.option(spelled, name, default=None, help=f"{field.description}{shown}")


@commands.command()
@click.option("--config", type=click.Path(path_type=Path), envvar=ENV_PREFIX + "CONFIG", help="TOML file of settings.")
@_flags()
def serve(config: Path | None, **flags: object) -> None:
    """Run the emulator until it is stopped.

    Every flag is also an environment variable (OURS_EMULATOR_PORT for --port) and a line in the TOML file of --config
    (port = 4010); a flag wins over the environment, and that over the file. Lists are separated by commas.
    """
    try:
        loaded = load({name: value for name, value in flags.items() if value is not None}, config)
    except SettingsError as error:
        _fail(str(error))
    listening = _listen(loaded.settings.host, loaded.settings.port)
    _serve(loaded, listening)


@commands.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--config", type=click.Path(path_type=Path), envvar=ENV_PREFIX + "CONFIG", help="TOML file of settings.")
@_flags(**_OF_EXEC)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(command: Sequence[str], config: Path | None, **flags: object) -> None:
    """Run COMMAND against an emulator of its own, on a free port, and return its exit code.

    The command finds it by OURS_PRIVACY_BASE_URL, which the vendor's SDKs read, and OURS_EMULATOR_URL. When it has
    ended, standard error tells what arrived.
    """
    from ours_emulator.cli.exec import run
    from ours_emulator.store.sqlite.file import StoreError

    said = {name: value for name, value in flags.items() if value is not None}
    try:
        loaded = load({**_OF_EXEC, **said}, config)
    except SettingsError as error:
        _fail(str(error))
    try:
        code = run(command, loaded, _tell_port)
    except (StoreError, SettingsError) as error:
        _fail(str(error))
    except (OSError, UnicodeError) as error:
        _cant_listen(loaded.settings.host, loaded.settings.port, error)
    sys.exit(code)


for _command in looking_in:
    commands.add_command(_command)


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket bound before anything else happens, so that a taken port is told at once."""
    try:
        return listen(host, port)
    except (OSError, UnicodeError) as error:
        _cant_listen(host, port, error)


def _cant_listen(host: str, port: int, error: Exception) -> NoReturn:
    _fail(f"can't listen on {host}:{port}: {getattr(error, 'strerror', None) or error}")


def _serve(loaded: Loaded, listening: socket.socket) -> None:
    # Imported here: the other commands, and --help, need none of it.
    from ours_emulator.app import create_standalone
    from ours_emulator.http.server import Server, allow_many_connections
    from ours_emulator.store.sqlite.file import StoreError

    announced: list[Path] = []

    def started() -> None:
        announced.extend(announce(url_of(loaded.settings.host, port)))
        sys.stdout.write(_banner(loaded, port))
        sys.stdout.flush()
        app.prepare()

    def stopping() -> None:
        for file in announced:
            withdraw(file)
        app.stop()

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        app = create_standalone(loaded)
    except (StoreError, SettingsError) as error:
        _fail(str(error))
    port: int = listening.getsockname()[1]
    _tell_port(loaded, port)
    _calm_garbage_collection()
    allow_many_connections()
    with suppress(KeyboardInterrupt):
        Server(app, started, stopping).run(sockets=[listening])


def _calm_garbage_collection() -> None:
    """Leave what was imported out of collections, and collect less often: a tenth of the time of a full batch."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _banner(loaded: Loaded, port: int) -> str:
    settings = loaded.settings
    url = url_of(settings.host, port)
    now = settings.now
    stopped = "" if now is None else f"Clock: stopped at {iso(now)} (--now)\n"
    kept = f"kept in {settings.database}" if settings.database else "nothing is kept after the process (--database)"
    return f"""\
ours-emulator {__version__}: the Ours Privacy Ingest API and Client API on {url}

  POST {url}/api/v1/track       one event
  POST {url}/api/v1/identify    a visitor
  POST {url}/api/v1/batch       up to 1000 events
  GET  {url}/api/v1/openapi     the vendor's document
  POST {url}/api/client/events  the Client API; and alias, identify, devices
  GET  {url}/debug              what arrived, and what became of it

Store: {kept}
{stopped}Point your app at it:

  export OURS_PRIVACY_BASE_URL={url}/api/v1

Ready.
"""


def _tell_port(loaded: Loaded, port: int) -> None:
    """Write the port file, if there is to be one; it appears whole: whoever waits for it never reads half of it."""
    path = loaded.settings.port_file
    if path is None:
        return
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(f"{port}\n")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        _fail(f"{path} can't be written: {error.strerror}")


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"ours-emulator: {' '.join(message.split())}\n")
    sys.exit(FAILED)

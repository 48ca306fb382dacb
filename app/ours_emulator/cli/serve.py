"""`ours-emulator serve`: an emulator until it is stopped."""

import socket
from contextlib import suppress
from pathlib import Path

import click

from ours_emulator import __version__
from ours_emulator.cli.flags import loaded, setting_flags
from ours_emulator.cli.ports import write_port_file
from ours_emulator.database_url import without_password
from ours_emulator.errors import ListenError
from ours_emulator.http.sockets import listen
from ours_emulator.locator import Announced, announce, url_of
from ours_emulator.model import Properties
from ours_emulator.records import iso, utc
from ours_emulator.settings import Loaded, Settings, SettingsError


@click.command()
@setting_flags()
def serve(config: Path | None, **flags: object) -> None:
    """Run the emulator until it is stopped.

    Every flag is also an environment variable (OURS_EMULATOR_PORT for --port) and a line in the TOML file of --config
    (port = 4010); a flag wins over the environment, and that over the file. Lists are separated by commas.
    """
    settings = loaded(flags, config)
    try:
        # Bound before anything else happens, so that a taken port is reported at once.
        listening = listen(settings.settings.host, settings.settings.port)
    except ListenError as error:
        raise click.ClickException(str(error)) from None
    _serve(settings, listening)


@click.command(hidden=True)
def child_process() -> None:
    """Run the emulator of a test run, which starts this command and says on standard input with what settings."""
    # Imported here because the other commands, and --help, need none of it.
    from ours_emulator.child_process import main

    main()


def _serve(loaded: Loaded, listening: socket.socket) -> None:
    # Imported here because the other commands, and --help, need none of it.
    from ours_emulator.app import create_standalone
    from ours_emulator.http.server import prepare_process, standalone_server
    from ours_emulator.store import StoreError

    announced: list[Announced] = []
    port: int = listening.getsockname()[1]

    def started() -> None:
        announced.extend(announce(url_of(loaded.settings.host, port)))
        message, addresses = _addresses(loaded.settings, port)
        app.log.ready(_banner(loaded.settings, port), message, addresses)

    def stopping() -> None:
        for announcement in announced:
            announcement.withdraw()
        app.stop()

    warnings = prepare_process()
    try:
        app = create_standalone(loaded)
    except (StoreError, SettingsError) as error:
        raise click.ClickException(str(error)) from None
    write_port_file(loaded.settings, port)
    with suppress(KeyboardInterrupt):
        standalone_server(app, warnings, started, stopping).run(sockets=[listening])


def _addresses(settings: Settings, port: int) -> tuple[str, Properties]:
    """Return what the banner says to programs: a message, and fields with the addresses."""
    url = url_of(settings.host, port)
    return f"ours-emulator {__version__} is ready at {url}", {
        "version": __version__,
        "url": url,
        "ingest_url": f"{url}/api/v1",
        "client_url": f"{url}/api/client",
        "database": settings.database and without_password(settings.database),
        "now": None if settings.now is None else iso(utc(settings.now)),
    }


def _banner(settings: Settings, port: int) -> str:
    url = url_of(settings.host, port)
    clock = "" if settings.now is None else f"Clock: stopped at {iso(utc(settings.now))} (--now)\n"
    store = (
        f"kept in {without_password(settings.database)}"
        if settings.database
        else "temporary, deleted when the process ends (--database FILE keeps it)"
    )
    return f"""\
ours-emulator {__version__}: the Ours Privacy Ingest API and Client API on {url}

  POST {url}/api/v1/track       one event
  POST {url}/api/v1/identify    a visitor
  POST {url}/api/v1/batch       up to 1000 events
  GET  {url}/api/v1/openapi     the vendor's document
  POST {url}/api/client/events  the Client API; and alias, identify, devices
  GET  {url}/debug              what arrived, and what became of it
  GET  {url}/                   the same in a browser

Store: {store}
{clock}Point your app at it:

  export OURS_PRIVACY_BASE_URL={url}/api/v1

Ready."""

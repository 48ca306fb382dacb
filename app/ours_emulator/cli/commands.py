"""The commands that look into a running emulator, or change it: over the debug API, as any other client."""

import json
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from ours_emulator.locator import places, url_of
from ours_emulator.model import ACCOUNT_NAME, DEFAULT_ACCOUNT
from ours_emulator.records import sentence
from ours_emulator.settings import ENV_PREFIX, SettingsError, load
from ours_emulator.terminal import columns

if TYPE_CHECKING:
    import httpx

NO = 1
_PAGE = 1000
_PART = 64 * 1024
_SECONDS = 30
_POLL_SECONDS = 0.1
_ADMIN_TOKEN = ENV_PREFIX + "ADMIN_TOKEN"
_LOCKED = f"For an emulator with an admin token, set {_ADMIN_TOKEN} to it."
F = TypeVar("F", bound=Callable[..., Any])
Item: TypeAlias = Mapping[str, Any]


class Debug:
    """The debug API of one emulator. Anything it refuses, or that keeps it from answering, is a ClickException."""

    def __init__(self, url: str, account: str | None) -> None:
        import httpx

        from ours_emulator.emulator.handle import Handle

        try:
            named = Handle(url)
        except ValueError as error:
            raise click.ClickException(str(error)) from None
        if account and named.account not in (None, account):
            raise click.ClickException(f"{url} names account {named.account}, and --account another")
        self.account = account or named.account
        self.url = named.server_url + (f"/accounts/{self.account}" if self.account else "")
        headers = {"authorization": f"Bearer {named.admin_token}"} if named.admin_token else {}
        self._http = httpx.Client(base_url=f"{self.url}/debug/", headers=headers, timeout=_SECONDS, trust_env=False)

    def call(self, method: str, path: str, **more: Any) -> "httpx.Response":
        """Return the answer, which is a 2xx."""
        with self._failures():
            return self._checked(self._http.request(method, path, **more))

    @contextmanager
    def opened(self, path: str, **more: Any) -> "Generator[httpx.Response]":
        """Give the answer as it arrives, however long that takes."""
        with self._failures(), self._http.stream("GET", path, **more) as response:
            if response.is_error:
                response.read()
            yield self._checked(response)

    def items(self, path: str, params: Mapping[str, str], most: int) -> Iterable[Item]:
        """Yield the first *most* items of a list, page by page."""
        asked: dict[str, Any] = dict(params)
        while most > 0:
            page = self.call("GET", path, params={**asked, "limit": min(most, _PAGE)}).json()
            yield from page["items"]
            most -= len(page["items"])
            asked["cursor"] = page["next_cursor"]
            if asked["cursor"] is None:
                return

    def _checked(self, response: "httpx.Response") -> "httpx.Response":
        if response.is_error:
            raise click.ClickException(f"{self.url} answered {response.status_code}: {_refusal(response)}")
        return response

    @contextmanager
    def _failures(self) -> Generator[None]:
        import httpx

        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise click.ClickException(f"{self.url} does not answer: {error or type(error).__name__}") from None


def _refusal(response: "httpx.Response") -> str:
    """Return what an emulator says against a call, and how it is let in."""
    try:
        said = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return "not an emulator?"
    return f"{said}; set {_ADMIN_TOKEN} to it" if response.status_code == HTTPStatus.UNAUTHORIZED else f"{said}"


def _where(command: F) -> F:
    """Give *command* the option that says which emulator is meant."""
    said = f"Where the emulator is. [default: {ENV_PREFIX}URL, or else the one that runs here]"
    return click.option("--url", envvar=ENV_PREFIX + "URL", help=said)(command)


def _debug(account: str = "Only this account. [default: all of them]") -> Callable[[F], F]:
    """Give a command the options that say which emulator is meant and which account; *account* is the help on that."""

    def given(command: F) -> F:
        return _where(click.option("--account", help=account, callback=_account_name)(command))

    return given


def _account_name(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    """Return *name* if an account can have it: what is none would be looked for elsewhere."""
    if name is not None and ACCOUNT_NAME.fullmatch(name) is None:
        raise click.ClickException(f"--account {name}: no name of an account (letters, digits, dot, dash, underscore)")
    return name


def _lines(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="A JSON object a line, as the debug API has it.")(
        command
    )


@click.command(epilog=_LOCKED)
@_debug()
@_lines
@click.option("--user-id")
@click.option("--external-id")
@click.option("--email")
@click.option("--anonymous-id")
@click.option("--q", help="Text anywhere in a visitor's id or properties.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1))
def visitors(url: str | None, account: str | None, as_json: bool, limit: int, **filters: str | None) -> None:
    """List visitors, the youngest first."""
    found = Debug(_found(url), account).items("visitors", _given(filters), limit)
    heads = ("ACCOUNT", "VISITOR", "EXTERNAL ID", "EMAIL", "ANONYMOUS ID", "EVENTS", "LAST SEEN")
    _show(found, as_json, account, heads, _visitor)


@click.command(epilog=_LOCKED)
@_debug()
@_lines
@click.option("--event", help="Its name.")
@click.option("--visitor-id")
@click.option("--distinct-id")
@click.option("--endpoint", help="track, identify, batch, client/events, …")
@click.option("--outcome", help="accepted, duplicate, dropped, rejected or any. [default: accepted]")
@click.option("--test", type=click.Choice(["true", "false"]))
@click.option("--since", help="Received at this moment or later: ISO 8601, or milliseconds since the epoch.")
@click.option("--property", "properties", multiple=True, metavar="NAME=VALUE", help="May be given several times.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1))
def events(
    url: str | None,
    account: str | None,
    as_json: bool,
    limit: int,
    properties: Sequence[str],
    **filters: str | None,
) -> None:
    """List events, the latest by time first."""
    asked = _given(filters)
    for said in properties:
        name, equals, value = said.partition("=")
        if not name or not equals:
            raise click.ClickException(f"--property {said}: say NAME=VALUE")
        asked[f"property.{name}"] = value
    found = Debug(_found(url), account).items("events", asked, limit)
    heads = ("ACCOUNT", "ID", "TIME", "OUTCOME", "ENDPOINT", "EVENT", "VISITOR", "WHY")
    _show(found, as_json, account, heads, _event)


@click.command(epilog=_LOCKED)
@_debug()
@_lines
@click.option("--event", help="Only events of this name.")
@click.option("--outcome", help="accepted, duplicate, dropped or rejected. [default: any]")
def tail(url: str | None, account: str | None, as_json: bool, **filters: str | None) -> None:
    """Show what arrives, as it arrives, until interrupted. It comes back by itself when the emulator does."""
    debug = Debug(_found(url), account)
    last = ""
    told = connected = False
    while True:
        try:
            with debug.opened(
                "stream", params=_given(filters), headers={"last-event-id": last}, timeout=60
            ) as response:
                told, connected = False, True
                for id_, kind, data in _sent(response.iter_lines()):
                    last = id_ or last
                    _print(_told(kind, data, as_json))
        except click.ClickException as error:
            if not connected:
                raise
            if not told:
                click.echo(f"ours-emulator: {error.format_message()}; trying again", err=True)
                told = True
        time.sleep(1)


@click.command(epilog=_LOCKED)
@_debug("Forget this account. [default: default]")
@click.option("--all", "all_", is_flag=True, help="Forget all accounts.")
def reset(url: str | None, account: str | None, all_: bool) -> None:
    """Forget visitors, events and requests: of the account `default`, of --account, or of --all."""
    if all_ and account:
        raise click.ClickException("say --account or --all, not both")
    debug = Debug(_found(url), account)
    name = debug.account or DEFAULT_ACCOUNT
    cleared = debug.call("POST", "reset", json={"all": True} if all_ else {"account": name}).json()
    counts = ", ".join(f"{cleared[kind]} {kind}" for kind in ("visitors", "receipts", "requests"))
    click.echo(f"forgot {counts} of {'all accounts' if all_ else 'account ' + name}")


@click.command(epilog=_LOCKED)
@_debug()
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="File to write. [default: standard output]"
)
@click.option("--redact", is_flag=True, help="Without tokens and keys.")
def export(url: str | None, account: str | None, output: Path | None, redact: bool) -> None:
    """Write the journal as JSON Lines, one request each, the oldest first."""
    debug = Debug(_found(url), account)
    with debug.opened("export", params={"redact": str(redact).lower()}, timeout=None) as response:
        with _writing(output) as file:
            for part in response.iter_bytes():
                file.write(part)
        evicted = int(response.headers["x-emulator-evicted"])
    if evicted:
        click.echo(f"ours-emulator: {evicted} older requests were evicted and are not in it (--keep)", err=True)


@click.command("import", epilog=_LOCKED)
@_debug("Replay everything into this account. [default: each request into its own]")
@click.argument("file", type=click.File("rb"))
def import_(url: str | None, account: str | None, file: IO[bytes]) -> None:
    """Replay the requests of FILE (- is standard input) in order, each at the moment it was received."""
    debug = Debug(_found(url), account)
    headers = {"content-type": "application/jsonl"}
    parts = iter(lambda: file.read(_PART), b"")
    done = debug.call("POST", "import", content=parts, headers=headers, timeout=None).json()
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(done["outcomes"].items()))
    click.echo(f"imported {done['imported']} requests" + (f": {counts}" if counts else ""))
    for it in done["differing"]:
        click.echo(f"line {it['line']}: was answered {it['recorded'] or 'nothing'}, is now {it['now'] or 'nothing'}")


@click.command("wait-ready")
@_where
@click.option("--timeout", default=30.0, show_default=True, help="Seconds.")
def wait_ready(url: str | None, timeout: float) -> None:
    """Wait until the emulator answers. Exit code 1 if it does not in time."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            debug = Debug(_found(url), None)
            debug.call("GET", "health", timeout=max(deadline - time.monotonic(), _POLL_SECONDS))
        except click.ClickException as error:
            if time.monotonic() + _POLL_SECONDS > deadline:
                _no(error.format_message())
            time.sleep(_POLL_SECONDS)
        else:
            click.echo(f"{debug.url} is ready")
            return


@click.command()
@_where
@click.option("--timeout", default=3.0, show_default=True, help="Seconds.")
def healthcheck(url: str | None, timeout: float) -> None:
    """Ask the emulator once whether it is well. Exit code 1 if it is not."""
    try:
        Debug(_found(url), None).call("GET", "health", timeout=timeout)
    except click.ClickException as error:
        _no(error.format_message())


looking_in: Sequence[click.Command] = (visitors, events, tail, reset, export, import_, wait_ready, healthcheck)


def _found(url: str | None) -> str:
    """Return where the emulator is: as said, or the one of this user that runs, or where `serve` would listen."""
    if url:
        return url if "://" in url else f"http://{url}"
    running = places()
    if len(running) > 1:
        known = ", ".join(place.url for place in running)
        raise click.ClickException(f"several emulators run here: {known}; say which with --url")
    if running:
        return running[0].url
    try:
        settings = load().settings
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    port = settings.port
    if settings.port_file is not None:
        with suppress(OSError, ValueError):
            port = int(settings.port_file.read_text())
    return url_of(settings.host, port)


def _given(filters: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in filters.items() if value is not None}


def _show(
    items: Iterable[Item],
    as_json: bool,
    account: str | None,
    heads: Sequence[str],
    row: Callable[[Item], Sequence[object]],
) -> None:
    """Print *items* as JSON, or as a table whose first column, the account's, is left out if *account* says it."""
    if as_json:
        for item in items:
            _print(json.dumps(item))
        return
    first = 1 if account else 0
    for line in columns([heads[first:], *(row(item)[first:] for item in items)]):
        _print(line)


def _visitor(item: Item) -> Sequence[object]:
    ids = item["identifiers"]
    named = (ids["external_id"], ids["email"], ids["anonymous_id"])
    return (item["account"], item["visitor_id"], *named, item["event_count"], item["last_seen"])


def _event(item: Item) -> Sequence[object]:
    reason = item["reason"]
    why = [_why(reason)] if reason else []
    why += [f"hint: {_why(hint)}" for hint in item["hints"]]
    keys = ("account", "id", "received_at", "outcome", "endpoint", "event", "visitor_id")
    return (*(item[key] for key in keys), "; ".join(why))


def _why(said: Item) -> str:
    """Return a reason or a hint as the log has it: `properties: dropped [unknown-keys]`."""
    return f"{sentence(said['path'], said['message'])} [{said['rule']}]"


def _sent(lines: Iterable[str]) -> Iterable[tuple[str, str, str]]:
    """Yield id, kind and data of server-sent events."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            if "event" in fields:
                yield fields.get("id", ""), fields["event"], fields.get("data", "")
            fields = {}


def _told(kind: str, data: str, as_json: bool) -> str:
    if kind != "receipt":
        return json.dumps({"reset": True}) if as_json else "--- reset ---"
    return data if as_json else columns([_event(json.loads(data))])[0]


def _print(line: str) -> None:
    click.echo(line)


@contextmanager
def _writing(path: Path | None) -> Generator[IO[bytes]]:
    """Give a file to write to, or standard output. A file appears whole or not at all."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise click.ClickException(f"{path} can't be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def _no(message: str) -> None:
    click.echo(f"ours-emulator: {message}", err=True)
    sys.exit(NO)

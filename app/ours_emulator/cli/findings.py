"""What `doctor` looks at: what this shell has, its variables, its network and the emulators of its user."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from ours_emulator.cli.target import emulator_at
from ours_emulator.emulator import Emulator, EmulatorError, operations
from ours_emulator.emulator.handle import BASE_URL_VARIABLE
from ours_emulator.locator import places
from ours_emulator.records import RequestRecord, iso
from ours_emulator.wording import listed, outcome_of, plural

_VENDOR = ".oursprivacy.com"
_SECONDS = 5.0
_IF_NOTHING_ARRIVED = (
    f"start the app after {BASE_URL_VARIABLE} is set: it may have read its variables before",
    "if the app runs in a container, 127.0.0.1 is that container: use the name of the emulator's service",
    "if the app sends in the background, let it send before it exits",
    "watch `ours-emulator tail` while the app sends",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one *subject*, and if something is wrong with it, what to do or to check."""

    subject: str
    text: str
    advice: tuple[str, ...] = ()


def findings_of(url: str | None, variables: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what there is to say of the emulator at *url*, or of those that run here, and of the *variables*."""
    running = _running(url)
    yield from (finding for _, finding in running)
    healthy = [emulator for emulator, finding in running if not finding.advice]
    target, finding = _base_url(variables.get(BASE_URL_VARIABLE), healthy)
    yield finding
    if target is not None:
        yield from _proxies(target.server_url, variables)
    for emulator in _looked_into(target, healthy):
        yield from _arrivals(emulator)


# What runs


def _running(url: str | None) -> list[tuple[Emulator, Finding]]:
    """Return the emulators that are known here, each with what it answers; or else the place where one would be."""
    known = [] if url else [_asked(emulator_at(place.url), f", process {place.pid}") for place in places()]
    return known or [_asked(emulator_at(url), "")]


def _asked(emulator: Emulator, process: str) -> tuple[Emulator, Finding]:
    try:
        version = emulator.version(timeout=_SECONDS)
    except EmulatorError as error:
        advice = "start one: ours-emulator serve" if error.status is None else "restart it, or choose another port"
        return emulator, Finding("emulator", str(error), (advice,))
    return emulator, Finding("emulator", f"{emulator.server_url}{process}: ours-emulator {version}")


# Where the variables lead


def _base_url(value: str | None, running: Sequence[Emulator]) -> tuple[Emulator | None, Finding]:
    """Return the emulator that the SDKs would send to, if it answers, and what is to be said of it."""
    export = (
        f"export {BASE_URL_VARIABLE}={running[0].ingest_url}" if running else "start an emulator, and use its address"
    )
    if not value:
        return None, Finding(BASE_URL_VARIABLE, "not set in this shell: the SDKs send to the real API", (export,))
    problem = _problem_of(value)
    if problem is not None:
        return None, Finding(BASE_URL_VARIABLE, f"{value}: {problem}", (export,))
    emulator, answer = _asked(emulator_at(value), "")
    if answer.advice:
        return None, Finding(BASE_URL_VARIABLE, answer.text, (export,))
    return emulator, Finding(BASE_URL_VARIABLE, f"{value}: an emulator answers there")


def _problem_of(value: str) -> str | None:
    """Return what is wrong with *value* as a base URL, whoever listens there; None if nothing is."""
    try:
        if f".{urlsplit(value).hostname}".endswith(_VENDOR):
            return "this is the real API"
        Emulator(value)
    except ValueError:
        return "not a base URL; it has the form http://127.0.0.1:4010/api/v1"
    return "the emulator speaks HTTP, not HTTPS" if value.startswith("https") else None


def _proxies(url: str, variables: Mapping[str, str]) -> Iterator[Finding]:
    proxies, host = getproxies_environment(), urlsplit(url).hostname or ""
    if "http" in proxies and not proxy_bypass(host):
        names = ",".join(filter(None, (variables.get("NO_PROXY"), host)))
        yield Finding("http_proxy", f"{proxies['http']} is asked for {host} too", (f"export NO_PROXY={names}",))


# What arrived


def _looked_into(target: Emulator | None, running: Sequence[Emulator]) -> Sequence[Emulator]:
    """Return the account that the variables lead to, or else all accounts of each emulator."""
    return [target] if target is not None else [emulator_at(emulator.server_url) for emulator in running]


def _arrivals(emulator: Emulator) -> Iterator[Finding]:
    summary = emulator.perform(operations.summary())
    latest = next(iter(emulator.latest_requests(1)), None)
    if latest is None:
        yield _nothing(emulator)
        return
    counts = ", ".join(f"{count} {outcome}" for outcome, count in summary.outcomes.items() if count) or "no events"
    yield Finding("arrived", f"{plural(summary.requests, 'request')} at {emulator.url}: {counts}")
    yield _latest(emulator, latest)


def _nothing(emulator: Emulator) -> Finding:
    used = [account["account"] for account in emulator.perform(operations.accounts())]
    others = [name for name in used if name != emulator.account]
    if emulator.account and others:
        text = f"nothing at {emulator.url}; there are other accounts: {listed(others)}"
        return Finding("arrived", text, (f"check which account {BASE_URL_VARIABLE} names where the app runs",))
    return Finding("arrived", f"nothing yet at {emulator.url}", _IF_NOTHING_ARRIVED)


def _latest(emulator: Emulator, request: RequestRecord) -> Finding:
    events = emulator.request(request.id).events
    text = f"{request.method} {request.path} at {iso(request.received_at)}: {request.status}"
    outcomes = listed([f"{event.event or event.endpoint} {outcome_of(event)}" for event in events])
    refused = request.status is not None and request.status >= HTTPStatus.BAD_REQUEST
    advice = (f"see all of it with ours-emulator requests {request.id}",) if refused else ()
    return Finding("latest", f"{text} {outcomes}".rstrip(), advice)

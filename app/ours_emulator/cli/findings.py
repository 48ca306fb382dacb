"""What `doctor` looks at: what this shell has, its variables, its network and the emulators of its user."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from ours_emulator.cli.target import emulator_at
from ours_emulator.emulator import Emulator, EmulatorError, operations
from ours_emulator.emulator.handle import INGEST_PATH
from ours_emulator.locator import places
from ours_emulator.model import DEFAULT_ACCOUNT
from ours_emulator.records import Event, RequestRecord, iso
from ours_emulator.settings import ENV_PREFIX
from ours_emulator.variables import BASE_URL_VARIABLE, URL_VARIABLE
from ours_emulator.wording import listed, outcome_of, plural

_VENDOR = ".oursprivacy.com"
_SECONDS = 5.0
_START = "start one: ours-emulator serve"
_UNKNOWN_TOKEN = "401"
_AROUND = "'\" \t\r\n"
"""What is often pasted around an address."""
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
    startable = [emulator for emulator, finding in running if _START in finding.advice]
    target, finding = _base_url(variables, healthy or startable)
    yield finding
    if target is not None:
        yield from _other_account(target, variables.get(URL_VARIABLE))
        yield from _proxies(target.server_url, variables)
    looked_into = healthy if target is None else [target]
    for emulator in looked_into:
        # Of several, others may belong to other apps: what these did is not wrong here.
        for finding in _arrivals(emulator):
            yield finding if len(looked_into) == 1 else replace(finding, advice=())


# What runs


def _running(url: str | None) -> list[tuple[Emulator, Finding]]:
    """Return the emulators that are known here, each with what it answers; or else the place where one would be."""
    known = [] if url else [_asked(emulator_at(place.url), f", process {place.pid}") for place in places()]
    return known or [_asked(emulator_at(url), "")]


def _asked(emulator: Emulator, process: str) -> tuple[Emulator, Finding]:
    try:
        version = emulator.version(timeout=_SECONDS)
    except EmulatorError as error:
        return emulator, Finding("emulator", *_failed(emulator, error))
    return emulator, Finding("emulator", f"{emulator.url}{process}: ours-emulator {version}")


def _failed(emulator: Emulator, error: EmulatorError) -> tuple[str, tuple[str]]:
    """Return what is wrong where *emulator* should be, and what to do."""
    if error.status is None:
        return str(error), (_START,)
    if error.reason is None:
        text = f"something else answers at {emulator.server_url} ({error.status}), not an emulator"
        return text, ("stop it, or start an emulator on another port: ours-emulator serve --port 0",)
    return str(error), ("restart it, or choose another port",)


# Where the variables lead


def _base_url(variables: Mapping[str, str], usable: Sequence[Emulator]) -> tuple[Emulator | None, Finding]:
    """Return the emulator that the SDKs would send to, or should, if it answers, and what is to be said of it.

    *usable* are those to send to instead: what runs, or else where the next one would be.
    """
    value = variables.get(BASE_URL_VARIABLE)
    if not value:
        return None, _unset(variables, usable)
    emulator, text = _at(value)
    if emulator is not None:
        return emulator, Finding(BASE_URL_VARIABLE, text)
    meant = _meant(value)
    return meant, Finding(BASE_URL_VARIABLE, text, _exports([meant] if meant else usable))


def _at(value: str) -> tuple[Emulator | None, str]:
    """Return the emulator that answers at the base URL *value*, and what is to be said of it, or why there is none."""
    problem = _problem_of(value)
    if problem is not None:
        return None, f"{_shown(value)}: {problem}"
    emulator, answer = _asked(emulator_at(value), "")
    if answer.advice:
        return None, answer.text
    return emulator, f"{value}: an emulator answers there{_remark(value)}"


def _unset(variables: Mapping[str, str], usable: Sequence[Emulator]) -> Finding:
    """Return what is to be said if the variable is not set, and which others have the address of an emulator."""
    servers = {_server(emulator) for emulator in usable}
    others = {
        name: emulator
        for name, value in variables.items()
        if not name.startswith(ENV_PREFIX) and (emulator := _handle(value)) and _server(emulator) in servers
    }
    text = "not set in this shell: the SDKs send to the real API"
    if others:
        text += f"; {listed(list(others))} has the emulator's address, but the SDKs do not read it"
    return Finding(BASE_URL_VARIABLE, text, _exports(list(others.values()) or usable))


def _exports(emulators: Sequence[Emulator]) -> tuple[str, ...]:
    lines = dict.fromkeys(f"export {BASE_URL_VARIABLE}={emulator.ingest_url}" for emulator in emulators)
    return tuple(lines) or ("start an emulator, and use its address",)


def _problem_of(value: str) -> str | None:
    """Return what is wrong with *value* as a base URL, whoever listens there; None if nothing is."""
    if _is_real(value):
        return "this is the real API"
    if _handle(value) is None:
        return "not a base URL; it has the form http://127.0.0.1:4010/api/v1"
    return "the emulator speaks HTTP, not HTTPS" if value.startswith("https") else None


def _is_real(value: str) -> bool:
    try:
        return f".{urlsplit(value).hostname}".endswith(_VENDOR)
    except ValueError:
        return False


def _handle(value: str) -> Emulator | None:
    """Return the handle on what is at *value*; None if it is not the address of an emulator."""
    try:
        return Emulator(value)
    except ValueError:
        return None


def _meant(value: str) -> Emulator | None:
    """Return the emulator that *value* was meant to lead to, if one answers there.

    It is one with http for https or for no scheme, without what follows `/api/v1`, and without space and quotes.
    """
    if "://" in value and not value.strip(_AROUND).startswith("http"):
        return None
    address = re.sub(r"^(https?://)?", "http://", value.strip(_AROUND), count=1)
    server, path, _ = address.partition(INGEST_PATH)
    emulator = None if _is_real(address) else _handle(server + path)
    return emulator if emulator is not None and not _asked(emulator, "")[1].advice else None


def _remark(value: str) -> str:
    if value.rstrip("/").endswith(INGEST_PATH):
        return ""
    return f", also without {INGEST_PATH} at the end (rule root-path), but in production that may fail"


def _shown(value: str) -> str:
    """Return *value*, in quotes if it has spaces, which nobody would see."""
    return repr(value) if any(map(str.isspace, value)) else value


def _other_account(target: Emulator, url: str | None) -> Iterator[Finding]:
    """Yield that commands and tests look elsewhere than in the *target*, if the account of *url* is another one."""
    looked_at = _handle(url if "://" in url else f"http://{url}") if url else None
    if looked_at is None or _covers(looked_at, target):
        return
    text = f"{url}: {BASE_URL_VARIABLE} leads elsewhere, to {target.url}; tests that look here see nothing of it"
    yield Finding(URL_VARIABLE, text, (f"export {URL_VARIABLE}={target.url}", *_exports([looked_at])))


def _covers(looked_at: Emulator, target: Emulator) -> bool:
    """Whether what arrives at *target* is seen at *looked_at*, which may be all accounts of an emulator."""
    if _server(looked_at) != _server(target):
        return False
    return looked_at.account in (None, target.account or DEFAULT_ACCOUNT)


def _server(emulator: Emulator) -> str:
    return emulator.server_url.lower().replace("//localhost", "//127.0.0.1")


def _proxies(url: str, variables: Mapping[str, str]) -> Iterator[Finding]:
    proxies, host = getproxies_environment(), urlsplit(url).hostname or ""
    if "http" in proxies and not proxy_bypass(host):
        names = ",".join(filter(None, (variables.get("NO_PROXY"), host)))
        yield Finding("http_proxy", f"{proxies['http']} is asked for {host} too", (f"export NO_PROXY={names}",))


# What arrived


def _arrivals(emulator: Emulator) -> Iterator[Finding]:
    summary = emulator.perform(operations.summary())
    latest = next(iter(emulator.latest_requests(1)), None)
    if latest is None:
        yield _nothing(emulator)
        return
    counts = ", ".join(f"{count} {outcome}" for outcome, count in summary.outcomes.items() if count)
    events = plural(sum(summary.outcomes.values()), "event") + (f": {counts}" if counts else "")
    yield Finding("arrived", f"{plural(summary.requests, 'request')} at {emulator.url} with {events}")
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
    advice = _after_refusal(emulator, request, events) if refused else ()
    return Finding("latest", f"{text} {outcomes}".rstrip(), advice)


def _after_refusal(emulator: Emulator, request: RequestRecord, events: Sequence[Event]) -> tuple[str, ...]:
    """Return what to do after a refusal. The request shows nothing more of a token that was refused."""
    if any(event.reason is not None and event.reason.rule == _UNKNOWN_TOKEN for event in events):
        accounts = emulator.perform(operations.accounts())
        tokens = [token for one in accounts if one["account"] == request.account for token in one["tokens"]]
        if tokens:
            return (f"send one of the tokens that the account {request.account} accepts: {listed(tokens)}",)
    return (f"see all of it with ours-emulator requests {request.id}",)

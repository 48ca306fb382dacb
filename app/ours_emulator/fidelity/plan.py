"""What is going to be sent: the requests of an export or of the suite, counted, and each made when it is its turn."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, TypeAlias

from ours_emulator.contract.revision import revision
from ours_emulator.debug import journal_format
from ours_emulator.fidelity.preparation import Credentials, Outgoing, Preparation, Unsent, new_run, secrets_in
from ours_emulator.fidelity.suite import suite

Made: TypeAlias = Callable[[], Outgoing | Unsent]


@dataclass(frozen=True)
class Plan:
    """How many requests there are for each API, and how to make them, one after the other."""

    ingest: int
    client: int
    left_out: int
    """Requests that cannot be sent."""
    made: Callable[[], Iterator[Made]]
    secrets: frozenset[str]
    """Tokens and keys that nothing shown may contain."""

    @property
    def count(self) -> int:
        """How many requests are sent."""
        return self.ingest + self.client


def plan_of_suite(credentials: Credentials, now: Callable[[], int]) -> Plan:
    """Return the plan to send the suite; *now* is the time in milliseconds."""
    run = new_run()

    def made() -> Iterator[Made]:
        # Made again when they are sent: the user may have been asked for long.
        for request in suite(credentials, run, now()):
            yield partial(_itself, request)

    return _plan((make() for make in made()), made, _secrets_of(credentials))


def plan_of_export(file: IO[bytes], credentials: Credentials, name: str, now: Callable[[], int]) -> Plan:
    """Return the plan to send the requests in *file*, which is read again for that, as it may be large.

    Raises LineError, before anything is sent.
    """
    secrets = frozenset(secrets_in(line for _, line in _lines(file))) | _secrets_of(credentials)
    preparation = Preparation(credentials, secrets, new_run(), revision(name).window_ms)

    def made() -> Iterator[Made]:
        for number, line in _lines(file):
            yield partial(_prepared, preparation, line, f"line {number}", now)

    return _plan((make() for make in made()), made, secrets)


def _plan(requests: Iterable[Outgoing | Unsent], made: Callable[[], Iterator[Made]], secrets: frozenset[str]) -> Plan:
    ingest = client = left_out = 0
    for request in requests:
        if isinstance(request, Unsent):
            left_out += 1
        elif request.is_client_api:
            client += 1
        else:
            ingest += 1
    return Plan(ingest, client, left_out, made, secrets)


def _lines(file: IO[bytes]) -> Iterator[tuple[int, journal_format.Line]]:
    file.seek(0)
    return journal_format.read(file)


def _itself(request: Outgoing) -> Outgoing:
    return request


def _prepared(
    preparation: Preparation, line: journal_format.Line, label: str, now: Callable[[], int]
) -> Outgoing | Unsent:
    return preparation.prepared(line, label, now())


def _secrets_of(credentials: Credentials) -> frozenset[str]:
    return frozenset(filter(None, (credentials.token, credentials.live_token, credentials.key)))

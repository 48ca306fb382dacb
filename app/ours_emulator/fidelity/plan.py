"""What will be sent: the requests of an export or of the suite, counted before, and each prepared when it is sent."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO

from ours_emulator.contract.revision import revision
from ours_emulator.debug import journal_format
from ours_emulator.fidelity.preparation import (
    Credentials,
    NotCompared,
    OutgoingRequest,
    RequestPreparer,
    is_client_path,
    run_digits,
    secrets_in,
    why_not_sent,
)
from ours_emulator.fidelity.suite import suite
from ours_emulator.model import Properties


@dataclass(frozen=True)
class Plan:
    """How many requests there are for each API, and how to prepare them, one after the other."""

    ingest: int
    client: int
    not_sent: tuple[NotCompared, ...]
    """The requests that cannot be sent."""
    requests: Callable[[], Iterator[OutgoingRequest | NotCompared]]
    """Prepares each request when it is asked for, with the time of that moment."""
    secrets: frozenset[str]
    """Tokens and keys that nothing shown may contain."""
    experiments: Mapping[str, Properties] = field(default_factory=dict[str, Properties])
    """The experiments of the export, by key, for the emulator."""

    @property
    def count(self) -> int:
        """How many requests are sent."""
        return self.ingest + self.client


def plan_of_suite(credentials: Credentials, now: Callable[[], int]) -> Plan:
    """Return the plan to send the suite; *now* is the time in milliseconds."""
    run = run_digits()
    client = [request.is_client_api for request in suite(credentials, run, now)]
    return Plan(
        ingest=client.count(False),
        client=client.count(True),
        not_sent=(),
        requests=lambda: suite(credentials, run, now),
        secrets=_secrets_of(credentials),
    )


def plan_of_export(file: IO[bytes], credentials: Credentials, name: str, now: Callable[[], int]) -> Plan:
    """Return the plan to send the requests in *file*, which is read again for that, as it may be large.

    Raises LineError, before anything is sent.
    """
    client: list[bool] = []
    not_sent: list[NotCompared] = []
    secrets = set(_secrets_of(credentials))
    experiments: dict[str, Properties] = {}
    file.seek(0)
    for number, line in journal_format.read_all(file):
        if isinstance(line, journal_format.SettingsLine):
            settings = line.settings
            secrets.update(settings.tokens, settings.public_keys)
            experiments |= {
                key: one.model_dump(mode="json", exclude_unset=True) for key, one in settings.experiments.items()
            }
            continue
        secrets.update(secrets_in(line))
        why = why_not_sent(line, credentials)
        if why is None:
            client.append(is_client_path(line.path))
        else:
            not_sent.append(NotCompared(_label(number), why))
    preparer = RequestPreparer(credentials, secrets, run_digits(), revision(name).window_ms)
    return Plan(
        ingest=client.count(False),
        client=client.count(True),
        not_sent=tuple(not_sent),
        requests=lambda: (preparer.prepare(line, _label(number), now()) for number, line in _lines(file)),
        secrets=frozenset(secrets),
        experiments=experiments,
    )


def _lines(file: IO[bytes]) -> Iterable[tuple[int, journal_format.Line]]:
    file.seek(0)
    return journal_format.read(file)


def _label(number: int) -> str:
    return f"line {number}"


def _secrets_of(credentials: Credentials) -> frozenset[str]:
    return frozenset(filter(None, (credentials.token, credentials.live_token, credentials.key)))

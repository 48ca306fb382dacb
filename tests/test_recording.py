"""The emulated endpoints answer byte for byte what is recorded in `recordings/answers.jsonl`."""

import itertools
from collections.abc import Sequence
from urllib.parse import urlsplit

import pytest

from databases import PostgresqlServer
from recordings.exchange import Exchange, Recording, exchange, read_answers
from recordings.record import difference
from serving import Server, serving

RECORDINGS = {it.name: it for it in read_answers()}
MOST_SHOWN = 5


def differences(recording: Recording, addresses: Sequence[tuple[str, int]]) -> list[str]:
    """Send the requests of *recording* to *addresses* by turns.

    Return what is answered otherwise, a text for each request.
    """
    found: list[str] = []
    for recorded, address in zip(recording.exchanges, itertools.cycle(addresses), strict=False):
        answer = exchange(address, recorded.request)
        if recorded.setup:
            assert 200 <= answer.status < 300, f"{recorded.name} was answered {answer.status} {answer.body!r}"
        elif answer != recorded.answer:
            now = Exchange(recorded.name, recorded.request, answer)
            found.append("\n".join(difference(recorded.name, recorded, now)))
    return found


def address_of(server: Server) -> tuple[str, int]:
    url = urlsplit(server.url)
    assert url.hostname is not None
    assert url.port is not None
    return url.hostname, url.port


@pytest.fixture(params=list(RECORDINGS))
def recording(request: pytest.FixtureRequest) -> Recording:
    return RECORDINGS[request.param]


def test_the_answers_are_those_recorded(recording: Recording) -> None:
    with serving(**recording.settings) as server:
        check(recording, [server])


def test_two_emulators_on_one_database_answer_as_one(recording: Recording, postgresql: PostgresqlServer) -> None:
    settings = {**recording.settings, "database": postgresql.schema()}
    with serving(**settings) as one, serving(**settings) as two:
        check(recording, [one, two])


def check(recording: Recording, servers: Sequence[Server]) -> None:
    """Fail unless *servers* answer, by turns, what is recorded."""
    found = differences(recording, list(map(address_of, servers)))
    # `python -m recordings.record` shows them all and can record them again.
    shown = "\n\n".join(found[:MOST_SHOWN])
    assert not found, (
        f"{len(found)} of {len(recording.exchanges)} requests of {recording.name} are answered otherwise:\n\n{shown}"
    )


def test_every_recorded_request_has_a_name_of_its_own() -> None:
    for recording in RECORDINGS.values():
        answered = [it.name for it in recording.exchanges if not it.setup]
        assert len(answered) == len(set(answered))
        assert len(answered) > 100

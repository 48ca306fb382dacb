"""The emulated endpoints answer byte for byte what is recorded in `recordings/answers.jsonl`."""

from urllib.parse import urlsplit

import pytest

from recordings.exchange import Exchange, Recording, exchange, read_answers
from recordings.record import difference
from serving import serving

RECORDINGS = {it.name: it for it in read_answers()}
MOST_SHOWN = 5


def differences(recording: Recording, address: tuple[str, int]) -> list[str]:
    """Send the requests of *recording* to *address*; return what is answered otherwise, a text for each request."""
    found: list[str] = []
    for recorded in recording.exchanges:
        answer = exchange(address, recorded.request)
        if recorded.setup:
            assert 200 <= answer.status < 300, f"{recorded.name} was answered {answer.status} {answer.body!r}"
        elif answer != recorded.answer:
            now = Exchange(recorded.name, recorded.request, answer)
            found.append("\n".join(difference(recorded.name, recorded, now)))
    return found


@pytest.mark.parametrize("name", list(RECORDINGS))
def test_the_answers_are_those_recorded(name: str) -> None:
    recording = RECORDINGS[name]
    with serving(**recording.settings) as server:
        url = urlsplit(server.url)
        assert url.hostname is not None
        assert url.port is not None
        found = differences(recording, (url.hostname, url.port))
    # `python -m recordings.record` shows them all and can record them again.
    shown = "\n\n".join(found[:MOST_SHOWN])
    assert not found, (
        f"{len(found)} of {len(recording.exchanges)} requests of {name} are answered otherwise:\n\n{shown}"
    )


def test_every_recorded_request_has_a_name_of_its_own() -> None:
    for recording in RECORDINGS.values():
        answered = [it.name for it in recording.exchanges if not it.setup]
        assert len(answered) == len(set(answered))
        assert len(answered) > 100

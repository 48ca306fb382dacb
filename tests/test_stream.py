"""GET /debug/stream: server-sent events of what arrives, resumed without gap or repeat."""

import json
import re
import socket
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from ours_emulator.event_view import EventView
from ours_emulator.jsontext import json_text
from serving import Account, Server, serving
from waiting import PATIENCE

pytestmark = pytest.mark.each_database


class Stream:
    """What a client of the stream reads."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()
        # The first line says that it is open: whatever arrives from here on is told.
        assert next(self._lines).startswith("retry")

    def next(self) -> tuple[str, str, Any]:
        """Return id, event and data of the next event; comments are skipped."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line and "event" in fields:
                return fields.get("id", ""), fields["event"], json.loads(fields["data"])
            if not line:
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
        raise EOFError

    def names(self, count: int) -> list[str]:
        return [self.next()[2]["event"] for _ in range(count)]


@contextmanager
def streaming(account: Account, headers: dict[str, str] | None = None, **params: Any) -> Generator[Stream]:
    with (
        httpx.Client(trust_env=False, timeout=10) as http,
        http.stream("GET", f"{account.url}/debug/stream", params=params, headers=headers) as response,
    ):
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


def test_what_arrives_is_told_as_the_list_shows_it(account: Account) -> None:
    account.track(event="Before", userId="u")
    with streaming(account) as stream:
        account.track(event="Purchase", userId="u", email="a@b.co")
        account.post("/track", b"nonsense")
        id_, kind, event = stream.next()
        assert (id_, kind) == (str(event["id"]), "receipt")
        (listed,) = account.events(event="Purchase")
        assert event == listed
        assert stream.next()[2]["outcome"] == "rejected"


def test_a_stream_goes_on_after_the_event_it_was_left_at(account: Account) -> None:
    with streaming(account) as stream:
        account.track(event="1", userId="u")
        last, _, _ = stream.next()
    account.track(event="2", userId="u")
    account.track(event="3", userId="u")
    for headers, params in (({"last-event-id": last}, {}), ({}, {"last_event_id": last})):
        with streaming(account, headers, **params) as stream:
            account.track(event="4", userId="u")
            assert stream.names(3) == ["2", "3", "4"]
        account.post("/debug/reset", {"account": account.url.rpartition("/")[2]})
        account.track(event="2", userId="u")
        account.track(event="3", userId="u")


def test_nothing_is_left_out_or_told_twice_while_much_arrives(account: Account) -> None:
    def send(worker: int) -> None:
        with httpx.Client(trust_env=False) as http:
            for at in range(50):
                Account(account.url, http).track(event=f"{worker}-{at}", userId="u")

    account.track(event="first", userId="u")
    last = str(account.events()[0]["id"])
    senders = [threading.Thread(target=send, args=(at,)) for at in range(4)]
    told: list[str] = []
    for sender in senders:
        sender.start()
    while len(told) < 200:
        # Left and resumed in the middle, again and again.
        with streaming(account, {"last-event-id": last}) as stream:
            for _ in range(min(30, 200 - len(told))):
                last, _, event = stream.next()
                told.append(event["event"])
    for sender in senders:
        sender.join()
    assert sorted(told) == sorted(f"{worker}-{at}" for worker in range(4) for at in range(50))
    ids = {it["event"]: it["id"] for it in account.events(limit=1000)}
    assert [ids[name] for name in told] == sorted(ids[name] for name in told)


def test_a_stream_of_one_account_tells_of_no_other(account: Account, server: Server) -> None:
    with streaming(account) as stream, streaming(server.default) as of_all:
        server.account().track(event="Foreign", userId="u")
        account.track(event="Mine", userId="u")
        assert stream.names(1) == ["Mine"]
        seen = of_all.names(1)
        while "Mine" not in seen:
            seen += of_all.names(1)
        assert "Foreign" in seen


def test_a_stream_may_be_narrowed_to_an_event_and_an_outcome(account: Account) -> None:
    with streaming(account, event="Purchase", outcome="accepted") as stream:
        account.track(event="Other", userId="u")
        account.track(event="Purchase")
        account.track(event="Purchase", userId="u")
        _, _, event = stream.next()
        assert (event["event"], event["outcome"]) == ("Purchase", "accepted")


def test_a_stream_may_be_narrowed_to_a_visitor_and_resumed(account: Account) -> None:
    with streaming(account, visitor_id="u") as stream:
        account.track(event="1", userId="u", distinctId="d")
        account.track(event="2", userId="v")
        account.track(event="3")
        account.track(event="1", userId="v", distinctId="d")
        first, second = stream.next(), stream.next()
    assert [event["outcome"] for _, _, event in (first, second)] == ["accepted", "duplicate"]
    account.track(event="4", userId="v")
    account.track(event="5", userId="u")
    with streaming(account, {"last-event-id": first[0]}, visitor_id="u", outcome="accepted") as stream:
        assert stream.names(1) == ["5"]
        account.track(event="6", userId="v")
        account.track(event="7", userId="u")
        assert stream.names(1) == ["7"]
    with streaming(account, {"last-event-id": "0"}, visitor_id="nobody yet") as stream:
        account.track(event="8", userId="nobody yet")
        assert stream.names(1) == ["8"]


def test_a_reset_is_told(account: Account) -> None:
    with streaming(account) as stream:
        account.track(userId="u")
        assert stream.next()[1] == "receipt"
        account.post("/debug/reset", {"account": account.url.rpartition("/")[2]})
        assert stream.next()[1] == "reset"
        account.track(event="After", userId="u")
        assert stream.names(1) == ["After"]


def test_the_id_of_an_emulator_that_is_gone_begins_anew(account: Account) -> None:
    account.track(event="Here", userId="u")
    with streaming(account, {"last-event-id": "9" * 17}) as stream:
        assert stream.next()[1] == "reset"
        assert stream.names(1) == ["Here"]


def test_ids_are_resumed_across_reset_and_restart(tmp_path: Path) -> None:
    settings = {"database": str(tmp_path / "kept.db")}
    with serving(**settings) as server:
        server.default.track(event="Gone", userId="u")
        last = str(server.default.events()[0]["id"])
        server.default.post("/debug/reset", {"all": True})
    with serving(**settings) as server, streaming(server.default, {"last-event-id": last}) as stream:
        server.default.track(event="New", userId="u")
        assert stream.names(1) == ["New"]


@pytest.mark.parametrize("id_", ["x", "-1", "1.5", "9" * 30, "²"])
def test_an_id_that_is_none_is_refused(account: Account, id_: str) -> None:
    response = account.http.get(f"{account.url}/debug/stream", params={"last_event_id": id_})
    assert (response.status_code, "last_event_id" in response.json()["error"]) == (400, True)


def test_a_server_that_stops_ends_its_streams() -> None:
    ended = threading.Event()

    def read(account: Account) -> None:
        with streaming(account) as stream:
            opened.set()
            with pytest.raises(EOFError):
                stream.next()
        ended.set()

    opened = threading.Event()
    with serving() as server:
        reading = threading.Thread(target=read, args=(server.default,))
        reading.start()
        assert opened.wait(PATIENCE)
    assert ended.wait(PATIENCE)
    reading.join()


def test_what_came_after_a_reset_is_told_after_it(account: Account) -> None:
    with streaming(account) as stream:
        for _ in range(20):
            account.track(event="Before", userId="u")
            account.post("/debug/reset", {"account": account.url.rpartition("/")[2]})
            account.track(event="After", userId="u")
            told = [stream.next()]
            while told[-1][2].get("event") != "After":
                told.append(stream.next())
            assert [kind for _, kind, _ in told][-2:] == ["reset", "receipt"]
            account.post("/debug/reset", {"account": account.url.rpartition("/")[2]})
            assert stream.next()[1] == "reset"


def test_a_reset_names_its_account_or_all_of_them() -> None:
    with serving() as server, streaming(server.account()) as one, streaming(server.default) as every:
        for asked, account in (({"account": "a"}, "a"), ({"account": "b"}, "b"), ({"all": True}, None)):
            server.default.post("/debug/reset", asked)
            assert every.next()[1:] == ("reset", {"account": account})
        assert one.next()[1:] == ("reset", {"account": None})


def test_a_client_that_reads_too_slowly_is_told_so_and_resumes_without_a_gap(account: Account) -> None:
    address = urlsplit(account.url)
    rows = [
        {"event": "E", "userId": "u", "distinctId": "", "eventProperties": {"text": "x" * 2000}} for _ in range(1000)
    ]
    with ExitStack() as stack:
        slow = stack.enter_context(socket.socket())
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(PATIENCE)
        slow.connect((address.hostname, address.port))
        slow.sendall(
            f"GET {address.path}/debug/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        )
        reading = stack.enter_context(slow.makefile("rb"))
        assert any(b"retry" in line for line in reading)
        for batch in range(12):
            assert (
                account.batch(*({**row, "distinctId": f"{batch}-{at}"} for at, row in enumerate(rows))).status_code
                == 200
            )
        sent = reading.read()
    ids = [int(number) for number in re.findall(rb"^id: (\d+)$", sent, re.MULTILINE)]
    assert sent.endswith(b"event: behind\ndata: {}\n\n\r\n0\r\n\r\n")
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert len(ids) < 12_000
    with streaming(account, {"last-event-id": str(ids[-1])}) as stream:
        rest = [int(stream.next()[0]) for _ in range(12_000 - len(ids))]
    assert rest == list(range(ids[-1] + 1, ids[0] + 12_000))


def test_an_event_is_encoded_once_for_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []

    def text(view: EventView) -> str:
        encoded.append(view.event.id)
        return json_text(view.json)

    counted = cached_property(text)
    counted.__set_name__(EventView, "text")
    monkeypatch.setattr(EventView, "text", counted)
    with serving() as server, ExitStack() as stack:
        streams = [stack.enter_context(streaming(server.default)) for _ in range(5)]
        server.default.track(event="first", userId="u")
        # Who has had one has caught up with the store.
        assert [stream.names(1) for stream in streams] == [["first"]] * 5
        encoded.clear()
        for name in "abc":
            server.default.track(event=name, userId="u")
        assert [stream.names(3) for stream in streams] == [["a", "b", "c"]] * 5
        assert len(encoded) == 3

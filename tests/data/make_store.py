"""Make a database file with everything in it that a store can hold, and write down what its program says about it.

    PYTHONPATH=tests python -m data.make_store --program PATH/TO/ours-emulator

It writes `store-vN.db.gz`, where N is the version of the program's store, and beside it `store-vN.json.gz`: the answers
of the debug API by their paths (`answers`), and what requests were answered that came after the program was started
again with the file (`exchanges`), and the debug API after those (`answers_after`). A file is made once, by the program
that landed with that version; `test_migration.py` opens it with the program there is now. So there is nothing to make
again, unless a version of the store was landed that has no file yet.

Answers of version 2 that were corrected since: `visitors?q=😀` now also has the two visitors with that text after a NUL
character, at which the program that made the file stopped searching; dropped events have `received_at` (rule
received-at); the identify that comes later has no hint for a number (rule any-json); and every answer has `nosniff`.
"""

import argparse
import gzip
import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from data.debug_answers import NOW, answer
from recordings.cases import DAY, DEVICE, KEY, Cases, row
from recordings.exchange import Exchange, exchange
from recordings.record import running

HERE = Path(__file__).parent
KEEP = 160
MINUTE = 60_000
STRANGE = "\0a\ud800b\udfff/~\U0001f600\u00e9"
RETRIED = {"distinctId": "retried-by-count", "event": "Purchase"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make both files; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    command = [parser.parse_args(arguments).program]
    with tempfile.TemporaryDirectory() as directory:
        database, copy = Path(directory, "store.db"), Path(directory, "copy.db")
        settings = {"database": str(database), "now": NOW}
        with running(command, {**settings, "keep": KEEP}) as address:
            for it in _contents():
                _send(address, it)
        version = _finished(database)
        packed = gzip.compress(database.read_bytes(), mtime=0)
        shutil.copy(database, copy)
        with running(command, settings) as address, _client(address) as http:
            answers = {path: answer(http, path) for path in _questions(http)}
        with running(command, {**settings, "database": str(copy)}) as address, _client(address) as http:
            exchanges = [Exchange(it.name, it.request, exchange(address, it.request)) for it in _afterwards()]
            answers_after = {path: answer(http, path) for path in _questions_after()}
    said = {
        "answers": answers,
        "exchanges": [it.written() for it in exchanges],
        "answers_after": answers_after,
    }
    (HERE / f"store-v{version}.db.gz").write_bytes(packed)
    text = json.dumps(said, indent=1).encode("ascii")
    (HERE / f"store-v{version}.json.gz").write_bytes(gzip.compress(text, mtime=0))
    return 0


def _client(address: tuple[str, int]) -> httpx.Client:
    return httpx.Client(base_url=f"http://{address[0]}:{address[1]}", timeout=30, trust_env=False)


def _send(address: tuple[str, int], it: Exchange) -> None:
    answered = exchange(address, it.request)
    if it.setup and not 200 <= answered.status < 300:
        raise ValueError(f"{it.name} was answered {answered.status} {answered.body.decode()}")


def _finished(database: Path) -> int:
    """Return the version of the store, all of which is in the one file."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not Path(f"{database}-wal").exists()
    return version


# What is in the store


def _contents() -> list[Exchange]:
    cases = Cases("contents")
    _evicted(cases)
    _evolving(cases)
    _identities(cases)
    _properties(cases)
    _outcomes(cases)
    _batches(cases)
    _client_api(cases)
    _faults(cases)
    _attempts(cases)
    _strange(cases)
    _bodies(cases)
    _cleared(cases)
    return cases.recording.exchanges


def _evicted(cases: Cases) -> None:
    """The first requests of all, of which most are evicted later; their distinct ids stay known."""
    cases.account("evicted")
    for number in range(60):
        properties = {"first_name": f"Name {number}"}
        cases.track(
            f"evicted/{number}", userId=f"e{number % 4}", distinctId=f"evicted-{number}", userProperties=properties
        )
    cases.batch("evicted/batch", [row(f"e{number}") for number in range(20)])
    cases.track("evicted/refused", without=["userId"])
    cases.client("devices", "evicted", {"external_id": "waits for ever", **DEVICE})


def _evolving(cases: Cases) -> None:
    """A visitor whose properties change over several events, at several moments."""
    cases.account("")
    changes: list[dict[str, Any]] = [
        {
            "first_name": "Ann",
            "city": "Berlin",
            "custom_properties": {"plan": "free"},
            "consent": {"ads": True, "mail": True},
        },
        {"first_name": "Anna", "custom_properties": {"plan": "pro", "seats": 5, "deep": {"a": [1, 1.0, True, None]}}},
        {"city": None, "consent": {"ads": False}},
        {"custom_properties": {"plan": None, "seats": ""}, "first_name": ""},
        {"consent": None, "zip": 12345, "is_bot": False, "phone_number": ["+1", "+2"]},
        {"email": "anna@example.com", "external_id": "x-anna"},
        {"email": None},
    ]
    for number, properties in enumerate(changes):
        cases.setup("PUT", "/debug/clock", {"set": NOW - DAY + number * MINUTE})
        cases.setup("PUT", "/debug/clock", {"freeze": True})
        more: dict[str, Any] = {"time": NOW - DAY - number * MINUTE} if number % 2 else {}
        cases.track(
            f"evolving/{number}", userId="anna", distinctId=f"evolving-{number}", userProperties=properties, **more
        )
    cases.setup("PUT", "/debug/clock", {"freeze": NOW - MINUTE})
    cases.identify("evolving", userId="anna", userProperties={"last_name": "Ng", "custom_properties": {"seats": 6}})
    cases.track(
        "evolving/everything",
        userId="anna",
        distinctId="evolving-everything",
        eventProperties={
            "amount": 99.99,
            "big": 10**30,
            "none": None,
            "empty": "",
            "cart": {"items": [{"sku": "a"}, {}]},
        },
        defaultProperties={"title": "Home", "screen_width": 1920, "webview": False, "received_at": "sent"},
        identityContext={"ip": "1.2.3.4", "userAgent": "x"},
    )


def _identities(cases: Cases) -> None:
    """All tables of identity: known and unknown, several with the same, none."""
    cases.account("identity")
    for name, identity in (
        ("user", {"userId": "A", "externalId": "XA", "email": "a@example.com"}),
        ("other-user", {"userId": "B", "externalId": "XB", "email": "b@example.com"}),
        ("anothers-external", {"userId": "A", "externalId": "XB"}),
        ("anothers-email", {"userId": "A", "email": "b@example.com"}),
        ("external-of-two", {"externalId": "XB"}),
        ("email-of-two", {"email": "b@example.com"}),
        ("external-skips-email", {"externalId": "XN", "email": "b@example.com"}),
        ("email-of-nobody", {"email": "new@example.com"}),
        ("by-property", {"userProperties": {"email": "new@example.com", "external_id": "XP"}}),
        ("property-wins", {"email": "c@example.com", "userProperties": {"email": "d@example.com"}}),
    ):
        cases.track(
            f"identity/{name}", without=["userId"] if "userId" not in identity else [], distinctId=name, **identity
        )
    cases.account("anonymous")
    cases.setup("PUT", "/debug/accounts/anonymous", {"require_identifier": False})
    cases.track("identity/anonymous", without=["userId"], distinctId="anonymous-1")
    cases.identify("identity/anonymous", without=["userId"])


def _properties(cases: Cases) -> None:
    """A visitor with each of the properties there are, and each kind of value."""
    cases.account("shop")
    cases.identify(
        "properties/many",
        userId="rich",
        userProperties={
            **{name: f"the {name}" for name in ("first_name", "last_name", "gender", "city", "state", "country")},
            **{name: f"the {name}" for name in ("company_name", "job_title", "ip", "gclid", "utm_source", "referrer")},
            "epik": "Zürich \U0001f600",
            "zip": {"any": ["json"]},
            "custom_properties": {"": "empty name", "a.b": 1, "a/b~c": 2, "é😀": 3, "nested": {"x": {"y": [[]]}}},
            "consent": {"all": True, "some": None, "text": "yes", "list": [1, "a"]},
        },
    )
    for number in range(12):
        cases.setup("PUT", "/debug/clock", {"freeze": NOW - 3 * DAY + number * MINUTE})
        cases.track(
            f"shop/{number}",
            event=("Purchase", "Refund", "Page Viewed")[number % 3],
            userId=f"customer {number % 5}",
            email=f"c{number % 4}@example.com",
            distinctId=f"shop-{number}",
            eventProperties={"plan": "pro" if number % 2 else "free", "number": number},
        )


def _outcomes(cases: Cases) -> None:
    """Duplicates with repeats, dropped and rejected events, live and test."""
    cases.account("outcomes")
    cases.setup(
        "PUT", "/debug/accounts/outcomes", {"tokens": ["live"], "public_keys": ["pk_live"], "allowed_events": ["Paid"]}
    )
    for number in range(4):
        cases.track(f"outcomes/repeat/{number}", token="live", event="Paid", distinctId="repeated")
    cases.track("outcomes/other-content", token="live", event="paid ", distinctId="repeated", eventProperties={"a": 1})
    for number in range(2):
        cases.track(f"outcomes/test/{number}", token="test_live", event="Paid", distinctId="repeated")
    for number in range(2):
        cases.track(f"outcomes/dropped/{number}", token="live", event="Unlisted", distinctId="dropped", userId="nobody")
    cases.track("outcomes/rejected/token", token="other", event="Paid", distinctId="refused")
    cases.track("outcomes/rejected/identifier", token="live", event="Paid", without=["userId"])
    cases.track("outcomes/rejected/time", token="live", event="Paid", time=1)
    cases.track("outcomes/rejected/schema", token="live", event="Paid", userId=5, properties={})
    cases.track("outcomes/hints", token="live", event="Paid", properties={}, userProperties={"firstName": "x"})
    cases.identify("outcomes/test", token="test_live", userProperties={"first_name": "Test"})
    cases.client("events", "outcomes/rejected", [{"external_id": "c"}], KEY)
    cases.add("outcomes/unknown", "POST", "/nowhere", {})
    cases.add("outcomes/method", "PUT", "/track", {})
    cases.add("outcomes/malformed", "POST", "/batch", b"{")


def _batches(cases: Cases) -> None:
    """Batches: whole ones, with failures, with repeats, refused."""
    cases.account("batch")
    cases.batch("whole", [row(number, userId=f"b{number % 2}") for number in range(6)])
    cases.batch(
        "partial", [row(1), {"event": "E"}, row(7, time=1), row(8), 5, row(8, event="Else"), row("9", properties={})]
    )
    cases.batch("refused", [{"event": "E"}, {"distinctId": "x"}])
    cases.batch("no-events", [])
    cases.batch("test", [row(1), row(2)], token="test_t")
    cases.batch("times", [row(f"t{number}", time=NOW - number * DAY) for number in range(8)])


def _client_api(cases: Cases) -> None:
    """Aliases, identifies, devices and events of the Client API, and devices of nobody yet."""
    cases.account("app")
    cases.client(
        "events", "app/created", [{"anonymous_id": "phone-1", "name": "Opened", "data": {"build": 465, "x": None}}]
    )
    cases.client("alias", "app/works", {"anonymous_id": "phone-1", "external_id": "cust-1"})
    cases.client("alias", "app/no-effect", {"anonymous_id": "phone-1", "external_id": "cust-2"})
    cases.client("alias", "app/nobody", {"anonymous_id": "phone-9", "external_id": "cust-9", "more": 1})
    profile = {"email": "c@example.com", "phone": "+1 555", "timezone": "America/Chicago", "locale": "en"}
    cases.client("identify", "app/profile", {"external_id": "cust-1", **profile, "data": {"a": 1, "b": {"c": [None]}}})
    cases.client(
        "identify", "app/merge", {"external_id": "cust-1", "phone": None, "locale": "", "data": {"a": None, "d": 2}}
    )
    cases.client("identify", "app/not-linked", {"anonymous_id": "phone-1", "external_id": "cust-3"})
    cases.client("identify", "app/both", {"anonymous_id": "phone-2", "external_id": "cust-4"})
    cases.client("identify", "app/refused", {"external_id": "cust-1", "first_name": "x"})
    cases.client("devices", "app/new", {"external_id": "cust-1", **DEVICE})
    cases.client(
        "devices", "app/updated", {"anonymous_id": "phone-1", **DEVICE, "os": "iOS 17", "token": None, "more": {}}
    )
    cases.client(
        "devices", "app/second", {"external_id": "cust-1", **DEVICE, "device_id": "device-2", "token": "push-2"}
    )
    cases.client("devices", "app/nobody", {"external_id": None, "anonymous_id": None, **DEVICE})
    for external, anonymous, device in (("later", None, "d1"), (None, "later-too", "d2"), ("both", "both-too", "d3")):
        body = {
            "external_id": external,
            "anonymous_id": anonymous,
            **DEVICE,
            "device_id": device,
            "token": f"push-{device}",
        }
        cases.client("devices", f"app/pending/{device}", body)
    cases.client(
        "devices", "app/pending/d1-again", {"external_id": "later", **DEVICE, "device_id": "d1", "model": "new"}
    )
    cases.client("devices", "app/pending/d4", {"external_id": "came", **DEVICE, "device_id": "d4"})
    cases.track("app/came", without=["userId"], externalId="came", distinctId="came")
    cases.client(
        "events",
        "app/several",
        [
            {"external_id": "cust-1", "name": "Seen"},
            {"external_id": "cust-5", "name": "Seen", "user": {"email": "five@example.com", "data": {"n": 5}}},
            {"external_id": "cust-5"},
        ],
    )
    cases.track("app/by-email", without=["userId"], email="c@example.com", distinctId="by-email")


def _faults(cases: Cases) -> None:
    """What faults did to requests: answered otherwise, reset, stored all the same, failed rows."""
    cases.account("faults")
    for name, fault, count in (
        ("busy", {"answer": {"status": 429, "retry_after": 1.5, "error": "busy"}, "times": 2}, 3),
        ("reset", {"answer": {"connection": "reset"}, "times": 1}, 2),
        ("stored", {"answer": {"status": 503, "stored": True}, "times": 1}, 2),
        ("lost", {"answer": {"connection": "reset", "stored": True}, "times": 1}, 2),
        ("late", {"answer": {"delay_ms": 1.25}, "times": 1}, 1),
    ):
        cases.setup("PUT", f"/debug/faults/{name}", fault)
        for number in range(count):
            cases.track(f"faults/{name}/{number}", distinctId=f"fault-{name}", event="Paid")
    cases.setup("PUT", "/debug/faults/rows", {"answer": {"code": "queue_failed", "rows": [1]}, "times": 1})
    for number in range(2):
        cases.batch(f"faults/rows/{number}", [row("f1"), row("f2"), {"event": "E"}])
    cases.setup("PUT", "/debug/faults/all", {"answer": {"code": "queue_failed"}, "times": 1})
    cases.batch("faults/all-rows", [row("f3"), row("f4")])
    cases.setup("PUT", "/debug/faults/client", {"answer": {"status": 500}, "times": 1})
    for number in range(2):
        cases.client("identify", f"faults/{number}", {"external_id": "c1"})


def _attempts(cases: Cases) -> None:
    """Attempts that an SDK counts."""
    cases.account("attempts")
    for number in range(3):
        cases.setup("PUT", "/debug/clock", {"freeze": NOW - MINUTE + number * 1234})
        cases.track(f"attempts/{number}", ("x-stainless-retry-count", str(number)), **RETRIED)
    cases.track("attempts/without-first", ("x-stainless-retry-count", "3"), distinctId="never-seen")


def _strange(cases: Cases) -> None:
    """NUL, lone surrogates and other names that a database may stumble over, wherever text is kept."""
    cases.account("strange.names-_0")
    cases.track(
        "strange/track",
        event=f"E{STRANGE}",
        userId=f"u{STRANGE}",
        externalId=f"x{STRANGE}",
        email=f"m{STRANGE}",
        distinctId=f"d{STRANGE}",
        eventProperties={STRANGE: STRANGE},
        userProperties={
            "first_name": STRANGE,
            "custom_properties": {STRANGE: {STRANGE: STRANGE}},
            "consent": {STRANGE: 1},
        },
        defaultProperties={"title": STRANGE},
        identityContext={"ip": STRANGE, "userAgent": "\\u0000 \\\\ \" '"},
    )
    cases.track("strange/duplicate", event=f"E{STRANGE}", userId=f"u{STRANGE}", distinctId=f"d{STRANGE}")
    cases.track("strange/refused", event=f"E{STRANGE}", without=["userId"], **{STRANGE: 1})
    cases.client(
        "events",
        "strange",
        [
            {
                "anonymous_id": f"a{STRANGE}",
                "name": f"E{STRANGE}",
                "data": {STRANGE: None},
                "user": {"data": {STRANGE: "\0"}},
            }
        ],
    )
    cases.client("devices", "strange", {"anonymous_id": f"a{STRANGE}", **DEVICE, "os": STRANGE, STRANGE: STRANGE})
    cases.client("devices", "strange/pending", {"external_id": f"p{STRANGE}", **DEVICE, "model": STRANGE})
    for name in (
        "slash/in/id",
        "percent%2Fid",
        "sp ace",
        "%",
        "_",
        "q?x#y",
        "'; DROP TABLE visitors; --",
        "ILIKE",
        "İ",
    ):
        cases.track(f"strange/{name}", userId=name, event=name, distinctId=name)
    cases.add("strange/path", "POST", "/tr%C3%A4ck%00", {})
    cases.add("strange/type", "POST", "/track", b"{}", content_type="text/pl\xe4in")


def _bodies(cases: Cases) -> None:
    """Bodies that are gzip, no text, too large, or not there."""
    cases.account("bodies")
    body = b'{"token":"t","event":"E","userId":"u1","distinctId":"gzipped"}'
    cases.add("bodies/gzip", "POST", "/track", gzip.compress(body, mtime=0), ("content-encoding", "gzip"))
    cases.add("bodies/not-gzip", "POST", "/track", body, ("content-encoding", "gzip"))
    cases.add("bodies/no-text", "POST", "/track", bytes(range(256)))
    cases.add("bodies/oversized", "POST", "/track", b" " * (5 * 1024 * 1024 + 1))
    cases.add("bodies/none", "POST", "/track")
    cases.add("bodies/get", "GET", "/identify", b"", ("authorization", "Bearer t"))


def _cleared(cases: Cases) -> None:
    """Accounts that were reset and closed: the highest numbers of all are theirs, and must not be used again."""
    cases.account("")
    for name in ("was-reset", "was-closed"):
        for number in range(5):
            body = {"token": "t", "event": "E", "userId": f"gone-{number}", "distinctId": f"gone-{number}"}
            cases.add(f"{name}/{number}", "POST", f"/accounts/{name}/track", body)
        cases.add(f"{name}/device", "POST", f"/accounts/{name}/devices", {"external_id": "later", **DEVICE}, KEY)
    cases.setup("POST", "/debug/reset", {"account": "was-reset"})
    cases.setup("DELETE", "/debug/accounts/was-closed")


# What is asked about it


def _questions(http: httpx.Client) -> list[str]:
    accounts = [it["account"] for it in http.get("/debug/accounts").json()["items"]]
    asked = ["/debug/summary", "/debug/export"]
    asked += [f"/debug/summary?account={name}" for name in accounts]
    for account in ("", *(f"&account={name}" for name in accounts)):
        asked += [f"/debug/{name}?limit=37{account}" for name in ("visitors", "events", "requests", "calls")]
        asked.append(f"/debug/events?limit=41&outcome=any{account}")
    for query in (
        *("outcome=duplicate", "outcome=dropped", "outcome=rejected", "test=true", "test=false", "event=Purchase"),
        *("event=user_created", "event=", "distinct_id=repeated", "visitor_id=anna", "property.plan=pro"),
        *("property.number=7", "since=2026-05-14T12:00:00Z", f"event={quote('%')}", f"event={quote('İ')}"),
        *(f"endpoint={name}" for name in ("track", "identify", "batch", "client/alias", "client/devices", "unknown")),
    ):
        asked.append(f"/debug/events?{query}")
    for query in (
        *("user_id=anna", "user_id=A", "external_id=XB", "external_id=x-anna", "email=b@example.com"),
        *("email=anna@example.com", "anonymous_id=phone-1", "anonymous_id=phone-2", "external_id=cust-1", "q=Berlin"),
        *(
            "q=Anna",
            "q=%25",
            "q=pro",
            f"q={quote('Zürich')}",
            f"q={quote('😀')}",
            "user_id=slash/in/id",
            "external_id=later",
        ),
    ):
        asked.append(f"/debug/visitors?{query}")
    asked += [f"/debug/requests?{query}" for query in ("status=400", "status=429", "endpoint=client/events")]
    for name in ("anna", "slash/in/id", "percent%2Fid", "sp ace"):
        asked += [f"/debug/visitors/{quote(name, safe='')}", f"/debug/visitors/{quote(name, safe='')}/events"]
    asked += ["/debug/events/latest", "/debug/events/latest?outcome=rejected", "/debug/events/latest?event=Refund"]
    asked += [f"/debug/requests/{it['id']}" for it in answer(http, "/debug/requests?limit=500")["items"]]
    return list(dict.fromkeys(asked))


# What comes after a restart


def _afterwards() -> list[Exchange]:
    """Requests whose answers depend on what is in the store. None of them makes an id."""
    cases = Cases("afterwards")
    cases.account("evicted")
    cases.track("after/evicted-distinct-id", userId="e0", distinctId="evicted-0", event="Another")
    cases.track("after/evicted-row", distinctId="row-e19")
    cases.account("outcomes")
    cases.track("after/repeated", token="t", event="Paid", distinctId="repeated")
    cases.track("after/repeated-test", token="test_t", event="Paid", distinctId="repeated")
    cases.track("after/dropped-is-free", distinctId="dropped")
    cases.track("after/refused-is-free", distinctId="refused")
    cases.account("identity")
    cases.track("after/external-of-several", without=["userId"], externalId="XB", distinctId="after-1")
    cases.track("after/email-of-several", without=["userId"], email="b@example.com", distinctId="after-2")
    cases.track("after/property-external", without=["userId"], externalId="XP", distinctId="after-3")
    cases.account("")
    cases.track("after/cleared-email", userId="anna", email="anna@example.com", distinctId="after-4")
    cases.identify("after/anna", userId="anna", userProperties={"custom_properties": {"seats": 7}, "city": "Bonn"})
    cases.account("app")
    cases.client("identify", "after/anonymous", {"anonymous_id": "phone-1", "data": {"after": True}})
    cases.client(
        "devices", "after/known-device", {"external_id": "cust-1", **DEVICE, "device_id": "device-2", "os": "after"}
    )
    cases.client("devices", "after/pending-again", {"external_id": "later", **DEVICE, "device_id": "d1", "os": "after"})
    for kind, name in (("userId", "later-user"), ("userId", "both-user")):
        external = name.removesuffix("-user")
        cases.track(f"after/{name}", **{kind: name, "externalId": external, "distinctId": f"after-{name}"})
    cases.client("alias", "after/taken", {"anonymous_id": "phone-2", "external_id": "cust-1"})
    cases.account("attempts")
    cases.track("after/attempt", ("x-stainless-retry-count", "3"), **RETRIED)
    cases.account("strange.names-_0")
    cases.track("after/strange-duplicate", event="E", userId=f"u{STRANGE}", distinctId=f"d{STRANGE}")
    cases.track("after/strange-email", without=["userId"], email=f"m{STRANGE}", distinctId="after-strange")
    cases.track("after/strange-pending", userId="strange", externalId=f"p{STRANGE}", distinctId="after-strange-2")
    cases.account("was-reset")
    cases.track("after/reset-distinct-id", userId="gone-0", distinctId="gone-0")
    cases.account("was-closed")
    cases.track("after/closed-distinct-id", userId="gone-0", distinctId="gone-0")
    return cases.recording.exchanges


def _questions_after() -> list[str]:
    named = ("", "evicted", "outcomes", "identity", "default", "app", "attempts", "strange.names-_0", "was-reset")
    accounts = [f"account={name}" if name else "" for name in (*named, "was-closed")]
    asked = [f"/debug/{what}?{account}" for account in accounts for what in ("visitors", "summary", "calls")]
    # The distinct id of an identify is generated.
    asked += [
        f"/debug/events?event={event}&{account}" for account in accounts for event in ("Purchase", "Another", "Paid")
    ]
    return [path.rstrip("?&") for path in asked]


if __name__ == "__main__":
    sys.exit(main())

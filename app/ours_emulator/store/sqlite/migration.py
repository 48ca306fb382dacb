"""Migration of files of an older store version, one step from version to version, all in the caller's transaction.

A step is frozen: it has the tables as they were in its version, and shares nothing with the program of today.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

from ours_emulator.javascript import number_text

SCHEMA_VERSION = 6
OLDEST_VERSION = 2


def migrate(connection: sqlite3.Connection, version: int) -> str:
    """Bring the store from *version* to the present one, and return what was done as the end of a sentence."""
    for step in range(version, SCHEMA_VERSION):
        _STEPS[step](connection)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    visitors, events = (_count(connection, table) for table in ("visitors", "receipts"))
    return f"from version {version} to {SCHEMA_VERSION} ({visitors} visitors, {events} events)"


def _count(connection: sqlite3.Connection, table: str) -> int:
    counted: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return counted


# Texts are ASCII JSON, so they can be put together as they are: nothing is decoded, whatever its size. Snapshots are
# stored whole, as they were, but those that a visitor kept over several receipts only once.
_2_TO_3 = """
ALTER TABLE receipts RENAME TO receipts_2;
ALTER TABLE visitors RENAME TO visitors_2;
ALTER TABLE waiting_devices RENAME TO waiting_devices_2;
CREATE TABLE visitor_versions (
    id INTEGER NOT NULL, visitor_pk INTEGER NOT NULL, base_id INTEGER, patched_bytes INTEGER NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX ix_visitor_versions_visitor_pk ON visitor_versions (visitor_pk);

INSERT INTO visitor_versions (id, visitor_pk, patched_bytes, content)
SELECT id, visitor_pk, 0, '{"properties":' || visitor_properties || ',"unknown":["data","devices","anonymous_id"]}'
FROM (
    SELECT visitor_pk, id, visitor_properties,
           lag(visitor_properties) OVER snapshots AS before, lead(id) OVER snapshots AS next
    FROM receipts_2
    WHERE visitor_properties IS NOT NULL
    WINDOW snapshots AS (PARTITION BY visitor_pk ORDER BY id)
)
-- What the last receipt left is the visitor as stored, of whom more is known.
WHERE visitor_properties IS NOT before AND next IS NOT NULL
ORDER BY id;

-- A visitor whose receipts are all evicted has a version that is older than any receipt.
INSERT INTO visitor_versions (id, visitor_pk, patched_bytes, content)
SELECT coalesce((SELECT max(id) FROM receipts_2 WHERE visitor_pk = pk AND visitor_properties IS NOT NULL), -pk),
       pk, 0,
       '{"properties":' || properties || ',"data":' || data || ',"devices":' || devices
           || ',"anonymous_id":' || coalesce('"' || anonymous_id || '"', 'null') || '}'
FROM visitors_2 ORDER BY pk;

CREATE TABLE visitors (
    pk INTEGER NOT NULL, account_id INTEGER NOT NULL, visitor_id TEXT NOT NULL, version_id INTEGER NOT NULL,
    event_count INTEGER NOT NULL, first_seen BIGINT NOT NULL, last_seen BIGINT NOT NULL,
    PRIMARY KEY (pk)
);
INSERT INTO visitors
SELECT pk, account_id, visitor_id,
       (SELECT max(id) FROM visitor_versions WHERE visitor_pk = pk),
       event_count, first_seen, last_seen
FROM visitors_2;

CREATE TABLE receipts (
    id INTEGER NOT NULL, account_id INTEGER NOT NULL, request_id INTEGER NOT NULL, batch_index INTEGER,
    endpoint TEXT NOT NULL, outcome TEXT NOT NULL, event TEXT, visitor_pk INTEGER, distinct_id TEXT,
    time FLOAT NOT NULL, received_at BIGINT NOT NULL, test BOOLEAN NOT NULL, repeats INTEGER NOT NULL,
    version_id INTEGER, content TEXT NOT NULL, explanation TEXT NOT NULL,
    PRIMARY KEY (id)
);
INSERT INTO receipts
SELECT id, account_id, request_id, batch_index, endpoint, outcome, event, visitor_pk, distinct_id, time, received_at,
       test, repeats,
       CASE WHEN visitor_properties IS NOT NULL THEN (
           SELECT max(version.id) FROM visitor_versions AS version
           WHERE version.visitor_pk = receipts_2.visitor_pk AND version.id <= receipts_2.id
       ) END,
       content, explanation
FROM receipts_2;

CREATE TABLE pending_devices (
    pk INTEGER NOT NULL, account_id INTEGER NOT NULL, external_digest TEXT, anonymous_digest TEXT,
    identity TEXT NOT NULL, device TEXT NOT NULL,
    PRIMARY KEY (pk)
);
INSERT INTO pending_devices SELECT * FROM waiting_devices_2;

DROP TABLE receipts_2;
DROP TABLE visitors_2;
DROP TABLE waiting_devices_2;
CREATE INDEX ix_visitors_account_id ON visitors (account_id);
CREATE INDEX ix_receipts_visitor_pk ON receipts (visitor_pk);
CREATE INDEX receipts_by_time ON receipts (account_id, time);
CREATE INDEX receipts_by_event ON receipts (account_id, event);
CREATE INDEX ix_pending_devices_external_digest ON pending_devices (external_digest);
CREATE INDEX ix_pending_devices_anonymous_digest ON pending_devices (anonymous_digest)
"""


def _from_2_to_3(connection: sqlite3.Connection) -> None:
    _run_each(connection, _2_TO_3)
    faults = connection.execute("SELECT id, fault FROM requests WHERE fault IS NOT NULL").fetchall()
    for request_id, fault in faults:
        connection.execute("UPDATE requests SET fault = ? WHERE id = ?", (_fault_3(fault), request_id))


def _fault_3(fault: str) -> str:
    """Return the JSON text of a *fault* with the fault's name under its new key."""
    return json.dumps({"name" if key == "fault" else key: part for key, part in json.loads(fault).items()})


_3_TO_4 = """
CREATE TABLE receipt_counts (
    account_id INTEGER NOT NULL, outcome TEXT NOT NULL, endpoint TEXT NOT NULL, event TEXT NOT NULL,
    test BOOLEAN NOT NULL, count INTEGER NOT NULL, last_id INTEGER NOT NULL,
    PRIMARY KEY (account_id, outcome, endpoint, event, test)
) WITHOUT ROWID;

INSERT INTO receipt_counts
SELECT account_id, outcome, endpoint, coalesce('"' || event || '"', 'null'), test, count(*), max(id)
FROM receipts GROUP BY 1, 2, 3, 4, 5;

ALTER TABLE accounts RENAME TO accounts_3;
CREATE TABLE accounts (
    id INTEGER NOT NULL, name TEXT NOT NULL, evicted_requests INTEGER NOT NULL, evicted_receipts INTEGER NOT NULL,
    last_evicted INTEGER NOT NULL,
    PRIMARY KEY (id), UNIQUE (name)
);
-- The oldest go first, whosever they are, and none is newer than the last one that the account ever had.
INSERT INTO accounts
SELECT id, name, evicted_requests, evicted_receipts,
       CASE WHEN evicted_receipts > 0 THEN min(
           coalesce((SELECT min(id) - 1 FROM receipts), 9223372036854775807),
           coalesce((SELECT max(first_receipt + receipt_count - 1) FROM requests WHERE account_id = accounts_3.id),
                    (SELECT max(first_receipt + receipt_count - 1) FROM requests),
                    (SELECT max(receipt_id) FROM distinct_ids), 0)
       ) ELSE 0 END
FROM accounts_3;
DROP TABLE accounts_3
"""


def _from_3_to_4(connection: sqlite3.Connection) -> None:
    _run_each(connection, _3_TO_4)


_4_TO_5 = """
ALTER TABLE requests ADD COLUMN answer_headers TEXT;
ALTER TABLE requests ADD COLUMN answer_body BLOB
"""


_PHONE_5 = "phone_number"
_WITH_PHONE_4 = """
SELECT pk, account_id, version.content, base.content
FROM visitors
JOIN visitor_versions AS version ON version.id = version_id
LEFT JOIN visitor_versions AS base ON base.id = version.base_id
WHERE version.content LIKE '%"phone_number":%' OR base.content LIKE '%"phone_number":%'
"""


def _from_4_to_5(connection: sqlite3.Connection) -> None:
    _run_each(connection, _4_TO_5)
    connection.executemany("INSERT INTO identifiers (digest, visitor_pk) VALUES (?, ?)", _phones(connection))


def _phones(connection: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    """Yield a row of the identifiers for each visitor with a phone number: from now on they are found by it."""
    for pk, account_id, content, base in connection.execute(_WITH_PHONE_4):
        parts: list[dict[str, Any]] = [json.loads(text)["properties"] for text in (base, content) if text]
        phone = next((part[_PHONE_5] for part in reversed(parts) if _PHONE_5 in part), None)
        name = _phone_name(phone)
        if name is not None:
            text = f"{_PHONE_5}:{name}".encode("utf-8", "surrogatepass")
            yield f"{account_id}:{blake2b(text, digest_size=16).hexdigest()}", pk


def _phone_name(phone: object) -> str | None:
    """Return what a phone number is compared as."""
    if isinstance(phone, int | float) and not isinstance(phone, bool):
        phone = number_text(phone)
    if not isinstance(phone, str):
        return None
    number = re.fullmatch(r"(?:\+|00(?=[0-9]))?([0-9]+)", re.sub("[-. ()/]", "", phone))
    if number is not None:
        return number[1]
    return phone if any(map(str.isdecimal, phone)) else None


_5_TO_6 = """
CREATE TABLE failed_attempts (
    call_key TEXT NOT NULL, account_id INTEGER NOT NULL, call_id INTEGER NOT NULL, attempt INTEGER NOT NULL,
    received_at BIGINT NOT NULL, started FLOAT NOT NULL, retry_after FLOAT,
    PRIMARY KEY (call_key)
) WITHOUT ROWID
"""


def _from_5_to_6(connection: sqlite3.Connection) -> None:
    _run_each(connection, _5_TO_6)


def _run_each(connection: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";\n"):
        connection.execute(statement)


_STEPS: Mapping[int, Callable[[sqlite3.Connection], None]] = {
    2: _from_2_to_3,
    3: _from_3_to_4,
    4: _from_4_to_5,
    5: _from_5_to_6,
}

"""The statements of the writing connection, as texts that are compiled once.

What needs SQLite's dialect (upsert, json_each, RETURNING) is here and in `reader`, nowhere else.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert

from ours_emulator.store import tables


def _insert(table: sa.Table) -> str:
    return str(table.insert().compile(dialect=sqlite.dialect()))


def _upsert(table: sa.Table, *fixed: str) -> str:
    """Return the statement; *fixed* columns never change, and writing one that has an index writes that anew too."""
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    kept = {*keys, *fixed}
    changed = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in kept}
    upsert = statement.on_conflict_do_update(index_elements=keys, set_=changed)
    return str(upsert.compile(dialect=sqlite.dialect()))


INSERT_ACCOUNTS = _insert(tables.accounts)
INSERT_REQUESTS = _insert(tables.requests)
INSERT_RECEIPTS = _insert(tables.receipts)
INSERT_DISTINCT_IDS = _insert(tables.distinct_ids)
INSERT_IDENTIFIERS = _insert(tables.identifiers)
UPSERT_VISITORS = _upsert(tables.visitors, "account_id")
UPSERT_WAITING = _upsert(tables.waiting_devices)
UPSERT_MARKS = _upsert(tables.marks)

SELECT_ACCOUNTS = "SELECT name, id FROM accounts"

SELECT_MARKS = "SELECT kind, value FROM marks"

SELECT_COUNTERS = """
SELECT (SELECT count(*) FROM receipts), (SELECT count(*) FROM requests), (SELECT sum(length(body)) FROM requests),
       (SELECT max(id) FROM receipts), (SELECT max(receipt_id) FROM distinct_ids),
       max(coalesce((SELECT max(id) FROM requests), 0),
           coalesce((SELECT request_id FROM receipts ORDER BY id DESC LIMIT 1), 0)),
       (SELECT max(pk) FROM visitors),
       (SELECT count(*) FROM waiting_devices), (SELECT max(pk) FROM waiting_devices)
"""

# For each digest the oldest visitors only: everybody may share one email.
SELECT_VISITORS = """
SELECT pk, account_id, visitor_id, properties, event_count, first_seen, last_seen, anonymous_id, data, devices
FROM json_each(?2) AS wanted
JOIN identifiers ON digest = wanted.value AND visitor_pk IN
    (SELECT visitor_pk FROM identifiers WHERE digest = wanted.value ORDER BY visitor_pk LIMIT ?1)
JOIN visitors ON pk = visitor_pk
"""

SELECT_ORIGINALS = """
SELECT digest, receipt_id, visitor_pk, visitor_id, event, content
FROM json_each(?) AS wanted
JOIN distinct_ids ON digest = wanted.value
LEFT JOIN receipts ON receipts.id = receipt_id
LEFT JOIN visitors ON pk = visitor_pk
"""

SELECT_WAITING = """
SELECT pk, account_id, identity, device FROM waiting_devices
WHERE external_digest IN (SELECT value FROM json_each(?1)) OR anonymous_digest IN (SELECT value FROM json_each(?1))
ORDER BY pk
"""

SELECT_CALL = """
SELECT call_id, received_at FROM requests
WHERE account_id = ? AND id >= ? AND path = ? AND attempt = ? AND body = ?
ORDER BY id DESC LIMIT 1
"""

SUM_BODIES = "SELECT coalesce(sum(length(body)), 0) FROM requests WHERE account_id = ?"

COUNT_WAITING = "SELECT count(*) FROM waiting_devices"

UPDATE_REPEATS = "UPDATE receipts SET repeats = repeats + ? WHERE id = ?"
DELETE_IDENTIFIERS = "DELETE FROM identifiers WHERE digest = ? AND visitor_pk = ?"
DELETE_WAITING = "DELETE FROM waiting_devices WHERE pk = ?"

EVICT_RECEIPTS = """
DELETE FROM receipts WHERE id IN (SELECT id FROM receipts ORDER BY id LIMIT ?) RETURNING account_id
"""
EVICT_REQUESTS = """
DELETE FROM requests WHERE id IN (SELECT id FROM requests ORDER BY id LIMIT ?) RETURNING account_id, length(body)
"""
COUNT_EVICTED_RECEIPTS = "UPDATE accounts SET evicted_receipts = evicted_receipts + ? WHERE id = ?"
COUNT_EVICTED_REQUESTS = "UPDATE accounts SET evicted_requests = evicted_requests + ? WHERE id = ?"

DELETE_ACCOUNT = "DELETE FROM accounts WHERE name = ?"
CLEAR_VISITORS = "DELETE FROM visitors WHERE account_id = ?"
CLEAR_RECEIPTS = "DELETE FROM receipts WHERE account_id = ?"
CLEAR_REQUESTS = "DELETE FROM requests WHERE account_id = ?"
CLEAR_IDENTIFIERS = "DELETE FROM identifiers WHERE digest >= ? AND digest < ?"
CLEAR_DISTINCT_IDS = "DELETE FROM distinct_ids WHERE digest >= ? AND digest < ?"
CLEAR_WAITING = "DELETE FROM waiting_devices WHERE account_id = ?"
CLEAR_EVICTED = "UPDATE accounts SET evicted_requests = 0, evicted_receipts = 0 WHERE id = ?"

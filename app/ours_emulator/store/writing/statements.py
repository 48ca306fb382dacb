"""The statements of the writing connection, beside those in `table_sql`.

Two things have another name in each database, and a name of their own here: elements(json) is a table with the items of
a JSON array in the column `value`, and key(text) is what an index has of a text that may be long.
"""

SELECT_ACCOUNTS = "SELECT name, id FROM accounts"

SELECT_MARKS = "SELECT kind, value FROM marks"

# Of a request and of its answer.
BODY_BYTES = "length(body) + coalesce(length(answer_body), 0)"
SELECT_COUNTERS = f"""
SELECT (SELECT count(*) FROM receipts), (SELECT count(*) FROM requests),
       (SELECT CAST(sum({BODY_BYTES}) AS BIGINT) FROM requests),
       (SELECT max(id) FROM receipts), (SELECT max(receipt_id) FROM distinct_ids),
       (SELECT first_receipt + receipt_count - 1 FROM requests ORDER BY id DESC LIMIT 1),
       (SELECT max(id) FROM requests), (SELECT request_id FROM receipts ORDER BY id DESC LIMIT 1),
       (SELECT max(pk) FROM visitors),
       (SELECT count(*) FROM pending_devices), (SELECT max(pk) FROM pending_devices),
       (SELECT count(*) FROM failed_attempts)
"""

VISITOR_COLUMNS = """
SELECT pk, account_id, visitor_id, event_count, first_seen, last_seen,
       version.id, version.base_id, version.patched_bytes, version.content, base.content
"""
FROM_VISITORS = """
JOIN visitors ON pk = named.visitor_pk
JOIN visitor_versions AS version ON version.id = version_id
LEFT JOIN visitor_versions AS base ON base.id = version.base_id
"""
# For each digest the oldest visitors only: everybody may share one email.
SELECT_VISITORS = f"""
{VISITOR_COLUMNS}
FROM elements(?2) AS wanted
JOIN identifiers AS named ON digest = wanted.value AND named.visitor_pk IN
    (SELECT visitor_pk FROM identifiers WHERE digest = wanted.value ORDER BY visitor_pk LIMIT ?1)
{FROM_VISITORS}
"""

SELECT_ORIGINALS = """
SELECT digest, receipt_id, visitor_pk, visitor_id, event, content
FROM elements(?1) AS wanted
JOIN distinct_ids ON digest = wanted.value
LEFT JOIN receipts ON receipts.id = receipt_id
LEFT JOIN visitors ON pk = visitor_pk
"""

SELECT_PENDING = """
SELECT pk, account_id, identity, device FROM pending_devices
WHERE external_digest IN (SELECT value FROM elements(?1) AS wanted)
    OR anonymous_digest IN (SELECT value FROM elements(?1) AS wanted)
ORDER BY pk
"""

SELECT_CALL = """
SELECT call_id, received_at FROM requests
WHERE account_id = ? AND id >= ? AND path = ? AND attempt = ? AND body = ?
ORDER BY id DESC LIMIT 1
"""

SELECT_FAILED_ATTEMPTS = """
SELECT call_key, call_id, attempt, received_at, started, retry_after
FROM elements(?1) AS wanted JOIN failed_attempts ON call_key = wanted.value
"""
DELETE_FAILED_ATTEMPTS = "DELETE FROM failed_attempts WHERE call_key = ?"
COUNT_FAILED_ATTEMPTS = "SELECT count(*) FROM failed_attempts"
EVICT_FAILED_ATTEMPTS = """
DELETE FROM failed_attempts WHERE call_key IN (SELECT call_key FROM failed_attempts ORDER BY started LIMIT ?)
"""
CLEAR_FAILED_ATTEMPTS = "DELETE FROM failed_attempts WHERE account_id = ?"

# Texts are ASCII, so that a character is a byte.
# Those of the versions that visitors have now, with what these are patches of.
_SUM_PRESENT = """
SELECT CAST(coalesce(sum(length(version.content) + coalesce(length(base.content), 0)), 0) AS BIGINT)
FROM visitors JOIN visitor_versions AS version ON version.id = version_id
LEFT JOIN visitor_versions AS base ON base.id = version.base_id
"""
SUM_PRESENT_VERSIONS = f"{_SUM_PRESENT} WHERE pk IN (SELECT CAST(value AS BIGINT) FROM elements(?1) AS wanted)"
# Of receipts and versions; and of the present versions alone.
SUM_EVENTS = f"""
SELECT CAST((SELECT coalesce(sum(length(content) + length(explanation)), 0) FROM receipts)
        + (SELECT coalesce(sum(length(content)), 0) FROM visitor_versions) AS BIGINT),
    ({_SUM_PRESENT})
"""
# Each with the version that it left, which goes with it, or soon after.
SELECT_OLDEST_SIZES = """
SELECT length(receipts.content) + length(explanation) + coalesce(length(version.content), 0)
FROM receipts LEFT JOIN visitor_versions AS version ON version.id = receipts.id
ORDER BY receipts.id LIMIT ?
"""

SUM_PENDING = "SELECT CAST(coalesce(sum(length(identity) + length(device)), 0) AS BIGINT) FROM pending_devices"
EVICT_PENDING = """
DELETE FROM pending_devices WHERE pk IN (
    SELECT pk FROM (
        SELECT pk, row_number() OVER newer AS count, sum(length(identity) + length(device)) OVER newer AS size
        FROM pending_devices WINDOW newer AS (ORDER BY pk DESC)
    ) AS pending WHERE count > ? OR size > ?
)
"""
COUNT_PENDING = "SELECT count(*) FROM pending_devices"

UPDATE_REPEATS = "UPDATE receipts SET repeats = repeats + ? WHERE id = ?"
DELETE_IDENTIFIERS = "DELETE FROM identifiers WHERE digest = ? AND visitor_pk = ?"
DELETE_PENDING = "DELETE FROM pending_devices WHERE pk = ?"

ADD_RECEIPT_COUNTS = """
INSERT INTO receipt_counts (account_id, outcome, endpoint, event, test, count, last_id) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account_id, outcome, endpoint, key(event), test)
DO UPDATE SET count = receipt_counts.count + excluded.count, last_id = excluded.last_id
"""
SUBTRACT_RECEIPT_COUNTS = """
UPDATE receipt_counts SET count = count - ?6
WHERE account_id = ?1 AND outcome = ?2 AND endpoint = ?3 AND key(event) = key(?4) AND event = ?4 AND test = ?5
"""
DELETE_EMPTY_RECEIPT_COUNTS = """
DELETE FROM receipt_counts
WHERE account_id = ?1 AND outcome = ?2 AND endpoint = ?3 AND key(event) = key(?4) AND event = ?4 AND test = ?5
    AND count <= 0
"""

EVICT_RECEIPTS = """
DELETE FROM receipts WHERE id IN (SELECT id FROM receipts ORDER BY id LIMIT ?)
RETURNING account_id, outcome, endpoint, event, test, id, visitor_pk, length(content) + length(explanation)
"""
# Of each visitor: what is older than the version in force right before the oldest receipt that is kept, but for the
# version that this one is a patch of.
EVICT_VERSIONS = """
WITH in_force AS (
    SELECT version.visitor_pk, version.id, version.base_id FROM elements(?1) AS wanted
    JOIN visitor_versions AS version ON version.id = (
        SELECT max(id) FROM visitor_versions
        WHERE visitor_pk = CAST(wanted.value AS BIGINT)
            AND id < coalesce((SELECT min(id) FROM receipts), 9223372036854775807)
    )
)
DELETE FROM visitor_versions WHERE id IN (
    SELECT old.id FROM in_force
    JOIN visitor_versions AS old
        ON old.visitor_pk = in_force.visitor_pk AND old.id < in_force.id AND old.id <> coalesce(in_force.base_id, 0)
)
RETURNING length(content)
"""
EVICT_REQUESTS = f"""
DELETE FROM requests WHERE id IN (SELECT id FROM requests ORDER BY id LIMIT ?) RETURNING account_id, {BODY_BYTES}
"""
COUNT_EVICTED_RECEIPTS = """
UPDATE accounts SET evicted_receipts = evicted_receipts + ?1,
    last_evicted = CASE WHEN last_evicted < ?2 THEN ?2 ELSE last_evicted END
WHERE id = ?3
"""
COUNT_EVICTED_REQUESTS = "UPDATE accounts SET evicted_requests = evicted_requests + ? WHERE id = ?"

# An account that is being removed.
RENAME_ACCOUNT = "UPDATE accounts SET name = ? WHERE id = ?"
COUNT_VISITORS_OF = "SELECT count(*) FROM visitors WHERE account_id = ?"
COUNT_REQUESTS_OF = "SELECT count(*) FROM requests WHERE account_id = ?"
COUNT_RECEIPTS_OF = "SELECT CAST(coalesce(sum(count), 0) AS BIGINT) FROM receipt_counts WHERE account_id = ?"
REMOVE_IDENTIFIERS = """
DELETE FROM identifiers WHERE (digest, visitor_pk) IN (
    SELECT digest, visitor_pk FROM identifiers WHERE digest >= ? AND digest < ? LIMIT ?
)
RETURNING 1
"""
REMOVE_DISTINCT_IDS = """
DELETE FROM distinct_ids WHERE digest IN (SELECT digest FROM distinct_ids WHERE digest >= ? AND digest < ? LIMIT ?)
RETURNING 1
"""
REMOVE_RECEIPTS = """
DELETE FROM receipts WHERE id IN (SELECT id FROM receipts WHERE account_id = ? LIMIT ?)
RETURNING length(content) + length(explanation)
"""
REMOVE_REQUESTS = f"""
DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE account_id = ? LIMIT ?) RETURNING {BODY_BYTES}
"""
SELECT_SOME_VISITORS = "SELECT pk FROM visitors WHERE account_id = ? LIMIT ?"
REMOVE_EARLIER_VERSIONS = """
DELETE FROM visitor_versions WHERE id IN (
    SELECT earlier.id FROM elements(?1) AS wanted
    JOIN visitors ON pk = CAST(wanted.value AS BIGINT)
    JOIN visitor_versions AS present ON present.id = version_id
    JOIN visitor_versions AS earlier
        ON earlier.visitor_pk = pk AND earlier.id <> version_id AND earlier.id <> coalesce(present.base_id, 0)
    LIMIT ?2
)
RETURNING length(content)
"""
REMOVE_VERSIONS = """
DELETE FROM visitor_versions WHERE visitor_pk IN (SELECT CAST(value AS BIGINT) FROM elements(?1) AS wanted)
RETURNING length(content)
"""
REMOVE_VISITORS = "DELETE FROM visitors WHERE pk IN (SELECT CAST(value AS BIGINT) FROM elements(?1) AS wanted)"
DELETE_ACCOUNT = "DELETE FROM accounts WHERE id = ?"
CLEAR_PENDING = "DELETE FROM pending_devices WHERE account_id = ?"
CLEAR_COUNTS = "DELETE FROM receipt_counts WHERE account_id = ?"

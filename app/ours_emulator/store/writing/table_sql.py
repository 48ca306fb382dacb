"""How a row is written.

Generated from tables.py by scripts/generate_table_sql.py; do not edit.
"""

INSERT_ACCOUNTS = """
INSERT INTO accounts (id, name, evicted_requests, evicted_receipts, last_evicted) VALUES (?, ?, ?, ?, ?)
"""
INSERT_REQUESTS = """
INSERT INTO requests (id, account_id, call_id, attempt, gap_ms, endpoint, method, path, status, received_at,
duration_us, content_type, content_encoding, first_receipt, receipt_count, "authorization", oversized, fault,
body, answer_headers, answer_body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_RECEIPTS = """
INSERT INTO receipts (id, account_id, request_id, batch_index, endpoint, outcome, event, visitor_pk,
distinct_id, time, received_at, test, repeats, version_id, content, explanation) VALUES (?, ?, ?, ?, ?, ?, ?,
?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_DISTINCT_IDS = """
INSERT INTO distinct_ids (digest, receipt_id) VALUES (?, ?)
"""
INSERT_IDENTIFIERS = """
INSERT INTO identifiers (digest, visitor_pk) VALUES (?, ?)
"""
INSERT_VISITOR_VERSIONS = """
INSERT INTO visitor_versions (id, visitor_pk, base_id, patched_bytes, content) VALUES (?, ?, ?, ?, ?)
"""
UPSERT_VISITORS = """
INSERT INTO visitors (pk, account_id, visitor_id, version_id, event_count, first_seen, last_seen) VALUES (?,
?, ?, ?, ?, ?, ?) ON CONFLICT (pk) DO UPDATE SET version_id = excluded.version_id, event_count =
excluded.event_count, first_seen = excluded.first_seen, last_seen = excluded.last_seen
"""
UPSERT_PENDING_DEVICES = """
INSERT INTO pending_devices (pk, account_id, external_digest, anonymous_digest, identity, device) VALUES (?,
?, ?, ?, ?, ?) ON CONFLICT (pk) DO UPDATE SET account_id = excluded.account_id, external_digest =
excluded.external_digest, anonymous_digest = excluded.anonymous_digest, identity = excluded.identity, device =
excluded.device
"""
UPSERT_FAILED_ATTEMPTS = """
INSERT INTO failed_attempts (call_key, account_id, call_id, attempt, received_at, started, retry_after) VALUES
(?, ?, ?, ?, ?, ?, ?) ON CONFLICT (call_key) DO UPDATE SET account_id = excluded.account_id, call_id =
excluded.call_id, attempt = excluded.attempt, received_at = excluded.received_at, started = excluded.started,
retry_after = excluded.retry_after
"""
UPSERT_MARKS = """
INSERT INTO marks (kind, value) VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET value = excluded.value
"""

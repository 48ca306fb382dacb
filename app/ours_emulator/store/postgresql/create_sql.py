"""How the tables are made.

Generated from tables.py by scripts/generate_table_sql.py; do not edit.
"""

CREATE = (
    """
CREATE TABLE accounts (id BIGINT NOT NULL, name TEXT COLLATE "C" NOT NULL, evicted_requests BIGINT NOT NULL,
evicted_receipts BIGINT NOT NULL, last_evicted BIGINT NOT NULL, PRIMARY KEY (id), UNIQUE (name))
""",
    """
CREATE TABLE distinct_ids (digest TEXT COLLATE "C" NOT NULL, receipt_id BIGINT NOT NULL, PRIMARY KEY (digest))
""",
    """
CREATE TABLE failed_attempts (call_key TEXT COLLATE "C" NOT NULL, account_id BIGINT NOT NULL, call_id BIGINT
NOT NULL, attempt BIGINT NOT NULL, received_at BIGINT NOT NULL, started FLOAT NOT NULL, retry_after FLOAT,
PRIMARY KEY (call_key))
""",
    """
CREATE TABLE identifiers (digest TEXT COLLATE "C" NOT NULL, visitor_pk BIGINT NOT NULL, PRIMARY KEY (digest,
visitor_pk))
""",
    """
CREATE TABLE marks (kind TEXT COLLATE "C" NOT NULL, value BIGINT NOT NULL, PRIMARY KEY (kind))
""",
    """
CREATE TABLE pending_devices (pk BIGINT NOT NULL, account_id BIGINT NOT NULL, external_digest TEXT COLLATE
"C", anonymous_digest TEXT COLLATE "C", identity TEXT COLLATE "C" NOT NULL, device TEXT COLLATE "C" NOT NULL,
PRIMARY KEY (pk))
""",
    """
CREATE INDEX ix_pending_devices_anonymous_digest ON pending_devices (anonymous_digest, pk)
""",
    """
CREATE INDEX ix_pending_devices_external_digest ON pending_devices (external_digest, pk)
""",
    """
CREATE TABLE receipt_counts (account_id BIGINT NOT NULL, outcome TEXT COLLATE "C" NOT NULL, endpoint TEXT
COLLATE "C" NOT NULL, event TEXT COLLATE "C" NOT NULL, test BOOLEAN NOT NULL, count BIGINT NOT NULL, last_id
BIGINT NOT NULL)
""",
    """
CREATE UNIQUE INDEX receipt_counts_key ON receipt_counts (account_id, outcome, endpoint, md5(event), test)
""",
    """
CREATE TABLE receipts (id BIGINT NOT NULL, account_id BIGINT NOT NULL, request_id BIGINT NOT NULL, batch_index
BIGINT, endpoint TEXT COLLATE "C" NOT NULL, outcome TEXT COLLATE "C" NOT NULL, event TEXT COLLATE "C",
visitor_pk BIGINT, distinct_id TEXT COLLATE "C", time FLOAT NOT NULL, received_at BIGINT NOT NULL, test
BOOLEAN NOT NULL, repeats BIGINT NOT NULL, version_id BIGINT, content TEXT COLLATE "C" NOT NULL, explanation
TEXT COLLATE "C" NOT NULL, PRIMARY KEY (id))
""",
    """
CREATE INDEX ix_receipts_visitor_pk ON receipts (visitor_pk, id)
""",
    """
CREATE INDEX receipts_by_event ON receipts (account_id, md5(event), id)
""",
    """
CREATE INDEX receipts_by_time ON receipts (account_id, time, id)
""",
    """
CREATE TABLE requests (id BIGINT NOT NULL, account_id BIGINT NOT NULL, call_id BIGINT NOT NULL, attempt BIGINT
NOT NULL, gap_ms FLOAT, endpoint TEXT COLLATE "C" NOT NULL, method TEXT COLLATE "C" NOT NULL, path TEXT
COLLATE "C" NOT NULL, status BIGINT NOT NULL, received_at BIGINT NOT NULL, duration_us BIGINT NOT NULL,
content_type TEXT COLLATE "C" NOT NULL, content_encoding TEXT COLLATE "C" NOT NULL, first_receipt BIGINT NOT
NULL, receipt_count BIGINT NOT NULL, "authorization" TEXT COLLATE "C" NOT NULL, oversized BOOLEAN NOT NULL,
fault TEXT COLLATE "C", body BYTEA NOT NULL, answer_headers TEXT COLLATE "C", answer_body BYTEA, PRIMARY KEY
(id))
""",
    """
CREATE INDEX ix_requests_account_id ON requests (account_id, id)
""",
    """
CREATE INDEX requests_by_call ON requests (call_id, id) WHERE attempt > 1
""",
    """
CREATE TABLE visitor_versions (id BIGINT NOT NULL, visitor_pk BIGINT NOT NULL, base_id BIGINT, patched_bytes
BIGINT NOT NULL, content TEXT COLLATE "C" NOT NULL, PRIMARY KEY (id))
""",
    """
CREATE INDEX ix_visitor_versions_visitor_pk ON visitor_versions (visitor_pk, id)
""",
    """
CREATE TABLE visitors (pk BIGINT NOT NULL, account_id BIGINT NOT NULL, visitor_id TEXT COLLATE "C" NOT NULL,
version_id BIGINT NOT NULL, event_count BIGINT NOT NULL, first_seen BIGINT NOT NULL, last_seen BIGINT NOT
NULL, PRIMARY KEY (pk))
""",
    """
CREATE INDEX ix_visitors_account_id ON visitors (account_id, pk)
""",
)

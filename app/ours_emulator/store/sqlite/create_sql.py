"""How the tables are made.

Generated from tables.py by scripts/generate_table_sql.py; do not edit.
"""

CREATE = (
    """
CREATE TABLE accounts (id INTEGER NOT NULL, name TEXT NOT NULL, evicted_requests INTEGER NOT NULL,
evicted_receipts INTEGER NOT NULL, last_evicted INTEGER NOT NULL, PRIMARY KEY (id), UNIQUE (name))
""",
    """
CREATE TABLE distinct_ids (digest TEXT NOT NULL, receipt_id INTEGER NOT NULL, PRIMARY KEY (digest)) WITHOUT
ROWID
""",
    """
CREATE TABLE failed_attempts (call_key TEXT NOT NULL, account_id INTEGER NOT NULL, call_id INTEGER NOT NULL,
attempt INTEGER NOT NULL, received_at BIGINT NOT NULL, started FLOAT NOT NULL, retry_after FLOAT, PRIMARY KEY
(call_key)) WITHOUT ROWID
""",
    """
CREATE TABLE identifiers (digest TEXT NOT NULL, visitor_pk INTEGER NOT NULL, PRIMARY KEY (digest, visitor_pk))
WITHOUT ROWID
""",
    """
CREATE TABLE marks (kind TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (kind))
""",
    """
CREATE TABLE pending_devices (pk INTEGER NOT NULL, account_id INTEGER NOT NULL, external_digest TEXT,
anonymous_digest TEXT, identity TEXT NOT NULL, device TEXT NOT NULL, PRIMARY KEY (pk))
""",
    """
CREATE INDEX ix_pending_devices_anonymous_digest ON pending_devices (anonymous_digest)
""",
    """
CREATE INDEX ix_pending_devices_external_digest ON pending_devices (external_digest)
""",
    """
CREATE TABLE receipt_counts (account_id INTEGER NOT NULL, outcome TEXT NOT NULL, endpoint TEXT NOT NULL, event
TEXT NOT NULL, test BOOLEAN NOT NULL, count INTEGER NOT NULL, last_id INTEGER NOT NULL, PRIMARY KEY
(account_id, outcome, endpoint, event, test)) WITHOUT ROWID
""",
    """
CREATE TABLE receipts (id INTEGER NOT NULL, account_id INTEGER NOT NULL, request_id INTEGER NOT NULL,
batch_index INTEGER, endpoint TEXT NOT NULL, outcome TEXT NOT NULL, event TEXT, visitor_pk INTEGER,
distinct_id TEXT, time FLOAT NOT NULL, received_at BIGINT NOT NULL, test BOOLEAN NOT NULL, repeats INTEGER NOT
NULL, version_id INTEGER, content TEXT NOT NULL, explanation TEXT NOT NULL, PRIMARY KEY (id))
""",
    """
CREATE INDEX ix_receipts_visitor_pk ON receipts (visitor_pk)
""",
    """
CREATE INDEX receipts_by_event ON receipts (account_id, event)
""",
    """
CREATE INDEX receipts_by_time ON receipts (account_id, time)
""",
    """
CREATE TABLE requests (id INTEGER NOT NULL, account_id INTEGER NOT NULL, call_id INTEGER NOT NULL, attempt
INTEGER NOT NULL, gap_ms FLOAT, endpoint TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, status
INTEGER NOT NULL, received_at BIGINT NOT NULL, duration_us INTEGER NOT NULL, content_type TEXT NOT NULL,
content_encoding TEXT NOT NULL, first_receipt INTEGER NOT NULL, receipt_count INTEGER NOT NULL,
"authorization" TEXT NOT NULL, oversized BOOLEAN NOT NULL, fault TEXT, body BLOB NOT NULL, answer_headers
TEXT, answer_body BLOB, PRIMARY KEY (id))
""",
    """
CREATE INDEX ix_requests_account_id ON requests (account_id)
""",
    """
CREATE INDEX requests_by_call ON requests (call_id) WHERE attempt > 1
""",
    """
CREATE TABLE visitor_versions (id INTEGER NOT NULL, visitor_pk INTEGER NOT NULL, base_id INTEGER,
patched_bytes INTEGER NOT NULL, content TEXT NOT NULL, PRIMARY KEY (id))
""",
    """
CREATE INDEX ix_visitor_versions_visitor_pk ON visitor_versions (visitor_pk)
""",
    """
CREATE TABLE visitors (pk INTEGER NOT NULL, account_id INTEGER NOT NULL, visitor_id TEXT NOT NULL, version_id
INTEGER NOT NULL, event_count INTEGER NOT NULL, first_seen BIGINT NOT NULL, last_seen BIGINT NOT NULL, PRIMARY
KEY (pk))
""",
    """
CREATE INDEX ix_visitors_account_id ON visitors (account_id)
""",
)

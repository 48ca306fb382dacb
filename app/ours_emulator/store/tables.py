"""The tables.

Importing SQLAlchemy takes a fifth of a second, so the writer does without: it uses SQL that was generated from these
tables by scripts/generate_table_sql.py.
"""

import sqlalchemy as sa

metadata = sa.MetaData()
accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("evicted_requests", sa.Integer, nullable=False),
    sa.Column("evicted_receipts", sa.Integer, nullable=False),
    # The largest id of a receipt that was evicted; 0 if none was.
    sa.Column("last_evicted", sa.Integer, nullable=False),
)
visitors = sa.Table(
    "visitors",
    metadata,
    sa.Column("pk", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.Integer, nullable=False, index=True),
    sa.Column("visitor_id", sa.Text, nullable=False),
    sa.Column("version_id", sa.Integer, nullable=False),
    sa.Column("event_count", sa.Integer, nullable=False),
    sa.Column("first_seen", sa.BigInteger, nullable=False),
    sa.Column("last_seen", sa.BigInteger, nullable=False),
)
visitor_versions = sa.Table(
    "visitor_versions",
    metadata,
    # The id of the receipt that left it: which version was in force when another one came is found by comparing.
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("visitor_pk", sa.Integer, nullable=False, index=True),
    # The version that this one is a patch of; NULL if it is whole.
    sa.Column("base_id", sa.Integer),
    sa.Column("patched_bytes", sa.Integer, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
)
# Long random keys make the indexes of a large store slow, so names are looked up by a short digest.
identifiers = sa.Table(
    "identifiers",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("visitor_pk", sa.Integer, primary_key=True),
    sqlite_with_rowid=False,
)
distinct_ids = sa.Table(
    "distinct_ids",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("receipt_id", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
# Devices whose visitor has not appeared yet, found by either of the names they may appear under. There are few.
pending_devices = sa.Table(
    "pending_devices",
    metadata,
    sa.Column("pk", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.Integer, nullable=False),
    sa.Column("external_digest", sa.Text, index=True),
    sa.Column("anonymous_digest", sa.Text, index=True),
    # JSON: the identifiers by their kind, and the device as it was registered.
    sa.Column("identity", sa.Text, nullable=False),
    sa.Column("device", sa.Text, nullable=False),
)
requests = sa.Table(
    "requests",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.Integer, nullable=False, index=True),
    sa.Column("call_id", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("gap_ms", sa.Float),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
    sa.Column("duration_us", sa.Integer, nullable=False),
    sa.Column("content_type", sa.Text, nullable=False),
    sa.Column("content_encoding", sa.Text, nullable=False),
    sa.Column("first_receipt", sa.Integer, nullable=False),
    sa.Column("receipt_count", sa.Integer, nullable=False),
    sa.Column("authorization", sa.Text, nullable=False),
    sa.Column("oversized", sa.Boolean, nullable=False),
    # JSON: what a fault did to it.
    sa.Column("fault", sa.Text),
    sa.Column("body", sa.LargeBinary, nullable=False),
    # The answer; NULL if there was none, or if it is from before store version 5. Headers are JSON.
    sa.Column("answer_headers", sa.Text),
    sa.Column("answer_body", sa.LargeBinary),
    sa.Index("requests_by_call", "call_id", sqlite_where=sa.text("attempt > 1")),
)
# How many receipts there are of each kind, so that nobody has to count them. `last_id` is the newest one's.
receipt_counts = sa.Table(
    "receipt_counts",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True),
    sa.Column("outcome", sa.Text, primary_key=True),
    sa.Column("endpoint", sa.Text, primary_key=True),
    # JSON: null if it has no name.
    sa.Column("event", sa.Text, primary_key=True),
    sa.Column("test", sa.Boolean, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("last_id", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
# The highest numbers that were ever given out, when what had them is forgotten: ids are never used again.
marks = sa.Table(
    "marks",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
)
receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.Integer, nullable=False),
    sa.Column("request_id", sa.Integer, nullable=False),
    sa.Column("batch_index", sa.Integer),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("event", sa.Text),
    sa.Column("visitor_pk", sa.Integer, index=True),
    sa.Column("distinct_id", sa.Text),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
    sa.Column("test", sa.Boolean, nullable=False),
    sa.Column("repeats", sa.Integer, nullable=False),
    # The visitor as this receipt left them.
    sa.Column("version_id", sa.Integer),
    # JSON: what was sent (event_properties, ...), and why it ended so (resolution, hints, reason).
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("explanation", sa.Text, nullable=False),
    sa.Index("receipts_by_time", "account_id", "time"),
    # A wait asks for one name, after one id: few keys, each growing at its end.
    sa.Index("receipts_by_event", "account_id", "event"),
)

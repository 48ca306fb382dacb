"""The tables.

Importing SQLAlchemy takes a fifth of a second, so the writer does without: it uses SQL that was generated from these
tables by scripts/generate_table_sql.py.
"""

import sqlalchemy as sa

# The integers of SQLite have 64 bits. With the collation C, texts are ordered as their bytes, as in SQLite.
_Integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
metadata = sa.MetaData()
accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", _Integer, primary_key=True, autoincrement=False),
    sa.Column("name", _Text, nullable=False, unique=True),
    sa.Column("evicted_requests", _Integer, nullable=False),
    sa.Column("evicted_receipts", _Integer, nullable=False),
    # The largest id of a receipt that was evicted; 0 if none was.
    sa.Column("last_evicted", _Integer, nullable=False),
)
visitors = sa.Table(
    "visitors",
    metadata,
    sa.Column("pk", _Integer, primary_key=True, autoincrement=False),
    sa.Column("account_id", _Integer, nullable=False, index=True),
    sa.Column("visitor_id", _Text, nullable=False),
    sa.Column("version_id", _Integer, nullable=False),
    sa.Column("event_count", _Integer, nullable=False),
    sa.Column("first_seen", sa.BigInteger, nullable=False),
    sa.Column("last_seen", sa.BigInteger, nullable=False),
)
visitor_versions = sa.Table(
    "visitor_versions",
    metadata,
    # The id of the receipt that left it: which version was in force when another one came is found by comparing.
    sa.Column("id", _Integer, primary_key=True, autoincrement=False),
    sa.Column("visitor_pk", _Integer, nullable=False, index=True),
    # The version that this one is a patch of; NULL if it is whole.
    sa.Column("base_id", _Integer),
    sa.Column("patched_bytes", _Integer, nullable=False),
    sa.Column("content", _Text, nullable=False),
)
# Long random keys make the indexes of a large store slow, so names are looked up by a short digest.
identifiers = sa.Table(
    "identifiers",
    metadata,
    sa.Column("digest", _Text, primary_key=True),
    sa.Column("visitor_pk", _Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
distinct_ids = sa.Table(
    "distinct_ids",
    metadata,
    sa.Column("digest", _Text, primary_key=True),
    sa.Column("receipt_id", _Integer, nullable=False),
    sqlite_with_rowid=False,
)
# Devices whose visitor has not appeared yet, found by either of the names they may appear under. There are few.
pending_devices = sa.Table(
    "pending_devices",
    metadata,
    sa.Column("pk", _Integer, primary_key=True, autoincrement=False),
    sa.Column("account_id", _Integer, nullable=False),
    sa.Column("external_digest", _Text, index=True),
    sa.Column("anonymous_digest", _Text, index=True),
    # JSON: the identifiers by their kind, and the device as it was registered.
    sa.Column("identity", _Text, nullable=False),
    sa.Column("device", _Text, nullable=False),
)
requests = sa.Table(
    "requests",
    metadata,
    sa.Column("id", _Integer, primary_key=True, autoincrement=False),
    sa.Column("account_id", _Integer, nullable=False, index=True),
    sa.Column("call_id", _Integer, nullable=False),
    sa.Column("attempt", _Integer, nullable=False),
    sa.Column("gap_ms", sa.Float),
    sa.Column("endpoint", _Text, nullable=False),
    sa.Column("method", _Text, nullable=False),
    sa.Column("path", _Text, nullable=False),
    sa.Column("status", _Integer, nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
    sa.Column("duration_us", _Integer, nullable=False),
    sa.Column("content_type", _Text, nullable=False),
    sa.Column("content_encoding", _Text, nullable=False),
    sa.Column("first_receipt", _Integer, nullable=False),
    sa.Column("receipt_count", _Integer, nullable=False),
    sa.Column("authorization", _Text, nullable=False, quote=True),
    sa.Column("oversized", sa.Boolean, nullable=False),
    # JSON: what a fault did to it.
    sa.Column("fault", _Text),
    sa.Column("body", sa.LargeBinary, nullable=False),
    # The answer; NULL if there was none, or if it is from before store version 5. Headers are JSON.
    sa.Column("answer_headers", _Text),
    sa.Column("answer_body", sa.LargeBinary),
    # scripts/generate_table_sql.py gives PostgreSQL the same condition: to name its dialect here would import that.
    sa.Index("requests_by_call", "call_id", sqlite_where=sa.text("attempt > 1")),
)
# The latest attempts of calls, if a fault hit them: the next request of the same call is a further attempt.
failed_attempts = sa.Table(
    "failed_attempts",
    metadata,
    sa.Column("call_key", _Text, primary_key=True),
    sa.Column("account_id", _Integer, nullable=False),
    sa.Column("call_id", _Integer, nullable=False),
    sa.Column("attempt", _Integer, nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
    # Seconds since the epoch by the real time, whatever the account's clock was.
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("retry_after", sa.Float),
    sqlite_with_rowid=False,
)
# How many receipts there are of each kind, so that nobody has to count them. `last_id` is the newest one's.
receipt_counts = sa.Table(
    "receipt_counts",
    metadata,
    sa.Column("account_id", _Integer, primary_key=True, autoincrement=False),
    sa.Column("outcome", _Text, primary_key=True),
    sa.Column("endpoint", _Text, primary_key=True),
    # JSON: null if it has no name.
    sa.Column("event", _Text, primary_key=True),
    sa.Column("test", sa.Boolean, primary_key=True),
    sa.Column("count", _Integer, nullable=False),
    sa.Column("last_id", _Integer, nullable=False),
    sqlite_with_rowid=False,
)
# The highest numbers that were ever given out, when what had them is forgotten: ids are never used again.
marks = sa.Table(
    "marks",
    metadata,
    sa.Column("kind", _Text, primary_key=True),
    sa.Column("value", _Integer, nullable=False),
)
receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("id", _Integer, primary_key=True, autoincrement=False),
    sa.Column("account_id", _Integer, nullable=False),
    sa.Column("request_id", _Integer, nullable=False),
    sa.Column("batch_index", _Integer),
    sa.Column("endpoint", _Text, nullable=False),
    sa.Column("outcome", _Text, nullable=False),
    sa.Column("event", _Text),
    sa.Column("visitor_pk", _Integer, index=True),
    sa.Column("distinct_id", _Text),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
    sa.Column("test", sa.Boolean, nullable=False),
    sa.Column("repeats", _Integer, nullable=False),
    # The visitor as this receipt left them.
    sa.Column("version_id", _Integer),
    # JSON: what was sent (event_properties, ...), and why it ended so (resolution, hints, reason).
    sa.Column("content", _Text, nullable=False),
    sa.Column("explanation", _Text, nullable=False),
    sa.Index("receipts_by_time", "account_id", "time"),
    # A wait asks for one name, after one id: few keys, each growing at its end.
    sa.Index("receipts_by_event", "account_id", "event"),
)

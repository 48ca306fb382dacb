"""The store: visitors, receipts and the journal in SQLite; the only package that knows SQLAlchemy."""

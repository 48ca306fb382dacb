"""Database files that landed programs left, and what those said about them; `make_store.py` makes them."""

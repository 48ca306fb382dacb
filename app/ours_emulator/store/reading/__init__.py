"""What reads from any database, for the debug API."""

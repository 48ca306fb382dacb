"""Everything with a URL."""

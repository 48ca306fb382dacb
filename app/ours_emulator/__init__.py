"""The Ours Privacy Ingest API and Client API on your own machine."""

__version__ = "0.1.0"

"""Versions of visitors as readers select them."""

from ours_emulator.store.tables import visitor_versions

version = visitor_versions.alias("version")
base = visitor_versions.alias("base")
"""What `version` is a patch of, if it is one."""
STATE_COLUMNS = (version.c.content.label("version"), base.c.content.label("base"))

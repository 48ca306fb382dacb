"""What pytest is told when test_sdk runs the suite of the vendor's SDK, in a process of its own."""

import pytest

NO_SERVER = "Mock server tests are disabled"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what the vendor skips because it needs a server: here is one."""
    for item in items:
        item.own_markers[:] = [marker for marker in item.own_markers if marker.kwargs.get("reason") != NO_SERVER]

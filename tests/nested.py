"""Runs of pytest inside a test."""

FEW_PLUGINS = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_PLUGINS": "ours_emulator.pytest_plugin,xdist.plugin,respx.plugin,anyio.pytest_plugin,pytest_timeout",
}
"""An environment in which pytest loads what the tests need: all that is installed here would take two seconds."""

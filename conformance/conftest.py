"""Loads the suite's plugin for `pytest conformance/` with another configuration file than the suite's."""

from __future__ import annotations

pytest_plugins = ("cbspec_conformance.runner.entry", "cbspec_conformance.client.entry")

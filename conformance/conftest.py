"""Load the suite's plugin for `pytest conformance/`, also if pytest uses another configuration file than ours."""

from __future__ import annotations

pytest_plugins = ("cbspec_conformance.runner.entry",)

"""Makes the suite known to pytest, wherever the suite is run from."""

from __future__ import annotations

pytest_plugins = ("cbspec_conformance.runner.entry",)

"""Makes the suite's plugin known to pytest, wherever the suite is run from."""

from __future__ import annotations

pytest_plugins = ("conformance.plugin",)

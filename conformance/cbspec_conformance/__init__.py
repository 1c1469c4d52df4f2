"""The conformance suite: judges a relay through its socket and names the requirements that it violates."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SUITE: Final = Path(__file__).parent
"""The folder with the cases and pytest.ini, in a checkout and in an installed wheel."""

PYTEST_OPTIONS: Final = ("-c", str(SUITE / "pytest.ini"))
"""pytest options that select the suite's configuration and plugin in any folder."""

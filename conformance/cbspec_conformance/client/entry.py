"""The judge for clients as a pytest plugin: its options, and the suite for runs that name a client."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import pytest

from cbspec.catalogue.requirements import JudgedRole
from cbspec.tls_contexts import why_no_tls_1_3
from cbspec_conformance import SUITE
from cbspec_conformance.client.options import add_client_options, judges_client, read_client_options
from cbspec_conformance.runner.options import Verbosity, read_options

_OWN: Final = SUITE / "client"
_LINK: Final = SUITE.parent / "client"
"""The same folder for `pytest conformance/client`, in a checkout."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options."""
    add_client_options(parser)


@pytest.hookimpl(tryfirst=True)  # before pytest's own report would be begun, see `read_options`
def pytest_configure(config: pytest.Config) -> None:
    """Read the options, and register the suite if they name a client."""
    if not judges_client(config):
        return
    if reason := why_no_tls_1_3():
        raise pytest.UsageError(reason)
    config.addinivalue_line("filterwarnings", "default")
    Verbosity.take(config)
    if getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("-n: situations run several at once anyway; --jobs sets their number")
    options = read_client_options(config, read_options(config, JudgedRole.CLIENT))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a terminated run still writes its report
    from cbspec_conformance.client.plugin import NAME, ClientSuite  # takes half a second to import

    config.pluginmanager.register(ClientSuite(config, options), NAME)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect either the situations of clients or the cases for relays."""
    inside = collection_path.is_relative_to(_OWN) or collection_path.is_relative_to(_LINK)
    if not judges_client(config):
        return True if inside else None
    named = any(Path(argument).resolve() == _OWN for argument in config.args)
    above = collection_path in (SUITE, SUITE.parent) or SUITE.parent in collection_path.parents
    if inside:
        return True if collection_path.is_relative_to(_LINK) and not named else None
    return True if above and collection_path not in (SUITE, SUITE.parent) else None

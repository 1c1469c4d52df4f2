"""The suite's pytest plugin: read the options, start the embedded simulator if no relay is named, load the suite.

The simulator takes half a second to start, and importing the suite takes as long. This module imports little, so that
both happen at the same time.
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack

import pytest

from cbspec.tls_contexts import why_no_tls_1_3
from cbspec_conformance.runner.embedded import embedded_simulator
from cbspec_conformance.runner.marks import MARKERS
from cbspec_conformance.runner.options import Verbosity, add_options, read_options, read_profile


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)  # before pytest's own report would be begun, see `read_options`
def pytest_configure(config: pytest.Config) -> None:
    """Read options and profile, and register the suite.

    The settings of pytest.ini are repeated here for runs with another configuration file: if the value of an option is
    an existing file, such as profile.toml, pytest takes it for a test path and looks for its configuration there.
    """
    if any(config.getoption(name, None) is not None for name in ("--client", "--client-profile")):
        return  # a client is judged: see `cbspec_conformance.client.entry`
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    config.addinivalue_line("filterwarnings", "default")
    Verbosity.take(config)
    if config.getoption("--fail-fast") and getattr(config.option, "numprocesses", None):
        config.option.maxfail = 1  # xdist's workers end by it
    options = read_options(config)
    briefing = getattr(config, "workerinput", {}).get("cbspec")
    profile = None if briefing else read_profile(options)
    runs = not (briefing or config.option.collectonly or config.option.help)
    simulator = started = None
    if runs and (reason := why_no_tls_1_3()):
        raise pytest.UsageError(reason)
    if runs:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a terminated run still writes its report
    stack = ExitStack()
    config.add_cleanup(stack.close)
    if runs and profile is None:
        simulator = stack.enter_context(embedded_simulator())
    if runs and profile is not None and options.relay_command:
        from cbspec_conformance.runner.started import CannotStartRelay, started_relay  # imports the probe

        try:
            started = stack.enter_context(
                started_relay(options.relay_command, profile, options.wait, options.relay_log)
            )
        except CannotStartRelay as error:
            raise pytest.UsageError(str(error)) from None
        simulator = started.ready
    # Plugins of other packages for Hypothesis take time to import, and would change what it draws.
    os.environ.setdefault("HYPOTHESIS_NO_PLUGINS", "1")
    from cbspec_conformance.runner.plugin import Suite  # after the simulator was started

    config.pluginmanager.register(Suite(config, options, profile, simulator, briefing, started))

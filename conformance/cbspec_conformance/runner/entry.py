"""Where pytest begins: the options, the embedded simulator where no relay is named, and then the suite.

The simulator takes half a second until it is there. Meanwhile the suite is imported, which takes as long, so that this
module and what it imports must be little.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.runner.embedded import beginning_simulator
from cbspec_conformance.runner.marks import MARKERS
from cbspec_conformance.runner.options import add_options, read_options, read_profile


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read options and profile before anything is done with them.

    What conformance/pytest.ini says is said here again for runs that took another configuration file: pytest takes the
    value of an option, such as an existing profile.toml, for a path when it looks for one.
    """
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    config.addinivalue_line("filterwarnings", "default")
    config.option.tbstyle, config.option.reportchars = "no", "N"
    options = read_options(config)
    told = getattr(config, "workerinput", {}).get("cbspec")
    profile = None if told else read_profile(options)
    runs = not (told or config.option.collectonly or config.option.help)
    if runs:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run that is told to end says what it has, too
    embedded = _embedded(config) if runs and profile is None else None
    from cbspec_conformance.runner.plugin import Suite  # not before the simulator is on its way

    suite = Suite.worker(config, options, told) if told else Suite(config, options, profile, embedded)
    config.pluginmanager.register(suite)


def _embedded(config: pytest.Config) -> Callable[[], Profile]:
    """Begin to start the embedded simulator, which ends when pytest does; return what waits for it."""
    stack = ExitStack()
    config.add_cleanup(stack.close)
    return stack.enter_context(beginning_simulator())

"""Cases in forked processes."""

from __future__ import annotations

import pytest

pytest_plugins = "pytester"

CONFTEST = """
import os
import pytest
from cbspec_conformance.runner.crew import crew
from cbspec_conformance.runner.reservations import Needs
from cbspec_conformance.runner.schedule import Schedule


class Member:
    told = 0
    alone = ""

    def join(self, number, postpone):
        Member.number, Member.postpone = number, staticmethod(postpone)

    def workers(self, began_with):
        return began_with + (self.told > 0)

    def has_alone(self, item):
        self.alone = item.name

    def learned(self):
        return {"told": self.told}

    def learn(self, more):
        self.told = max(self.told, more["told"])


member = Member()


@pytest.fixture
def suite():
    return member


@pytest.fixture(scope="session")
def forked_from(parent=os.getpid()):
    return parent


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    schedule = Schedule([Needs()] * len(session.items))
    with crew(session, 3, member) as workers:
        for case, reports in workers.run(schedule):
            for report in reports:
                session.config.hook.pytest_runtest_logreport(report=report)
    print("learned", member.told)
    return True
"""

CASES = """
import os
import pytest

@pytest.mark.parametrize("number", range(12))
def test_one(number, suite, forked_from):
    assert os.getppid() == forked_from
    print("output of", number)
    suite.told += 1
    if number == 5:
        os._exit(7)
    if number in (3, 8) and suite.alone != f"test_one[{number}]":
        suite.postpone()
    assert number != 9
"""


def test_each_case_is_reported_and_a_lost_process_is_replaced(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(CASES)
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly")
    done.assert_outcomes(passed=10, failed=2)
    done.stdout.fnmatch_lines(["*the process that ran the case ended by itself (exit code 7)*", "*assert 9 != 9*"])

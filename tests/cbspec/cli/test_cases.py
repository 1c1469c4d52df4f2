"""The cases in the suite's source."""

from __future__ import annotations

from pathlib import Path

from cbspec.cli.cases import Case, find_cases

SOURCE = '''
from conformance import marks
from conformance.marks import requirement

import a_module_that_does_not_exist


@requirement("CB-HEL-001")
def test_plain():
    """One sentence.

    Indented
      further.
    """


@other
@marks.requirement("CB-HEL-002")
@requirements("CB-HEL-003", *("CB-HEL-007",))
async def test_two():
    pass


@requirement("CB-HEL-004")
class TestGroup:
    """A group."""

    def test_inner(self):
        """Inner."""

    def helper(self):
        """No case."""


@requirement("CB-HEL-005")
class Machine(Base):
    """A state machine."""

    def step(self): ...


@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.requirement("CB-HEL-006")), 2])
def test_param(x): ...


def test_none(): ...
'''


def test_cases_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "relay" / "message_types"
    folder.mkdir(parents=True)
    (folder / "test_1_hello.py").write_text(SOURCE)
    (folder / "helper.py").write_text(SOURCE)
    (tmp_path / "test_elsewhere.py").write_text(SOURCE)
    file = "relay/message_types/test_1_hello.py"
    assert find_cases(tmp_path) == [
        Case(file, "test_plain", ("CB-HEL-001",), "One sentence.\n\nIndented\n  further."),
        Case(file, "test_two", ("CB-HEL-002", "CB-HEL-003", "CB-HEL-007"), ""),
        Case(file, "TestGroup.test_inner", ("CB-HEL-004",), "Inner."),
        Case(file, "Machine", ("CB-HEL-005",), "A state machine."),
        Case(file, "test_param", ("CB-HEL-006",), ""),
    ]

"""A short soak."""

from __future__ import annotations

import pytest

from tests.endurance import soak


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_short_soak_has_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    # The relay is still warming up, so only fast leaks are found.
    code = soak.main(["--seconds", "4", "--seed", "5", "--memory", "8192"])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert " sessions, " in printed

"""Known failures: they do not fail a run as long as they last; a stale entry does."""

from __future__ import annotations

import datetime
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.catalogue.requirements import REQUIREMENTS, Level
from cbspec_conformance.judging.verdicts import Finding, Outcome, judge_run, spoils
from cbspec_conformance.reporting.baseline import Baseline, BaselineEntry, BaselineError, load_baseline
from tests.conformance.commands import simulator, verify

TODAY = datetime.date(2026, 6, 15)
MUST, SHOULD = "CB-TUN-005", "CB-TUN-011"
FAILED, WARNED, PASSED, UNCLEAR = Outcome.FAILED, Outcome.WARNED, Outcome.PASSED, Outcome.INCONCLUSIVE
JUDGED = [id_ for id_, row in REQUIREMENTS.items() if not row.untestable and row.level is not Level.INFO]
TEXTS = st.text(min_size=1, max_size=20).filter(lambda text: bool(text.strip()))
ENTRIES = st.builds(
    BaselineEntry, st.sampled_from(JUDGED), TEXTS, st.text(max_size=20), st.none() | st.dates(datetime.date(2000, 1, 1))
)


def verdicts(*findings: Finding) -> list:  # type: ignore[type-arg] # of verdicts
    return judge_run(REQUIREMENTS, findings, [])


@given(st.lists(ENTRIES, max_size=5, unique_by=lambda entry: entry.requirement))
def test_a_baseline_survives_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, entries: list[BaselineEntry]
) -> None:
    file = tmp_path_factory.mktemp("baseline") / "known.toml"
    written = Baseline({entry.requirement: entry for entry in entries}, TODAY)
    written.write(file)
    assert load_baseline(file).entries == written.entries


VALID = "[[known]]\nrequirement = 'CB-TUN-005'\nreason = 'x'\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[known", "is not TOML"),
        ("known = 1", "known"),
        ("[[known]]\nrequirement = 'CB-TUN-005'\nreason = ' '", "CB-TUN-005: the reason is empty; say why"),
        (f"{VALID}until = '2026-12-31'", "without quotes"),
        ("[[known]]\nrequirement = 'CB-TUN-0005'\nreason = 'x'", "CB-TUN-005"),
        ("[[known]]\nrequirement = 'CB-ROB-103'\nreason = 'x'", "never fails"),
        (VALID * 2, "remove one"),
        (None, "can't be read"),
    ],
)
def test_an_invalid_file_is_reported(text: str | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "known.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BaselineError, match=words) as caught:
        load_baseline(file)
    assert str(file) in str(caught.value)


YESTERDAY = TODAY - datetime.timedelta(days=1)


@pytest.mark.parametrize(
    ("id_", "seen", "until", "becomes", "stale"),
    [
        (MUST, FAILED, None, Outcome.KNOWN, False),
        (MUST, FAILED, TODAY, Outcome.KNOWN, False),
        (MUST, FAILED, YESTERDAY, FAILED, False),
        (SHOULD, WARNED, None, Outcome.KNOWN, False),
        (MUST, UNCLEAR, None, UNCLEAR, False),
        (MUST, PASSED, None, PASSED, True),
        (MUST, PASSED, YESTERDAY, PASSED, False),
    ],
)
def test_an_entry_excuses_a_failure_until_its_last_day_and_a_pass_makes_it_stale(
    id_: str, seen: Outcome, until: datetime.date | None, becomes: Outcome, stale: bool
) -> None:
    known = Baseline({id_: BaselineEntry(id_, "a reason", until=until)}, TODAY)
    applied = known.applied(verdicts(Finding(id_, seen), Finding("CB-TUN-006", FAILED)))
    assert [each.outcome for each in applied if each.findings] == [becomes, FAILED][:: -1 if id_ is SHOULD else 1]
    assert not any(spoils(each, fail_on_should=True) for each in applied if each.outcome is Outcome.KNOWN)
    assert known.stale(applied) == ([id_] if stale else [])


def test_an_update_keeps_reasons_drops_stale_entries_and_adds_new_failures() -> None:
    old = Baseline({id_: BaselineEntry(id_, f"reason of {id_}") for id_ in (MUST, "CB-TUN-006", "CB-TUN-007")}, TODAY)
    found = verdicts(
        Finding(MUST, FAILED, expected="a", seen="b"),
        Finding("CB-TUN-006", PASSED),
        Finding("CB-TUN-008", FAILED, expected="an error", seen="nothing\nat all"),
        Finding(SHOULD, WARNED),
        Finding("CB-TUN-009", UNCLEAR, reason="a breach of CB-TUN-008 ended its case"),
        Finding("CB-TUN-010", UNCLEAR, reason="a breach of CB-TUN-006 ended its case"),
        Finding("CB-TUN-012", UNCLEAR, reason="slow"),
    )
    new = old.updated(found, old.stale(found))
    kept = {id_: f"reason of {id_}" for id_ in (MUST, "CB-TUN-007")}
    assert {id_: entry.reason for id_, entry in new.entries.items()} == {**kept, "CB-TUN-008": "", "CB-TUN-009": ""}
    assert new.seen["CB-TUN-008"] == "expected an error; seen: nothing at all"
    assert new.coverage.startswith("Coverage of this run: 2 failed, 3 inconclusive, ")
    assert SHOULD in old.updated(found, [], should=True).entries


@pytest.mark.parametrize(
    ("reasons", "known", "is_known"),
    [
        (["a breach of CB-TUN-006 ended its case"], ["CB-TUN-006"], True),
        (["a breach of CB-TUN-006 ended its case"], [], False),
        (["a breach of CB-TUN-006 ended its case", "slow"], ["CB-TUN-006"], False),
        (["slow"], ["CB-TUN-006"], False),
        (["heartbeat is never served on this relay: x"], ["CB-HBT-001"], True),
        (["a breach of CB-TUN-007 ended its case"], ["CB-TUN-006", "CB-TUN-007"], False),  # it passes in this run
    ],
)
def test_a_known_failure_may_be_inconclusive_because_of_another(
    reasons: list[str], known: list[str], is_known: bool
) -> None:
    baseline = Baseline({id_: BaselineEntry(id_, "a reason") for id_ in (MUST, *known)}, TODAY)
    broken = [Finding(id_, FAILED) for id_ in ("CB-TUN-006", "CB-HBT-001")]
    unclear = [Finding(MUST, UNCLEAR, reason=reason) for reason in reasons]
    (found,) = (each for each in baseline.applied(verdicts(*broken, *unclear)) if each.requirement.id == MUST)
    assert found.outcome is (Outcome.KNOWN if is_known else UNCLEAR)
    assert baseline.remark(found) == f"a reason (not judged: {reasons[0]})"


TWO = ("--only", "CB-MET-001,CB-CMP-002", "--examples", "5")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the profile of a relay without metrics."""
    with simulator(tmp_path_factory.mktemp("broken"), "--deviation", "metrics-not-found") as profile:
        yield profile


def entry(id_: str, rest: str = "") -> str:
    return f'[[known]]\nrequirement = "{id_}"\nreason = "until release 4"\n{rest}\n'


def test_a_known_failure_is_no_failure_in_any_report(broken: Path, tmp_path: Path) -> None:
    known, report = tmp_path / "known.toml", tmp_path / "report.xml"
    known.write_text(entry("CB-MET-001"))
    options = ("--profile", str(broken), *TWO, "--baseline", str(known), "--junit-xml", str(report), "-n", "2")
    done = verify(*options, "--own-cases")
    assert done.code == 0, done.text
    assert "CB-MET-001: until release 4" in done.text
    assert "1 known" in done.text
    suite = ElementTree.parse(report).getroot().find("testsuite")  # noqa: S314 - our own file
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert int(suite.get("skipped", "0")) > 0


def test_a_stale_entry_fails_a_whole_run(broken: Path, tmp_path: Path) -> None:
    known = tmp_path / "known.toml"
    known.write_text(entry("CB-MET-001") + entry("CB-CMP-002") + entry("CB-TUN-005", "until = 2020-01-01"))
    options = ("--profile", str(broken), "--baseline", str(known), *TWO)
    done = verify(*options)
    assert done.code == 1, done.text
    assert "did not pass: stale in the baseline: CB-CMP-002" in " ".join(done.text.split())
    assert f"remove them from {known}" in " ".join(done.text.split())
    assert "Expired" in done.text
    selected = verify(*options, "-k", "test_status or compression")  # may drop the case that fails
    assert selected.code == 0, selected.text


def test_a_baseline_is_written_used_and_not_overwritten_by_accident(broken: Path, tmp_path: Path) -> None:
    known = tmp_path / "known.toml"
    options = ("--profile", str(broken), *TWO)
    done = verify(*options, "--write-baseline", str(known))
    assert done.code == 1, done.text
    assert known.read_text().count("[[known]]") == 1
    assert "# Coverage of this run: 1 failed, " in known.read_text()
    refused = verify(*options, "--write-baseline", str(known))
    assert refused.code == 4
    assert "to update it" in refused.text
    assert "# expected " in known.read_text()
    unexplained = verify(*options, "--baseline", str(known))
    assert unexplained.code == 4, unexplained.text
    assert "CB-MET-001: the reason is empty" in unexplained.text
    known.write_text(known.read_text().replace('reason = ""', 'reason = "until release 4"'))
    assert verify(*options, "--baseline", str(known), "--write-baseline", str(known)).code == 0
    assert load_baseline(known).entries["CB-MET-001"].reason == "until release 4"

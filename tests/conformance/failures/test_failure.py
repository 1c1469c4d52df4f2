"""Failure files and their steps: round trip and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec_conformance.failures.failure import Failure, FailureFileError, failures_of, load, write_all
from cbspec_conformance.failures.recipes import Recipe
from cbspec_conformance.failures.steps import (
    CloseStep,
    ConnectStep,
    FailureStep,
    SendStep,
    StepFrame,
    StepRequest,
    StepText,
    spell,
)
from cbspec_conformance.judging.verdicts import Finding, Outcome
from cbspec_conformance.record.conclusions import Expectation, ExpectationKind
from tests.conformance.build import JSON

BYTES = st.one_of(
    st.dictionaries(st.text(), JSON, max_size=4).map(lambda value: spell(value).encode()),
    st.dictionaries(st.text(), JSON, max_size=4).map(lambda value: json.dumps(value, indent=1).encode()),
    st.sampled_from([b'{"a":NaN}', b'{"a":1,"a":2}', b'{"a":1e400}', b"[1]", b"\xff{}", b""]),
    st.binary(max_size=50),
)
TEXTS = BYTES.map(StepText.of)
REQUESTS = st.builds(lambda data, text: StepRequest.of(data, type=text, meant=text, fault=text), BYTES, st.text())
NUMBERS = st.integers(0, 99)
STEPS: st.SearchStrategy[FailureStep] = st.one_of(
    st.builds(ConnectStep, NUMBERS, st.sampled_from(["tcp", "websocket"]), st.text()),
    st.builds(CloseStep, NUMBERS, st.booleans()),
    st.builds(
        SendStep,
        NUMBERS,
        st.lists(REQUESTS, max_size=3).map(tuple),
        wire=st.none() | TEXTS,
        frames=st.lists(st.builds(StepFrame, st.sampled_from([0, 1, 9]), st.booleans(), TEXTS), max_size=3).map(tuple),
        cuts=st.lists(NUMBERS, max_size=3).map(tuple),
        fenced=st.sampled_from(["", "heartbeat", "unknown"]),
        decisive=st.booleans(),
        then=st.lists(TEXTS, max_size=3).map(tuple),
        ended=st.text(),
    ),
)


@given(BYTES)
def test_bytes_survive_a_round_trip(data: bytes) -> None:
    text = json.dumps(msgspec.to_builtins(StepText.of(data)), allow_nan=False)
    read = msgspec.convert(json.loads(text), StepText)
    assert read.value.encode("utf-8" if read.latin_1 is None else "latin-1") == data


def test_a_message_in_the_suite_s_spelling_is_an_object() -> None:
    assert StepText.of(b'{"type":"heartbeat"}') == StepText(json={"type": "heartbeat"})
    assert StepText.of(b'{"type": "heartbeat"}') == StepText(text='{"type": "heartbeat"}')
    assert StepText.of(b"\xe9") == StepText(latin_1="\u00e9")
    assert StepText.of(b"\xe9").with_value("e") == StepText(latin_1="e")
    assert StepText.of(b"{}").with_value("no object") == StepText(text="no object")


CASE = "relay/notes/test_tls13.py::test_old[1.2]"
TOKENS = {"token-1": Recipe("tenant-001", "user123"), "token-2": Recipe(forgery="spoiled", of="token-1")}
FAILURES = st.builds(
    Failure,
    st.sampled_from(["CB-TUN-007", "CB-HEL-005"]),
    st.sampled_from([CASE, "preflight"]),
    st.text(),
    st.sampled_from(["tcp", "websocket"]),
    expected=st.text(),
    seen=st.text(),
    exchange=st.lists(st.text(), max_size=3).map(tuple),
    options=st.sampled_from([(), ("--examples=20", "--seed=0")]),
    expectation=st.builds(Expectation, st.sampled_from(ExpectationKind), st.lists(st.text(), max_size=2).map(tuple)),
    tokens=st.just(TOKENS),
    steps=st.lists(STEPS, max_size=4).map(tuple),
)
PLAIN = Failure("CB-TUN-007", CASE, "127.0.0.1:8080", "tcp", "an error", "a tunnel")


@settings(deadline=None)  # each example writes and reads a file
@given(failure=FAILURES)
def test_failures_survive_a_round_trip(failure: Failure, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "failures"
    write_all({"CB-TUN-007-1.json": failure}, folder)
    assert load(folder / "CB-TUN-007-1.json") == failure


def test_a_run_replaces_the_failures_of_an_earlier_run_and_no_other_file(tmp_path: Path) -> None:
    write_all({"CB-TUN-007-1.json": PLAIN, "CB-TUN-007-2.json": PLAIN}, tmp_path)
    (tmp_path / "CB-TUN-007-3.json").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    write_all({"CB-TUN-007-1.json": PLAIN}, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CB-TUN-007-1.json", "CB-TUN-007-3.json", "notes.txt"]


def test_each_distinct_failure_has_a_file_and_one_with_steps_is_preferred() -> None:
    def finding(seen: str, outcome: Outcome = Outcome.FAILED, steps: str = "") -> Finding:
        return Finding("CB-TUN-007", outcome, CASE, expected="an error", seen=seen, steps=steps)

    steps = json.dumps({"expectation": {"kind": "refused", "values": []}, "tokens": {}, "steps": []})
    played = json.dumps({**json.loads(steps), "steps": [{"connect": 1, "transport": "tcp"}]})
    findings = [finding("a"), finding("b"), finding("a", steps=played), finding("c", Outcome.PASSED)]
    found = failures_of(findings, "127.0.0.1:8080", "tcp", ())
    assert [(name, failure.seen) for name, failure in found.items()] == [
        ("CB-TUN-007-1.json", "a"),
        ("CB-TUN-007-2.json", "b"),
    ]
    assert found["CB-TUN-007-1.json"].steps == (ConnectStep(1, "tcp"),)


def whole() -> dict[str, Any]:
    return {**PLAIN.to_json(), "expectation": {"kind": "refused", "values": []}, "tokens": {}, "steps": []}


SEND = {"send": [], "on": 1}
FORGED = {"forgery": "x", "of": "token-1"}
INVALID: dict[str, tuple[object, str]] = {
    "another version": ({**whole(), "format": "cbspec-failure-0"}, "'cbspec-failure-0'"),
    "no format": ({"requirement": "CB-TUN-007"}, "no format"),
    "no case": ({name: value for name, value in whole().items() if name != "case"}, "case"),
    "another member": ({**whole(), "more": 1}, "more"),
    "a case elsewhere": ({**whole(), "case": "../x.py::y"}, "case"),
    "an option of pytest": ({**whole(), "options": ["-p=evil"]}, "options[0]"),
    "a negative number": ({**whole(), "steps": [{"close": -1}]}, "steps[0]"),
    "a step without text": ({**whole(), "steps": [{**SEND, "wire": {}}]}, "steps[0]"),
    "an unknown step": ({**whole(), "steps": [{"wait": 1}]}, "steps[0]"),
    "an unknown token": ({**whole(), "steps": [{**SEND, "wire": {"text": "<<token-1>>"}}]}, "token-1"),
    "a forgery of nothing": ({**whole(), "tokens": {"token-1": {"forgery": "x", "of": "token-2"}}}, "token-2"),
    "steps alone": ({**PLAIN.to_json(), "steps": []}, "expectation"),
    "a forgery of a forgery": ({**whole(), "tokens": {"token-1": FORGED, "token-2": FORGED}}, "forgery"),
    "an unknown requirement": ({**whole(), "requirement": "CB-TUN-999"}, "CB-TUN-"),
}


@pytest.mark.parametrize("kind", INVALID)
def test_an_invalid_file_is_reported_in_one_line(kind: str, tmp_path: Path) -> None:
    data, named = INVALID[kind]
    file = tmp_path / "CB-TUN-007-1.json"
    file.write_text(json.dumps(data))
    with pytest.raises(FailureFileError) as error:
        load(file)
    for part in (str(file), named, "--failures"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_or_not_json_is_reported(tmp_path: Path) -> None:
    for data in (b"", b"{", b"\xff", b"[" * 100_000):
        (tmp_path / "file").write_bytes(data)
        with pytest.raises(FailureFileError, match="not JSON"):
            load(tmp_path / "file")
    with pytest.raises(FailureFileError, match="No such file"):
        load(tmp_path / "none")

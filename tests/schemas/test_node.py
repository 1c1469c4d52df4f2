"""The schemas and the AsyncAPI document as a package for Node, read by validators and a parser of other authors."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from cbspec.protocol.state import SUCCESS_TYPES
from cbspec_schemas import examples
from tests.repo.tree import ROOT, text
from tests.support.processes import node


@pytest.mark.parametrize("validator", ["ajv", "hyperjump"])
def test_a_validator_accepts_the_valid_examples_and_no_other(validator: str) -> None:
    wanted = [
        [each.name, name, each.valid] for each in examples() for name in (each.schema, f"{each.direction}_message")
    ]
    assert json.loads(node("examples.mjs", validator)) == wanted


def test_the_parser_of_asyncapi_has_no_remark_and_reads_every_request_with_its_answers() -> None:
    read = json.loads(node("asyncapi.mjs"))
    assert read["remarks"] == []
    requests = [[name, "receive", [answer, "error"]] for name, answer in SUCCESS_TYPES.items()]
    assert read["operations"] == [*requests, ["error", "send", []]]


def test_the_programs_in_the_readme_run(capsys: pytest.CaptureFixture[str]) -> None:
    readme = text(ROOT / "schemas" / "README.md")
    in_node, in_python = re.findall(r"^```(?:js|python)\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert node("--input-type=module", "--eval", in_node).splitlines() == ["true", f"{len(examples())} examples"]
    exec(compile(in_python, "README.md", "exec"), {})  # noqa: S102 - a program of ours
    assert capsys.readouterr().out.startswith("CB-ERR-001 /code code is")


def test_both_packages_have_the_same_version() -> None:
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    assert json.loads(text(ROOT / "schemas" / "package.json"))["version"] == project["version"]

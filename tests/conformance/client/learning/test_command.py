"""`cbspec learn-client` as users run it: the reference client, a deviating one, and wrong use."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cbspec.cli import main
from cbspec.exit_codes import ExitCode
from cbspec.redact import has_token
from cbspec_client.errors import ConnectionLost, InvalidToken
from cbspec_client.exit_causes import exit_code
from cbspec_conformance.client.learning.answers import OVER
from cbspec_conformance.client.situations import STEPS
from cbspec_conformance.machines.machine import load_machine, machine_of
from tests.adequacy.clients.judging import ROOT
from tests.conformance.commands import run

REFUSED = "error invalid_token"
LEARN = ("-m", "cbspec", "learn-client", f"--answer={REFUSED}")
CONNECT = (sys.executable, "-m", "cbspec", "connect", "{host}:{port}", "--ca", "{ca}", "--token-file", "{token_file}")
DEVIATING = (sys.executable, "-m", "tests.adequacy.clients", "{host}", "{port}", "{ca}", "{token}", "--with")


def test_clients_are_learned_judged_compared_and_drawn(tmp_path: Path) -> None:
    files = [f"--{kind}={tmp_path / kind}" for kind in ("save", "svg")]
    done = run(*LEARN, "--answer=close", *files, "--", *CONNECT, "--tunnel", "t:{local_port}:127.0.0.1:22")
    assert done.code == 0, done.text
    assert "No difference from the specification." in done.text
    codes = {
        REFUSED: exit_code(InvalidToken("invalid_token", "", base_delay=None)),
        "close": exit_code(ConnectionLost("")),
    }
    follows = dict(zip(STEPS, [*list(STEPS)[1:], "ends, code 0"], strict=True))

    def step(sent: str, answer: str) -> tuple[str, str]:
        output = OVER if sent not in STEPS else follows[sent] if answer == "ok" else f"ends, code {codes[answer]}"
        return output, output if output in STEPS else ""

    assert load_machine(tmp_path / "save") == machine_of(("ok", REFUSED, "close"), "hello", step)
    assert (tmp_path / "svg").read_text().count('class="box"') == 4

    words = (*LEARN, "--json", f"--against={tmp_path / 'save'}", "--", *DEVIATING, "errors-after-auth-ignored")
    found = run(*words, folder=ROOT)
    assert found.code == 1, found.text
    result = json.loads(found.text)
    first = result["differences"][0]
    assert (first["requirement"], first["word"]) == ("CC-REF-002", ["ok", REFUSED])
    assert ["ok", REFUSED] in [each["word"] for each in result["changes"]]
    assert not has_token(found.text)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "no client"),
        (("--", "./no-such-client"), "no-such-client"),
        (("--answer", "eror", "--", "true"), "--answer: there is no 'eror'"),
        (("--", "true", "{prt}"), "{prt}"),
    ],
)
def test_wrong_use_is_one_line(words: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn-client", *words]) == ExitCode.WRONG_USE
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert named in shown.err

"""The examples for CI services: their commands, unchanged but for the paths and names of containers, as processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.repo.actions import document
from tests.repo.test_actions import CLIENT, RELAY
from tests.repo.test_dockerfile import only as only_instruction
from tests.repo.test_workflows import COMPOSE, EXAMPLES, GITLAB
from tests.repo.tree import ROOT, text
from tests.support.processes import running, served

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
QUICK = "--effort quick -k test_unknown_message_type"
PATIENCE = 110


def run(command: list[str], folder: Path, **environment: str) -> tuple[int, str]:
    """Run a command; return its exit code and output."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": PATH, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout.decode()


def test_the_services_of_the_compose_file_work_together(tmp_path: Path) -> None:
    services = document(COMPOSE)["services"]
    assert {service["image"] for service in services.values()} == {"cbspec"}
    (tmp_path / "tmp").mkdir()
    relay = [*json.loads(only_instruction("ENTRYPOINT")), "--port", "0", "--control", "0", "--json"]
    environment = ["env", f"CBSPEC_STATE_DIR={tmp_path}/state", f"PATH={PATH}"]
    with running([*environment, *relay], tmp_path) as running_relay:
        address = "127.0.0.1:{}".format(running_relay.ready["port"])

        def inside(command: str) -> str:
            """Replace the names in a command or a file of a container."""
            return re.sub(r"(?<![\w./])/(?=(state|tmp|profile\.toml)\b)", f"{tmp_path}/", command).replace(
                "relay:8080", address
            )

        (tmp_path / "profile.toml").write_text(inside(text(EXAMPLES / "profile.toml")))
        done: dict[str, tuple[int, str]] = {}
        for name, more in (("client", ""), ("judge", f" {QUICK}")):
            service = services[name]
            assert service["depends_on"] == {"relay": {"condition": "service_healthy"}}
            (script,) = service["command"]
            done[name] = run([*service["entrypoint"], inside(script.rstrip()) + more], tmp_path)
    assert [code for code, _ in done.values()] == [0, 0], done
    assert "heartbeat_response" in done["client"][1]
    assert {path.name for path in (tmp_path / "tmp" / "report").iterdir()} == {"results.jsonl", "junit.xml"}


def job(name: str) -> dict[str, Any]:
    """Return a job of GitLab's template with all that it extends."""
    row: dict[str, Any] = document(GITLAB)[name]
    base = job(row["extends"]) if "extends" in row else {"variables": {}}
    return {**base, **row, "variables": {**base["variables"], **row["variables"]}}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    assert run(build, folder)[0] == 0
    (built,) = folder.iterdir()
    return str(built)


OFFLINE = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1"}  # the dependencies come from this environment


def run_job(name: str, folder: Path, package: str, **variables: str) -> tuple[int, str]:
    """Run a job's scripts as GitLab's runner does, which joins them; the environment's packages are shared.

    All jobs have the same first steps: they are skipped if an earlier job has done them.
    """
    row = job(name)
    values = {**row["variables"], "CBSPEC_PACKAGE": package, **variables}
    (shared := folder / "dependencies.pth").write_text("\n".join(each for each in sys.path if "site-packages" in each))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    share = f"cp {shared} .cbspec/lib/{version}/site-packages"
    first = [] if (folder / ".cbspec").exists() else [*row["before_script"], share]
    lines = [*first, *row["script"]]
    return run(["sh", "-ec", "\n".join(lines)], folder, **OFFLINE, **values)


def test_the_gitlab_template_judges_a_relay_and_a_client(tmp_path: Path, wheel: str) -> None:
    (tmp_path / "relay").mkdir()
    with served(tmp_path / "relay", "--deviation", "unknown-type-wrong-code") as relay:
        address = "{}:{}".format(*relay.address)
        given = {"CBSPEC_TARGET": address, "CBSPEC_PROFILE": str(relay.profile_file), "CBSPEC_OPTIONS": QUICK}
        failing = run_job(".cbspec-relay", tmp_path, wheel, **given)
    assert (failing[0], "CB-UNK-001" in failing[1]) == (1, True), failing[1]
    client = "cbspec connect {host}:{port} --ca {ca} --token-file {token_file}"
    options = "--situation auth-invalid_token"
    passing = run_job(".cbspec-client", tmp_path, wheel, CBSPEC_CLIENT=client, CBSPEC_OPTIONS=options)
    assert (passing[0], "1 failed" in passing[1]) == (0, False), passing[1]
    report = tmp_path / job(".cbspec")["variables"]["CBSPEC_FOLDER"]
    assert {"results.jsonl", "junit.xml", "report.html", "failures"} <= {path.name for path in report.iterdir()}


def test_the_guide_names_inputs_variables_and_versions_that_exist() -> None:
    guide = text(ROOT / "docs" / "how-to" / "gate.md")
    for action, file in (("OWNER/cbspec@", RELAY), ("OWNER/cbspec/actions/client@", CLIENT)):
        given = re.findall(rf"uses: {action}.*\n +with:\n((?: {{10,}}.*\n)+)", guide)
        named = {line.split(":")[0].strip() for block in given for line in block.splitlines()}
        assert named, action
        assert named <= set(document(file)["inputs"])
    table = re.findall(r"^\| (`.*?) \|", guide.partition("## GitLab")[0], re.MULTILINE)
    assert {name for row in table for name in re.findall(r"`([\w-]+)`", row)} == set(document(RELAY)["inputs"])
    known = {name for each in (".cbspec-relay", ".cbspec-client") for name in job(each)["variables"]}
    assert set(re.findall(r"\bCBSPEC_\w+", guide)) <= known
    version = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]["version"]
    assert set(re.findall(r"cbspec\S*(?:@v|/v|==)(\d+\.\d+\.\d+)", guide)) == {version}
    assert job(".cbspec")["variables"]["CBSPEC_PACKAGE"] == f"cbspec[verify]=={version}"

"""The steps of the Dockerfile as a script, in a folder: no image can be built without a registry."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cbspec_simulator.settings.config import Listen
from tests.repo.tree import ROOT, name, text, tracked
from tests.support.messages import HELLO, Body, line

OFFLINE = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INDEX": "1",
    "PIP_NO_DEPS": "1",  # they come from this environment
    "PIP_NO_BUILD_ISOLATION": "0",  # pip negates this variable: no isolation
}
PATIENCE = 60


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments."""
    lines = re.sub(r"\\\n", " ", text(ROOT / "Dockerfile")).splitlines()
    found = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return [(word, rest.strip()) for word, _, rest in found]


def only(wanted: str) -> str:
    """Return the argument of an instruction that occurs once."""
    (argument,) = (rest for word, rest in instructions() if word == wanted)
    return argument


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the steps in a folder that stands for the root of the file system, and return it."""
    root = tmp_path_factory.mktemp("image")
    source = root / only("WORKDIR").strip("/")
    environment = {**os.environ, **OFFLINE, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for word, rest in instructions():
        if word == "COPY" and rest.startswith("--from="):
            made, place = rest.split()[-2:]
            assert made == place  # an environment can't be moved
            assert Path(inside(root, made)).is_dir()
        elif word == "COPY":
            copy(rest.split()[:-1], source / rest.split()[-1])
        elif word == "RUN":
            done = subprocess.run(
                ["sh", "-ec", inside(root, rest)],
                cwd=source,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
    (packages,) = (root / "cbspec").glob("lib/python*/site-packages")
    shared = [path for path in sys.path if Path(path).name == "site-packages"]
    (packages / "dependencies.pth").write_text("\n".join(shared))
    return root


def inside(root: Path, command: str) -> str:
    """Return a command with the absolute paths of the image in the folder."""
    return re.sub(r"(?<![\w./:])/(?=(cbspec|state|wheel)\b)", f"{root}/", command)


def copy(items: list[str], place: Path) -> None:
    """Copy tracked files, or the tracked files of a folder."""
    for path in tracked():
        if name(path) in items or name(path).split("/")[0] in items:
            target = place / (path.name if name(path) in items else path.relative_to(ROOT / items[0]))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def healthy(port: int, environment: dict[str, str]) -> bool:
    """Run the health check, with the port of the controls."""
    command = json.loads(only("HEALTHCHECK").partition("CMD ")[2].replace("8081", str(port)))
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def test_the_relay_serves_by_its_name_as_another_user_than_root(image: Path) -> None:
    environment = {"PATH": os.defpath}
    for setting in (inside(image, rest) for word, rest in instructions() if word == "ENV"):
        key, _, value = setting.partition("=")
        environment[key] = value.replace("$PATH", os.defpath)
    assert not re.match(r"root|0\b", only("USER"))
    assert only("EXPOSE") == str(Listen().port)
    command = [*json.loads(only("ENTRYPOINT")), "--port", "0", "--control", "0", "--json", "--exit-with-parent"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        control = int(facts["control"].rpartition(":")[2])
        assert healthy(control, environment)
        assert Path(facts["ca_file"]) == image / "state" / "ca.pem"
        trusted = ssl.create_default_context(cafile=facts["ca_file"])
        with (
            socket.create_connection(("127.0.0.1", facts["port"]), PATIENCE) as connection,
            trusted.wrap_socket(connection, server_hostname="relay") as relay,
            relay.makefile("rb") as answers,
        ):
            for request, expected in ((HELLO, "hello_response"), (auth(facts), "auth_response")):
                relay.sendall(line(request))
                assert json.loads(answers.readline())["type"] == expected
    assert process.returncode == 0
    assert not healthy(control, environment)


def auth(facts: dict[str, Any]) -> Body:
    """Return an auth with a token that the simulator printed."""
    return {"type": "auth", "token": facts["tokens"]["tenant-001"]}

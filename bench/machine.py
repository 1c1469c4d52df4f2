"""The machine on which something was measured."""

from __future__ import annotations

import platform
import ssl
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path


def machine() -> Iterator[str]:
    """Describe processors, memory, system and the relevant versions, a line each."""
    models = [line.partition(": ")[2] for line in _read("cpuinfo") if line.startswith("model name")]
    memory = round(int(_read("meminfo")[0].split()[1]) / 1024**2)
    yield f"{len(models)} x {models[0]}, {memory} GiB, {platform.system()} {platform.release()}"
    yield f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}"
    yield ", ".join(f"{name} {metadata.version(name)}" for name in ("PyJWT", "cryptography", "websockets"))
    try:
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)  # noqa: S607 - as on the PATH
    except OSError:
        return
    yield f"Node {node.stdout.strip()}"


def _read(name: str) -> list[str]:
    return Path("/proc", name).read_text(encoding="utf-8").splitlines()

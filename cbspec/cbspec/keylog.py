"""The secrets of TLS sessions, written to a file in the NSS key log format, with which Wireshark decrypts traffic.

The environment variable `SSLKEYLOGFILE` names the file, as for browsers and curl; the option `--keylog` sets it, for
child processes, too. Anyone who reads the file can read the traffic, so it is readable by its owner only.
Source: draft-ietf-tls-keylogfile.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

VARIABLE: Final = "SSLKEYLOGFILE"
_OWNER_ONLY: Final = 0o600


class KeyLogUnusable(OSError):
    """The key log can't be written; the text names the file and the remedy."""


def use_key_log(file: Path | None) -> None:
    """Log keys to `file` from now on (None: to that of the environment, if any). Raises KeyLogUnusable."""
    if file is not None:
        os.environ[VARIABLE] = str(file.absolute())
    key_log()


def key_log() -> str:
    """Return the name of the file that keys are logged to, which exists then, or "". Raises KeyLogUnusable."""
    name = os.environ.get(VARIABLE, "")
    if name:
        os.close(_opened(name))
    return name


def log_key(label: str, client_random: bytes, secret: bytes) -> None:
    """Log a secret of a handshake whose ClientHello had `client_random`. Raises KeyLogUnusable."""
    if name := os.environ.get(VARIABLE, ""):
        file = _opened(name)
        try:
            os.write(file, f"{label} {client_random.hex()} {secret.hex()}\n".encode())
        finally:
            os.close(file)


def _opened(name: str) -> int:
    """Return the descriptor of the file, at whose end is written."""
    try:
        file = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
    except OSError as error:
        raise KeyLogUnusable(
            f"the TLS key log {name} can't be written: {error.strerror}; name another file with --keylog or {VARIABLE}"
        ) from None
    found = os.fstat(file)
    if stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) != _OWNER_ONLY:
        try:
            os.fchmod(file, _OWNER_ONLY)
        except OSError:
            os.close(file)
            raise KeyLogUnusable(
                f"the TLS key log {name} belongs to another user, who could read all traffic; name another file"
            ) from None
    return file

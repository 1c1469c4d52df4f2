"""Profile files: any TOML is read or raises a DocumentError without secrets; a written profile is read back."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from cbspec.documents import DocumentError
from cbspec.profile.profile import Profile, dump, from_mapping, load, resolve, template
from cbspec.profile.target import Endpoint

_SECRETS: Final = ("secret", "valid", "expired", "second_tenant", "inactive_tenant")


@cache
def _folder() -> Path:
    """Return an empty folder, in memory if possible: a file per input is written faster there."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it has an unpredictable name
    return Path(mkdtemp(prefix="cbspec-fuzz-", dir=memory if memory.is_dir() else None))


def profile(data: bytes) -> None:
    """Read a profile."""
    file = _folder() / "profile.toml"
    file.write_bytes(data)
    try:
        read = load(file)
    except DocumentError as error:
        assert error.problems
        assert all(problem.startswith(str(file)) for problem in error.problems)
        for secret in _secrets(data):
            assert secret not in str(error), str(error)
        return
    assert _members(from_mapping(tomllib.loads(dump(read)), _folder())) == _members(read)
    assert not read.tokens.secret or f"secret={read.tokens.secret!r}" not in repr(read)
    try:
        resolve(read, Endpoint("127.0.0.1", 1))
    except DocumentError as error:
        assert error.problems


def _members(profile: Profile) -> dict[str, Any]:
    return {name: getattr(profile, name) for name in profile.__dataclass_fields__ if name != "path"}


def _secrets(data: bytes) -> list[str]:
    """Return the secrets in a file that are long enough to be distinguished from other words."""
    try:
        tokens = tomllib.loads(data.decode()).get("tokens", {})
    except (ValueError, RecursionError):
        return []
    if not isinstance(tokens, dict):
        return []
    ready = tokens.get("ready")
    both = {**(ready if isinstance(ready, dict) else {}), **tokens}
    known = template()
    found = [both[name] for name in _SECRETS if isinstance(both.get(name), str)]
    return [secret for secret in found if len(secret) >= 8 and secret not in known]

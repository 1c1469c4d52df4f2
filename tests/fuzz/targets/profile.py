"""Profile files: any TOML is a profile or draws a ProfileError without a secret in it; what is written is read back."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

from cbspec.documents import keys, plain_type
from cbspec.profile.profile import Profile, ProfileError, dump, from_mapping, load, resolve, template
from cbspec.profile.reading import ProfileDocument
from cbspec.profile.target import Endpoint
from tests.fuzz.target import Target, memory_folder

_SECRETS: Final = ("secret", "valid", "expired", "second_tenant", "inactive_tenant")


@cache
def _folder() -> Path:
    """Return an empty folder, in memory where that can be: files that a profile names aren't there."""
    return memory_folder()


def _check(data: bytes) -> None:
    file = _folder() / "profile.toml"
    file.write_bytes(data)
    try:
        profile = load(file)
    except ProfileError as error:
        assert error.problems
        assert all(problem.startswith(str(file)) for problem in error.problems)
        for secret in _secrets(data):
            assert secret not in str(error), str(error)
        return
    read = _without_path(profile)
    assert _without_path(from_mapping(tomllib.loads(dump(profile)), _folder())) == read
    assert (
        "secret" not in repr(profile.tokens) or not profile.tokens.secret or profile.tokens.secret not in repr(profile)
    )
    try:
        resolve(profile, Endpoint("127.0.0.1", 1))
    except ProfileError as error:
        assert error.problems


def _without_path(profile: Profile) -> dict[str, Any]:
    return {name: getattr(profile, name) for name in profile.__dataclass_fields__ if name != "path"}


def _secrets(data: bytes) -> list[str]:
    """Return the secrets that a file holds, where they are long enough to be told from other words."""
    try:
        tokens = tomllib.loads(data.decode()).get("tokens", {})
    except (ValueError, RecursionError):
        return []
    if not isinstance(tokens, dict):
        return []
    ready = tokens.get("ready")
    both = {**(ready if isinstance(ready, dict) else {}), **tokens}
    found = [both[name] for name in _SECRETS if isinstance(both.get(name), str)]
    known = template()
    return [secret for secret in found if len(secret) >= 8 and secret not in known]


def _words() -> tuple[bytes, ...]:
    parts = keys(ProfileDocument)
    tables = [f"[{item.name}]\n" for item, _ in parts] + ["[[tenants]]\n", "[[conditions]]\n", "[tokens.ready]\n"]
    names = [f"{item.name} = " for _, hint in parts if hint is not tuple for item, _ in keys(plain_type(hint))]
    return tuple(
        word.encode() for word in dict.fromkeys([*tables, *names, '"', "true", "1", "[", "{", "1979-05-27", "\n"])
    )


TARGET: Final = Target(_check, share=4, longest=1500, words=_words())

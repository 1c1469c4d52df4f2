"""Writing a profile and reading it back, and the template."""

from __future__ import annotations

import re
import tomllib
import typing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.documents import keys, plain_type
from cbspec.profile.profile import (
    Action,
    Condition,
    Endpoint,
    HttpCall,
    IssuerSettings,
    MetricsEndpoint,
    Profile,
    ProfileError,
    Rate,
    ReadyTokens,
    RelayCapabilities,
    RemoteEnds,
    TargetSettings,
    Tenant,
    TlsSettings,
    dump,
    from_mapping,
    template,
)
from cbspec.profile.reading import ProfileDocument

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
CLAIMS = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)
END = Action(http=HttpCall("http://127.0.0.1:1/x", body="{}", headers={"X-Key": "k"}))
FULL = Profile(
    TargetSettings(Endpoint("::1", 1), "websocket", "name", "/a?x=%20", 1e9, 0.1, source_addresses=("127.0.0.9",)),
    TlsSettings("development", verify=False),
    IssuerSettings('quo"te\\ \x00\x7f\n', algorithm="HS512", subject="", ready=ReadyTokens("v", tenants={"é": "x"})),
    (Tenant("a b", active=False, tunnel_limit=1, rate=Rate(0.5, 2, "subject"), allowed_addresses=("::1",)),),
    RelayCapabilities(1, 10**9),
    RemoteEnds(Endpoint("a", 1), Endpoint("b.c", 65535), dialled=True),
    MetricsEndpoint("https://[::1]:9090/metrics"),
    {
        "unavailable": Condition(begin=Action(command=("a", 'b "c"')), end=END, settle=0.5),
        "buffer_pool": Condition(target=Endpoint("127.0.0.1", 1), limit=3),
    },
)


@settings(deadline=None)
@given(st.dictionaries(TEXT.map(lambda key: f"x{key}"), CLAIMS, max_size=3))
def test_a_written_profile_is_read_as_an_equal_one(claims: dict[str, object]) -> None:
    for profile in (Profile(), replace(FULL, tokens=replace(FULL.tokens, claims=claims))):
        assert from_mapping(tomllib.loads(dump(profile)), Path("/")) == profile


def test_the_paths_in_a_written_profile_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s").write_text("hush")
    profile = from_mapping({"tokens": {"secret_file": "s"}}, Path())
    assert from_mapping(tomllib.loads(dump(profile)), Path("/elsewhere")) == profile


def test_every_key_of_the_template_can_be_set() -> None:
    text = re.sub(r"^#(?=[^ ])", "", template(), flags=re.MULTILINE)
    with pytest.raises(ProfileError) as caught:
        from_mapping(tomllib.loads(text), Path("/nowhere"))
    for problem in caught.value.problems:  # files, variables and contradictions of the examples
        assert re.search("No such file|is not set|exclude", problem), problem
    assert max(map(len, text.splitlines())) <= 120


def test_every_need_in_the_catalogue_is_a_key_of_the_profile() -> None:
    text = template()
    for requirement in REQUIREMENTS.values():
        assert not requirement.needs or requirement.id in text
        for need in requirement.needs:
            named = re.findall(r"[a-z_]+(?:\.[a-z_]+)+|^tenants", need)
            assert named, requirement.id
            for key in named:
                table: object = ProfileDocument
                for step in key.split("."):
                    found = {item.name: hint for item, hint in keys(table)}
                    assert step in found, key
                    table = plain_type(found[step])
                    table = typing.get_args(table)[0] if typing.get_origin(table) is tuple else table

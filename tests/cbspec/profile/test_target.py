"""The parsing of endpoints and networks, and the choice of tenants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.profile.identity import DEVELOPMENT_TENANTS
from cbspec.profile.target import Endpoint, IssuerSettings, Profile, Rate, ReadyTokens, Tenant

HOSTS = st.one_of(st.text("az09.-", min_size=1, max_size=20), st.ip_addresses().map(str))


@given(HOSTS, st.integers(1, 65535))
def test_an_endpoint_is_parsed_as_it_was_written(host: str, port: int) -> None:
    endpoint = Endpoint(host, port)
    assert Endpoint.parse(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "host:port"),
        ("relay:0", "from 1 to 65535"),
        ("relay:65536", "from 1 to 65535"),
        ("relay:٣", "from 1 to 65535"),
        ("https://relay:80", "brackets"),
        ("::1:80", "in brackets"),
        ("[relay]:80", "IPv6 address in its brackets"),
        ("a b:80", "host:port"),
        ("relay/x:80", "host:port"),
    ],
)
def test_a_wrong_endpoint_is_rejected_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Endpoint.parse(text)


def test_tenants_are_chosen_by_their_limits() -> None:
    profile = Profile(tenants=DEVELOPMENT_TENANTS)
    chosen = [profile.main_tenant, profile.second_tenant, profile.inactive_tenant]
    assert [tenant and tenant.id for tenant in chosen] == ["tenant-001", "tenant-002", "tenant-inactive"]
    here, elsewhere = profile.tenants_with("allowed_addresses")
    assert [here.allows("127.0.0.1"), here.allows("::1"), elsewhere.allows("127.0.0.1")] == [True, True, False]
    assert profile.tenant("tenant-rate") == profile.tenants_with("rate")[0]
    assert profile.tenant("none") is None
    assert (Profile().main_tenant, Profile().inactive_tenant) == (None, None)


def test_without_an_unlimited_tenant_the_one_with_the_widest_limits_is_chosen() -> None:
    rate = Rate(10, 10)
    listed = Tenant("listed", allowed_addresses=("10.0.0.0/8",))
    narrow, wide = Tenant("narrow", tunnel_limit=2), Tenant("wide", connection_limit=9)
    both = Tenant("both", tunnel_limit=100, rate=rate)
    off = Tenant("off", active=False)
    profile = Profile(tenants=(off, listed, both, narrow, wide))
    assert profile.main_tenant == wide
    assert profile.second_tenant == narrow
    assert profile.tenants_with("tunnel_limit") == (narrow, both)


def test_the_repr_of_a_profile_contains_no_secret() -> None:
    tokens = IssuerSettings(secret="hush", claims={"a": "hush"}, ready=ReadyTokens(valid="hush", tenants={"a": "hush"}))
    assert "hush" not in repr(Profile(tokens=tokens))

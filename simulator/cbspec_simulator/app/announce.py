"""What `cbspec simulate` says when it is ready: for people, or as one line of JSON for programs."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.profile.target import Tenant
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_simulator.app.assembly import Simulator
from cbspec_simulator.app.deployment import Deployment
from cbspec_simulator.app.options import CONTROL_PORT

_DAY = 86_400


def announce(simulator: Simulator, deployment: Deployment | None, args: argparse.Namespace) -> None:
    """Say where the relay is and how to use it; `args` are the command's."""
    facts = _facts(simulator, deployment, args.profile_out)
    print(json.dumps(facts) if args.json else "\n".join(_text(facts, args)), flush=True)


def _facts(simulator: Simulator, deployment: Deployment | None, profile: Path | None) -> dict[str, Any]:
    endpoint = simulator.endpoint
    conditions = deployment.conditions if deployment else {}
    return {
        "address": str(endpoint),
        "host": endpoint.host,
        "port": endpoint.port,
        "ca_file": str(simulator.ca_file),
        "development": {
            "certificate": simulator.config.certificate is None,
            "tokens": simulator.config.tokens.development,
        },
        "profile": str(profile.absolute()) if profile else None,
        "tenants": [_tenant_facts(tenant) for tenant in simulator.config.tenants],
        "metrics": simulator.metrics_url,
        "control": simulator.control_url,
        "conditions": {name: str(other.endpoint) for name, other in conditions.items()},
    }


def _tenant_facts(tenant: Tenant) -> dict[str, Any]:
    rate = tenant.rate
    return {
        "id": tenant.id,
        "active": tenant.active,
        "tunnel_limit": tenant.tunnel_limit,
        "connection_limit": tenant.connection_limit,
        "rate": {"per_second": rate.per_second, "burst": rate.burst, "scope": rate.scope or "tenant"} if rate else None,
        "allowed_addresses": list(tenant.allowed_addresses),
    }


def _text(facts: dict[str, Any], args: argparse.Namespace) -> Iterable[str]:
    spoken = {"both": "TCP and WebSocket", "tcp": "TCP", "websocket": "WebSocket"}[args.transport]
    yield f"CloudBridge relay, for tests, on {facts['address']} (TLS 1.3; {spoken})"
    for kind in ("deviation", "variant", "open_point"):
        yield from (f"  {kind.replace('_', ' ')}: {id_}" for id_ in getattr(args, kind))
    yield f"CA file: {facts['ca_file']}"
    if facts["metrics"]:
        yield f"Metrics: {facts['metrics']}"
    if facts["control"]:
        where = "" if facts["control"].endswith(f":{CONTROL_PORT}") else f" --url {facts['control']}"
        yield f"Control: {facts['control']} (a page to look at; {facts['control']}/openapi.json)"
        yield f"  cbspec fault{where} list"
    yield "Tenants:"
    yield from (f"  {tenant['id']}: {_limits(tenant)}" for tenant in facts["tenants"])
    token = _token(facts)
    if token:
        yield f"A token of {token[0]}, valid for a day:"
        yield f"  {token[1]}"
    profile = f" --target-profile={facts['profile']}" if facts["profile"] else ""
    yield "To judge it:"
    yield f"  pytest conformance/ --target={facts['address']}{profile}"
    yield f"  cbspec verify {facts['address']}{profile}"
    yield "To talk to it by hand, one JSON object per line:"
    yield f"  openssl s_client -connect {facts['address']} -CAfile {facts['ca_file']} -tls1_3 -quiet"
    yield "Ctrl-C ends it."


def _limits(tenant: dict[str, Any]) -> str:
    rate = tenant["rate"]
    said = [
        "" if tenant["active"] else "not active",
        f"{tenant['tunnel_limit']} tunnels" if tenant["tunnel_limit"] is not None else "",
        f"{tenant['connection_limit']} connections" if tenant["connection_limit"] is not None else "",
        f"{rate['per_second']:g} requests/s (burst {rate['burst']}, by {rate['scope']})" if rate else "",
        f"from {', '.join(tenant['allowed_addresses'])}" if tenant["allowed_addresses"] else "",
    ]
    return ", ".join(filter(None, said)) or "no limits"


def _token(facts: dict[str, Any]) -> tuple[str, str] | None:
    """Mint a token of the first active tenant, where anybody could: for the development identity only."""
    active = [tenant["id"] for tenant in facts["tenants"] if tenant["active"]]
    if not facts["development"]["tokens"] or not active:
        return None
    now = int(time.time())
    claims = {"sub": "user123", "tenant_id": active[0], "iat": now, "exp": now + _DAY}
    return active[0], mint(SigningKey.hmac(DEVELOPMENT_SECRET), claims)

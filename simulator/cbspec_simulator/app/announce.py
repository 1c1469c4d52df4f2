"""The output of `cbspec simulate` when it is ready and at its end: text, or lines of JSON."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from cbspec.profile.target import Tenant
from cbspec_simulator.app.assembly import Simulator
from cbspec_simulator.app.deployment import Deployment
from cbspec_simulator.app.options import CONTROL_PORT
from cbspec_simulator.control.controls import unused
from cbspec_simulator.settings.config import ConfigError
from cbspec_simulator.settings.issuing import issuer_of, secret_source

log = logging.getLogger("simulator")

_DAY: Final = 86_400
_TRANSPORTS: Final = {"both": "TCP and WebSocket", "tcp": "TCP", "websocket": "WebSocket"}


def announce(simulator: Simulator, deployment: Deployment | None, args: argparse.Namespace) -> None:
    """Print the relay's address and how to use it; `args` are the command's."""
    facts = _facts(simulator, deployment, args.profile_out)
    print(json.dumps(facts) if args.json else "\n".join(_text(facts, args)), flush=True)


def conclude(simulator: Simulator, args: argparse.Namespace) -> None:
    """Print the faults that never struck and the actions that weren't reached; `args` are the command's."""
    controls = simulator.controls
    found, faults = controls.never_struck(), controls.faults()
    if args.json and (faults or any(found.values())):
        with contextlib.suppress(OSError):  # the reader of the first line may have gone
            print(json.dumps({"faults": faults, "never_struck": found}), flush=True)
    if not args.json:
        for line in unused(found):
            print(f"cbspec simulate: {line}", file=sys.stderr)


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
        "token_secret": secret_source(simulator.config.tokens),
        "tokens": _tokens(simulator),
        "tenants": [asdict(_with_scope(tenant)) for tenant in simulator.config.tenants],
        "metrics": simulator.metrics_url,
        "control": simulator.control_url,
        "conditions": {name: str(other.endpoint) for name, other in conditions.items()},
    }


def _with_scope(tenant: Tenant) -> Tenant:
    """Return the tenant with the default scope of its rate limit."""
    rate = tenant.rate
    return replace(tenant, rate=replace(rate, scope=rate.scope or "tenant")) if rate else tenant


def _text(facts: dict[str, Any], args: argparse.Namespace) -> Iterator[str]:
    yield f"CloudBridge relay for tests on {facts['address']} (TLS 1.3; {_TRANSPORTS[args.transport]})"
    for kind in ("deviation", "variant", "open_point"):
        yield from (f"  {kind.replace('_', ' ')}: {id_}" for id_ in getattr(args, kind))
    yield f"CA file: {facts['ca_file']}"
    if facts["metrics"]:
        yield f"Metrics: {facts['metrics']}"
    if facts["control"]:
        url = "" if facts["control"].endswith(f":{CONTROL_PORT}") else f" --url {facts['control']}"
        yield f"Control: {facts['control']} (web page; API: {facts['control']}/openapi.json)"
        yield f"  cbspec fault{url} list"
    yield "Tenants:"
    yield from (f"  {tenant['id']}: {_limits(tenant)}" for tenant in facts["tenants"])
    if token := _token(facts):
        yield f"A token of {token[0]}, valid for a day:"
        yield f"  {token[1]}"
    profile = f" --profile={facts['profile']}" if facts["profile"] else ""
    yield "Test it:"
    yield f"  pytest conformance/ --target={facts['address']}{profile}"
    yield f"  cbspec verify {facts['address']}{profile}"
    yield "Connect by hand (one JSON object per line):"
    yield f"  openssl s_client -connect {facts['address']} -CAfile {facts['ca_file']} -tls1_3 -quiet"
    yield "Stop it: Ctrl-C"


def _limits(tenant: dict[str, Any]) -> str:
    rate = tenant["rate"]
    parts = [
        "" if tenant["active"] else "not active",
        f"{tenant['tunnel_limit']} tunnels" if tenant["tunnel_limit"] is not None else "",
        f"{tenant['connection_limit']} connections" if tenant["connection_limit"] is not None else "",
        f"{rate['per_second']:g} requests/s (burst {rate['burst']}, by {rate['scope']})" if rate else "",
        f"from {', '.join(tenant['allowed_addresses'])}" if tenant["allowed_addresses"] else "",
    ]
    return ", ".join(filter(None, parts)) or "no limits"


def _tokens(simulator: Simulator) -> dict[str, str]:
    """Return a token of each tenant, or none if the relay has public keys only or other ones than the signing key's."""
    config = simulator.config
    try:
        issuer = issuer_of(config.tokens, simulator.relay.keyring, simulator.clock.epoch, _DAY)
        return {tenant.id: issuer.valid(tenant.id) for tenant in config.tenants}
    except ConfigError as error:
        if simulator.config.tokens.signing_key_file is not None:
            log.warning("no tokens for clients: %s", error)
        return {}


def _token(facts: dict[str, Any]) -> tuple[str, str] | None:
    """Return the first active tenant and a token of it if the development secret, which is public, verifies tokens."""
    active = [tenant["id"] for tenant in facts["tenants"] if tenant["active"]]
    if not facts["development"]["tokens"] or not active:
        return None
    return active[0], facts["tokens"][active[0]]

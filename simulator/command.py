"""`cbspec simulate`: the reference relay from the shell."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cbspec.identity import DEVELOPMENT_SECRET, IdentityError
from cbspec.target import Tenant
from cbspec.tokens import SigningKey, mint
from simulator.behaviour import Behaviour
from simulator.config import Config, ConfigError
from simulator.config_read import load_config
from simulator.deployment import Deployment, write_profile
from simulator.deviations import KNOWN, deviated
from simulator.open_points import OPEN_POINTS, opened, opened_config
from simulator.server import Simulator
from simulator.variants import VARIANTS, arranged, varied

_DAY = 86_400
_TRANSPORTS = {"both": (), "tcp": ("tcp-only",), "websocket": ("websocket-only",)}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec simulate`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration (TOML)")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for a free one (default: 8080)")
    parser.add_argument("--transport", choices=_TRANSPORTS, default="both", help="transports to speak (default: both)")
    parser.add_argument("--secret-env", metavar="NAME", help="environment variable with the secret of tokens (HS256)")
    parser.add_argument(
        "--development", action="store_true", help="let the development identity serve an address that others can reach"
    )
    parser.add_argument(
        "--profile-out",
        type=Path,
        metavar="FILE",
        help="write the profile with which the suite can judge this relay in full; starts the relays that it names",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON when ready, and nothing else")
    parser.add_argument(
        "--deviation", action="append", default=[], metavar="ID", help="be wrong in this way (may be repeated)"
    )
    parser.add_argument(
        "--variant", action="append", default=[], metavar="ID", help="be right and different (may be repeated)"
    )
    parser.add_argument(
        "--open-point",
        action="append",
        default=[],
        metavar="ID",
        help="go this way where the specification doesn't say which (may be repeated)",
    )
    parser.add_argument("--list-deviations", action="store_true", help="list the ways to be wrong, and exit")
    parser.add_argument(
        "--list-variants", action="store_true", help="list the ways to be right and different, and exit"
    )
    parser.add_argument(
        "--list-open-points", action="store_true", help="list the ways that the specification leaves open, and exit"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code: 0, or 2 where it could not begin."""
    if args.list_deviations or args.list_variants or args.list_open_points:
        if args.list_deviations:
            _list((item.id, item.requirement, item.sentence) for item in KNOWN.values())
        if args.list_variants:
            _list((item.id, item.sentence) for item in VARIANTS.values())
        if args.list_open_points:
            _list((item.id, item.requirement, item.sentence) for item in OPEN_POINTS.values())
        return 0
    try:
        _configure_openssl(args)
        asyncio.run(_serve(_config(args), _behaviour(args), args))
    except (ConfigError, IdentityError) as error:
        for line in str(error).splitlines():
            print(f"cbspec simulate: {line}", file=sys.stderr)
        return 2
    return 0


def _configure_openssl(args: argparse.Namespace) -> None:
    """Begin anew with OpenSSL's configuration file where a variant needs one: it is read only when a process begins."""
    _known("--variant", args.variant, VARIANTS)
    files = {str(VARIANTS[id_].openssl) for id_ in args.variant if VARIANTS[id_].openssl}
    if files and os.environ.get("OPENSSL_CONF") not in files:
        environment = {**os.environ, "OPENSSL_CONF": files.pop()}
        os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606 - itself, with the arguments it was given


def _list(rows: Iterable[tuple[str, ...]]) -> None:
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _config(args: argparse.Namespace) -> Config:
    _known("--open-point", args.open_point, OPEN_POINTS)
    config = arranged(load_config(args.config) if args.config else Config(), *args.variant)
    config = opened_config(config, *args.open_point)
    named = {name: getattr(args, name) for name in ("host", "port") if getattr(args, name) is not None}
    config = replace(
        config,
        listen=replace(config.listen, **named),
        development=config.development or args.development,
    )
    if args.secret_env:
        secret = os.environ.get(args.secret_env)
        if not secret:
            raise ConfigError(f"--secret-env: the environment variable {args.secret_env} is not set or empty")
        config = replace(config, tokens=replace(config.tokens, secret=secret, key_file=None))
    config.check()
    return config


def _behaviour(args: argparse.Namespace) -> Behaviour:
    variants = (*_TRANSPORTS[args.transport], *args.variant)
    _known("--deviation", args.deviation, KNOWN)
    return deviated(opened(varied(Behaviour(), *variants), *args.open_point), *args.deviation)


def _known(option: str, ids: Iterable[str], known: Mapping[str, object]) -> None:
    for id_ in ids:
        if id_ not in known:
            near = get_close_matches(id_, known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"--list-{option[2:]}s lists them"
            raise ConfigError(f"{option} {id_}: no such {option[2:].replace('-', ' ')}; {hint}")


async def _serve(config: Config, behaviour: Behaviour, args: argparse.Namespace) -> None:
    end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    if args.profile_out is None:
        async with Simulator(config, behaviour=behaviour) as simulator:
            _announce(_facts(simulator, None, None), args)
            await end.wait()
        return
    async with Deployment(config, behaviour) as deployment:
        write_profile(deployment.profile(), args.profile_out)
        _announce(_facts(deployment.main, deployment, args.profile_out), args)
        await end.wait()


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


def _announce(facts: dict[str, Any], args: argparse.Namespace) -> None:
    if args.json:
        print(json.dumps(facts), flush=True)
        return
    print("\n".join(_text(facts, args)), flush=True)


def _text(facts: dict[str, Any], args: argparse.Namespace) -> Iterable[str]:
    spoken = {"both": "TCP and WebSocket", "tcp": "TCP", "websocket": "WebSocket"}[args.transport]
    yield f"CloudBridge relay, for tests, on {facts['address']} (TLS 1.3; {spoken})"
    for kind in ("deviation", "variant", "open_point"):
        yield from (f"  {kind.replace('_', ' ')}: {id_}" for id_ in getattr(args, kind))
    yield f"CA file: {facts['ca_file']}"
    if facts["metrics"]:
        yield f"Metrics: {facts['metrics']}"
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

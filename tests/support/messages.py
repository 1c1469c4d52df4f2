"""The protocol's requests, written by hand: as JSON objects and as lines."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.tokens.jwt import SigningKey, mint

Body = dict[str, Any]

KEY = SigningKey.hmac(DEVELOPMENT_SECRET)
HELLO: Body = {"type": "hello", "version": "1.0", "features": ["tls"]}
BEAT: Body = {"type": "heartbeat"}


def token(
    tenant: object = "tenant-001",
    *,
    key: SigningKey = KEY,
    headers: Mapping[str, object] | None = None,
    **claims: object,
) -> str:
    """Mint a token that is valid for a day; a claim of None is left out."""
    all_claims = {"sub": "user123", "tenant_id": tenant, "exp": int(time.time()) + 86_400, **claims}
    return mint(key, {name: value for name, value in all_claims.items() if value is not None}, headers)


def auth(tenant: object = "tenant-001", **claims: object) -> Body:
    """Return an auth with a valid token."""
    return {"type": "auth", "token": token(tenant, **claims)}  # type: ignore[arg-type]


def tunnel(name: str = "t", tenant: str = "tenant-001", **members: object) -> Body:
    """Return a tunnel_info; a member of `...` is left out."""
    ends = {"local_port": 3389, "remote_host": "127.0.0.1", "remote_port": 3389}
    body = {"type": "tunnel_info", "tunnel_id": name, "tenant_id": tenant, **ends, **members}
    return {member: value for member, value in body.items() if value is not ...}


def line(body: object) -> bytes:
    """Return a message as a line of JSON."""
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def name(text: bytes) -> str:
    """Return a message's type, an error's code, or "?" for anything else."""
    try:
        body = json.loads(text)
    except ValueError:
        return "?"
    if not isinstance(body, dict):
        return "?"
    return str(body["code"] if body.get("type") == "error" else body.get("type", "?"))

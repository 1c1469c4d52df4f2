"""Answers with other contents, and settings with other values."""

from __future__ import annotations

from dataclasses import replace

from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.answers import Edit, answers, mapped, put
from cbspec_simulator.variations.parts import Change, both, part

_TYPES = ("hello_response", "auth_response", "tunnel_response", "heartbeat_response", "error")


def _extra(body: Body, exchange: AnswerContext) -> Body:
    return {"at": exchange.nth, **body, "server": {"name": "relay", "load": [0.5, None]}, "note": "ünïcode ✓"}


def _long(body: Body, _: AnswerContext) -> Body:
    return {"note": "x" * 40_000, **body}


def _every(edit: Edit) -> Change:
    return both(*(answers(kind, edit) for kind in _TYPES))


def _features(edit: Edit) -> Change:
    return answers("hello_response", edit)


def _small(config: Config) -> Config:
    return replace(config, limits=replace(config.limits, max_message=16 * 1024, max_depth=8))


def _on_ipv6(config: Config) -> Config:
    return replace(config, listen=replace(config.listen, host="::1"))


CHANGES: dict[str, Change] = {
    "extra-members": _every(_extra),
    "long-answers": _every(_long),
    "more-features": _features(mapped("features", lambda features: [*features, "drain"])),
    "feature-order": _features(mapped("features", lambda features: [*reversed(features), features[0]])),
    "own-client-id": answers("auth_response", put("client_id", lambda exchange: f"c/{exchange.connection.number:08x}")),
    "leeway": part(leeway=300.0),
}

ARRANGED = {"small-messages": _small, "ipv6": _on_ipv6}

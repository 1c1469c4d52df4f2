"""Rules for the clean session: what a client does by itself."""

from __future__ import annotations

import itertools
from typing import Final

from cbspec_conformance.client.habits import main_connection
from cbspec_conformance.client.observed import ClientConnection
from cbspec_conformance.client.rules.case import SituationCase

_STORM: Final = 10
"""Heartbeats per second that are no storm."""

_ON_TIME: Final = 1.5
"""The factor by which the first heartbeats may be later than their interval."""


def judge_clean(case: SituationCase) -> None:
    """Judge the clean session."""
    main = main_connection(case.seen)
    if main.handshake.version == "TLSv1.3":
        case.passed("CC-TLS-001")
    if case.habits.pipelined:
        types = ", ".join(sorted(case.habits.pipelined))
        case.broken("CC-MSG-003", "each request after the answer to the one before", f"{types} before it")
    else:
        case.passed("CC-MSG-003")
    expected = case.profile.tunnels
    if expected is not None and case.habits.tunnels != expected:
        case.unclear(
            "CC-TUN-001", f"the profile expects {expected} tunnels, and the client opened {case.habits.tunnels}"
        )
    _heartbeats(case, main)
    if case.transport == "websocket" and main.incoming.frames is None:
        case.unclear("CC-WSK-001", "the client's profile says websocket, and it made no upgrade request")
    _observations(case, main)


def _heartbeats(case: SituationCase, main: ClientConnection) -> None:
    beats = [message.at for message in main.of("heartbeat")]
    all_beats = sorted(message.at for each in case.seen.connections for message in each.of("heartbeat"))
    declared = case.profile.heartbeat_interval
    if declared is None:
        case.skipped("CC-HBT-001", "the client profile has no heartbeat_interval")
    elif not case.habits.stays:
        case.skipped("CC-HBT-001", "the client doesn't stay up")
    else:
        gaps = [
            after - before for before, after in itertools.pairwise([case.habits.ready, *all_beats, case.seen.watched])
        ]
        late = max(gaps, default=0.0) > _ON_TIME * declared + 0.5
        if not beats or late:
            seen = f"{len(beats)} heartbeats in {case.seen.watched - case.habits.ready:.1f} s"
            case.broken("CC-HBT-001", f"a heartbeat every {declared:g} s", seen)
        else:
            case.passed("CC-HBT-001")
    if not beats:
        case.skipped("CC-HBT-002", "the client sent no heartbeat in its clean session")
        return
    most = max(sum(at <= other < at + 1.0 for other in beats) for at in beats)
    if most > _STORM:
        case.broken("CC-HBT-002", f"at most {_STORM} heartbeats per second", f"{most} in a second")
    else:
        case.passed("CC-HBT-002")


def _observations(case: SituationCase, main: ClientConnection) -> None:
    facts, habits = main.handshake, case.habits
    name = "an address" if facts.server_name.replace(".", "").isdigit() else "a name"
    case.saw("CC-TLS-101", "server name", name if facts.server_name else "none")
    case.saw("CC-TLS-101", "ALPN", facts.alpn or "none")
    case.saw("CC-TLS-101", "client certificate", "sent" if facts.client_certificate else "none")
    hello = main.of("hello")[0].body
    case.saw("CC-HEL-101", "version", str(hello.get("version"))[:40])
    features = hello.get("features")
    names = sorted(map(str, features)) if isinstance(features, list) else []
    case.saw("CC-HEL-101", "features", ", ".join(names)[:200] or "none")
    case.saw("CC-TUN-101", "tunnels", str(habits.tunnels))
    early = [each for each in main.of("heartbeat") if each.at < (main.answered("auth_response") or 0.0)]
    case.saw("CC-HBT-101", "before auth", "sent" if early else "not sent")
    interval = f"{habits.interval:.1f} s" if habits.interval is not None else "not seen"
    case.saw("CC-HBT-101", "interval", interval)
    case.saw("CC-MSG-101", "separators", ", ".join(sorted(main.incoming.separators)) or "one message")
    stays = "stays up" if habits.stays else f"ends with exit code {habits.exit_code}"
    case.saw("CC-LIF-101", "in a clean session", stays)
    case.saw("CC-LIF-101", "output", "some" if case.seen.output else "none")
    if (frames := main.incoming.frames) is not None:
        case.saw("CC-WSK-101", "fragments", "sent" if frames.fragments else "none")
        case.saw("CC-WSK-101", "pings", "sent" if frames.pings else "none")
        case.saw("CC-WSK-101", "extensions", frames.headers.get("sec-websocket-extensions", "none")[:80])
        case.saw("CC-WSK-101", "subprotocols", frames.headers.get("sec-websocket-protocol", "none")[:80])

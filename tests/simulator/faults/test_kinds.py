"""Every kind of fault on the wire, at each point at which it strikes and with each parameter."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import re
import ssl
import statistics
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec_simulator import Simulator
from cbspec_simulator.faults import websocket
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.faults.kind import FaultLayer
from cbspec_simulator.faults.when import CONDITIONS, REQUESTS
from tests.simulator.faults.probe import CONFIG, GREETED, ProbedRelay, Show, auth, tunnel
from tests.support.client import PATIENCE, UPGRADE
from tests.support.messages import BEAT, HELLO, Body

Look = Callable[[ProbedRelay], object]

BEATEN, OPENED = "heartbeat_response", "tunnel_response"
SERVED = [*GREETED, OPENED, BEATEN]


def at(message: str, **params: Any) -> dict[str, Any]:  # noqa: ANN401 - parameters of a kind
    """Return parameters with the condition that a fault strikes at this message."""
    return {**params, "when": {"message": message}}


def _talk(*bodies: Body, close_frame: bool = False) -> Callable[[ProbedRelay], list[str]]:
    """Return a look at the answers, one by one, and, if some are missing, at the end of the connection."""

    def look(relay: ProbedRelay) -> list[str]:
        with relay.wire() as wire:
            found = [name for body in bodies for name in wire.names(body)]
            if len(found) < len(bodies):
                found.append(wire.end())
                framed = any(first == 0x88 for first, _, _ in wire.frames)
                if close_frame and relay.transport == "websocket" and not framed:
                    found.append("no close frame")
            return found

    return look


def _up_to(last: str, *bodies: Body) -> Callable[[ProbedRelay], list[str]]:
    """Return a look at the answers to hello, auth and these bodies, sent together, up to the answer `last`."""

    def look(relay: ProbedRelay) -> list[str]:
        with relay.wire() as wire:
            wire.send(HELLO, auth(), *bodies)
            found: list[str] = []
            while not found or found[-1] != last:
                more = wire.names(number=1)
                assert more, found
                found += more
            return found

    return look


def _is_late(relay: ProbedRelay) -> bool:
    """Whether the answer to a heartbeat is slow."""
    with relay.authenticated() as wire:
        return wire.is_slow(BEAT, seconds=0.1, tries=4)


# ---------------------------------------------------------------------------- TLS


def _handshake(relay: ProbedRelay) -> str:
    """Return the answer to a hello, or why there is none."""
    try:
        with relay.connected() as wire:
            return ", ".join(wire.handshake().upgraded().names(HELLO))
    except ConnectionRefusedError:
        return "refused"
    except ssl.SSLCertVerificationError as error:
        return error.verify_message.partition(",")[0]
    except ssl.SSLError as error:
        return str(error.reason).lower()


def _version(relay: ProbedRelay) -> object:
    with relay.wire() as wire:
        return wire.tls.version()


def _expires_soon(relay: ProbedRelay) -> bool:
    """Whether the (valid) certificate expires within a minute."""
    with relay.wire() as wire:
        return ssl.cert_time_to_seconds(str((wire.tls.getpeercert() or {})["notAfter"])) - time.time() < 61


def _first_flight(relay: ProbedRelay) -> tuple[int, str]:
    """Return the bytes (500 at most) that answer a ClientHello before another connection is served, and the end."""
    with relay.connected() as wire:
        wire.send_client_hello()
        relay.serve_another()
        return min(wire.bytes_below_tls(), 500), wire.ended


_FIRST: Final = {"when": {"connection": 1}}

TLS: Final[dict[str, tuple[Show, ...]]] = {
    "tls-1.2": (Show(_version, "TLSv1.3", "TLSv1.2"),),
    "certificate-expired": (Show(_handshake, "hello_response", "certificate has expired"),),
    "certificate-not-yet-valid": (Show(_handshake, "hello_response", "certificate is not yet valid"),),
    "certificate-expiring": (Show(_expires_soon, False, True, {"seconds": 60}),),
    "certificate-other-name": (Show(_handshake, "hello_response", "Hostname mismatch"),),
    "certificate-unknown-ca": (Show(_handshake, "hello_response", "unable to get local issuer certificate"),),
    "client-certificate": (Show(_handshake, "hello_response", "tlsv13_alert_certificate_required"),),
    "handshake-stall": (
        Show(_first_flight, (500, ""), (0, ""), _FIRST),
        Show(_first_flight, (500, ""), (100, ""), {"bytes": 100, **_FIRST}),
    ),
    "handshake-alert": (
        Show(_handshake, "hello_response", "sslv3_alert_handshake_failure"),
        Show(_handshake, "hello_response", "tlsv1_alert_internal_error", {"alert": "internal_error"}),
    ),
}


# ---------------------------------------------------------------------------- transport


def _answered(relay: ProbedRelay) -> tuple[bool, str]:
    """Return whether a first request is answered before that of another connection, and the end of the connection."""
    with relay.connected() as wire:
        wire.handshake()
        wire.write(UPGRADE + b"\r\n") if relay.transport == "websocket" else wire.send(HELLO)
        relay.serve_another()
        return bool(wire.records_so_far()), wire.ended


def _accepted(relay: ProbedRelay) -> str:
    """Return the reaction to a ClientHello."""
    with relay.connected() as wire:
        try:
            wire.send_client_hello()
            return "an answer" if wire.socket.recv(1) else "an end"
        except (ConnectionResetError, BrokenPipeError):
            return "reset"


def _first_bytes(relay: ProbedRelay) -> tuple[int, str]:
    """Return how many of the first eleven bytes answer a heartbeat, and the end of the connection."""
    with relay.authenticated() as wire:
        wire.send(BEAT)
        return len(wire.first_bytes(11)), wire.ended


def _still_read(relay: ProbedRelay) -> tuple[str, list[str]]:
    """Return the end of the first connection, and whether another one can have the tunnel that the first asks for."""
    with relay.authenticated("one") as wire:
        wire.send(BEAT)
        with relay.authenticated("one") as other:
            wire.records_so_far()
            with contextlib.suppress(OSError):
                wire.send(tunnel("first", "one"))
            assert other.names(BEAT) == [BEATEN]
            return wire.ended, other.names(tunnel("second", "one"))


def _jitter(relay: ProbedRelay) -> tuple[bool, bool]:
    """Return whether delays differ, and whether the answers keep the order of the requests."""
    with relay.authenticated() as wire:
        times = []
        for _ in range(9):
            began = time.monotonic()
            wire.answers(BEAT)
            times.append(time.monotonic() - began)
        names = [str(number) for number in range(9)]
        tunnels = [body["tunnel_id"] for body in wire.answers(*map(tunnel, names))]
        return statistics.median(times) > 0.03 and max(times) - min(times) > 0.06, tunnels == names


def _records(beats: int) -> Callable[[ProbedRelay], list[int]]:
    """Return a look at the sizes of the TLS records, except the last one, that answer heartbeats sent at once."""

    def look(relay: ProbedRelay) -> list[int]:
        with relay.authenticated() as wire:
            assert wire.names(*[BEAT] * beats) == [BEATEN] * beats
            return [len(record) for record in wire.records][:-1]

    return look


def _ends(how: str, at_once: str, read: list[str] | None = None, *, close_frame: bool = False) -> tuple[Show, ...]:
    """Return the proofs of a kind that ends connections; `read`: the answer if requests are handled after the end."""
    asked = _talk(HELLO, auth(), BEAT, close_frame=close_frame)
    points = ("heartbeat_response", "heartbeat") if read else ()
    return (
        Show(_accepted, "an answer", at_once, {"when": {"direction": "connect"}}),
        Show(asked, [*GREETED, BEATEN], [*GREETED, how], at("heartbeat")),
        Show(asked, [*GREETED, BEATEN], [*GREETED, how], at("auth_response")),
        *(Show(_first_bytes, (11, ""), (size, how), at(BEATEN, bytes=size)) for size in (0, 10)),
        *(Show(_still_read, ("", _TAKEN), (how, read), {"when": {"message": m, "connection": 1}}) for m in points),
    )


_TAKEN: Final = ["tenant_limit_exceeded"]  # the first connection has the tunnel

TRANSPORT: Final[dict[str, tuple[Show, ...]]] = {
    "refuse": (Show(_handshake, "hello_response", "refused"),),
    "silent": (Show(_answered, (True, ""), (False, ""), _FIRST),),
    "reset": _ends("reset", "reset"),
    "close": _ends("closed", "an end", [OPENED], close_frame=True),
    "close-without-notify": _ends("cut", "an end"),
    "half-close": _ends("closed", "an end", _TAKEN),
    "latency": (
        Show(_is_late, False, True, {"seconds": 0.1}),
        Show(_jitter, (False, True), (True, True), {"seconds": 0.08, "jitter": 0.08}),
    ),
    "bandwidth": (
        Show(_is_late, False, True, at(BEATEN, bytes_per_second=250)),
        Show(_records(1), [], [7] * 4, at(BEATEN, bytes_per_second=140)),
    ),
    "dribble": (Show(_records(1), [], [4] * 7, {"bytes": 4}), Show(_is_late, False, True, {"seconds": 0.005})),
    "split": (
        Show(_records(1), [], [3, 6], {"at": [9, 3, 3, 1000]}),
        Show(_is_late, False, True, at(BEATEN, at=[1], seconds=0.1)),
    ),
    "merge": (
        Show(lambda relay: len(_records(3)(relay)), 2, 0, at(BEATEN, messages=3)),
        Show(lambda relay: len(_records(3)(relay)), 2, 1, at(BEATEN)),
        Show(_is_late, False, True, {"seconds": 0.1}),
    ),
}


# ---------------------------------------------------------------------------- WebSocket

_TEXT: Final = (
    b'{"type":"hello_response","version":"1.0","features":["tls","heartbeat","tunnel_info","multi_tenancy","metrics"]}'
)


def _frames(relay: ProbedRelay) -> list[tuple[int, bool, bytes]]:
    """Return the frames that answer a hello: first byte, masked, payload."""
    with relay.wire() as wire:
        wire.send(HELLO)
        return wire.frames_up_to(len(_TEXT))


def _first(part: int) -> Look:
    """Return a look at one part of the first frame that answers a hello."""
    return lambda relay: _frames(relay)[0][part]


def _head_and_size(relay: ProbedRelay) -> tuple[bytes, int]:
    """Return the first two bytes and the size of the answer to a hello."""
    with relay.wire() as wire:
        wire.send(HELLO)
        return wire.first_bytes(2), len(wire.records[0])


def _closing(relay: ProbedRelay) -> tuple[Any, ...]:
    """Return the frame that answers a hello, and the end of the connection after a close frame."""
    with relay.wire() as wire:
        wire.send(HELLO)
        (frame,) = wire.frames_up_to(len(_TEXT))
        return (*frame, wire.end() if frame[0] == 0x88 else "")


_PLAIN: Final = [(0x81, False, _TEXT)]
_SIZE: Final = len(_TEXT)
_HEAD: Final = (bytes((0x81, _SIZE)), _SIZE + 2)
_FRAGMENTS: Final = [(0x01, False, _TEXT[:50]), (0x00, False, _TEXT[50:100]), (0x80, False, _TEXT[100:])]
_PING: Final = (0x89, False, b"hi")
_BROKEN: Final[dict[str, tuple[Look, object, object]]] = {
    "masked": (_head_and_size, _HEAD, (bytes((0x81, 0x80 | _SIZE)), _SIZE + 6)),
    "reserved-bit": (_first(0), 0x81, 0xC1),
    "unknown-opcode": (_first(0), 0x81, 0x83),
    "binary": (_first(0), 0x81, 0x82),
    "not-utf-8": (_first(2), _TEXT, _TEXT[:-1] + b"\xff}"),
    "continuation-first": (_first(0), 0x81, 0x80),
    "long-ping": (_frames, _PLAIN, [(0x89, False, bytes(126)), *_PLAIN]),
    "length-not-minimal": (_head_and_size, _HEAD, (bytes((0x81, 127)), _SIZE + 10)),
    "unfinished": (_head_and_size, _HEAD, (bytes((0x81, _SIZE)), _SIZE + 1)),
}

WEBSOCKET: Final[dict[str, tuple[Show, ...]]] = {
    "websocket-close": (
        Show(_closing, (0x81, False, _TEXT, ""), (0x88, False, struct.pack("!H", 1001), "closed")),
        Show(_first(2), _TEXT, struct.pack("!H", 1005) + "müde".encode(), {"code": 1005, "reason": "müde"}),
    ),
    "websocket-fragments": (
        Show(_frames, _PLAIN, _FRAGMENTS, {"bytes": 50}),
        Show(lambda relay: len(_frames(relay)), 1, _SIZE // 8),
    ),
    "websocket-pings": (
        Show(
            _frames,
            _PLAIN,
            [_PING, (0x01, False, _TEXT[:56]), _PING, (0x80, False, _TEXT[56:])],
            {"payload": "hi"},
        ),
    ),
    "websocket-broken-frame": tuple(Show(*proof, {"how": how}) for how, proof in _BROKEN.items()),
}


# ---------------------------------------------------------------------------- message


def _text(relay: ProbedRelay) -> bytes:
    """Return the text of the answer to a hello."""
    with relay.wire() as wire:
        wire.send(HELLO)
        (text,) = wire.texts(1)
        return text


def _object(relay: ProbedRelay) -> str:
    text = _text(relay)
    try:
        return "an object" if isinstance(json.loads(text), dict) else "not an object"
    except UnicodeDecodeError:
        return "not UTF-8"
    except ValueError:
        return "not JSON"


def _spelling(relay: ProbedRelay) -> tuple[object, ...]:
    """Return the members of an answer, and whether it contains escapes and white space."""
    text = _text(relay)
    return sorted(json.loads(text)), b"\\u" in text, b"\t" in text or b" " in text


def _orders(relay: ProbedRelay) -> bool:
    """Whether the members of twenty answers come in different orders."""
    with relay.authenticated() as wire:
        return len({tuple(body) for body in wire.answers(*[tunnel()] * 20)}) > 1


def _members(relay: ProbedRelay) -> list[str]:
    return sorted(json.loads(_text(relay)))


def _until_released(relay: ProbedRelay) -> list[list[str]]:
    """Return the answers before a fault is released, while another connection is served, and those after it."""
    with relay.wire() as wire:
        wire.send(HELLO, auth(), tunnel(), BEAT)
        relay.serve_another()
        found = wire.names_so_far()
        relay.release("it")
        return [found, wire.names(number=4 - len(found))]


_ENDS: Final = "unknown_message_type"
_BOTH: Final = _up_to(BEATEN, tunnel(), BEAT)
_TUNNEL: Final = _up_to(OPENED, tunnel())
_THREE: Final = [*GREETED, OPENED]
_HELLO: Final = ["features", "type", "version"]
_NOT_JSON: Final = ("missing-brace", "trailing-comma", "single-quotes", "missing-quote", "missing-colon", "words")

MESSAGE: Final[dict[str, tuple[Show, ...]]] = {
    "drop": tuple(Show(_BOTH, SERVED, [*GREETED, BEATEN], at(message)) for message in (OPENED, "tunnel_info")),
    "delay": tuple(Show(_is_late, False, True, at(message, seconds=0.1)) for message in (BEATEN, "heartbeat")),
    "duplicate": (
        Show(_BOTH, SERVED, [*GREETED, OPENED, OPENED, OPENED, BEATEN], at(OPENED, copies=3)),
        Show(_BOTH, SERVED, ["hello_response", *SERVED], at("hello")),
    ),
    "reorder": (
        Show(
            _up_to(_ENDS, tunnel(), BEAT, {"type": "x"}),
            [*SERVED, _ENDS],
            [*GREETED, BEATEN, OPENED, _ENDS],
            at(OPENED, seconds=PATIENCE),
        ),
        Show(_is_late, False, True, {"seconds": 0.1}),
    ),
    "hold": (
        Show(_until_released, [SERVED, []], [[*GREETED, BEATEN], [OPENED]], at(OPENED)),
        Show(_until_released, [SERVED, []], [GREETED, [OPENED, BEATEN]], at("tunnel_info")),
    ),
    "truncate": (
        Show(lambda relay: _text(relay)[10:11], b"e", b"", {"bytes": 10}),
        Show(_object, "an object", "not JSON"),
    ),
    "damage-utf-8": (Show(_object, "an object", "not UTF-8"),),
    "damage-json": (
        *(Show(_object, "an object", "not JSON", {"how": how}) for how in _NOT_JSON),
        Show(_object, "an object", "not an object", {"how": "array"}),
        Show(lambda relay: _object(relay) == "an object", True, False),
    ),
    "oversize": (Show(lambda relay: len(_text(relay)) > 200_000, False, True, {"bytes": 200_000}),),
    "spelling": (
        Show(_spelling, (_HELLO, False, False), (_HELLO, True, False)),
        Show(_spelling, (_HELLO, False, False), (_HELLO, False, True), {"how": "white-space"}),
        Show(_orders, False, True, {"how": "order"}),
    ),
    "member": (
        Show(_members, _HELLO, [*_HELLO, "x"], {"member": "x", "value": {"y": [1]}}),
        Show(lambda relay: json.loads(_text(relay))["version"], "1.0", 7, {"member": "version", "value": 7}),
    ),
    "missing-member": (Show(_members, _HELLO, _HELLO[:2], {"member": "version"}),),
    "unsolicited": (
        Show(_TUNNEL, _THREE, [*GREETED, BEATEN, OPENED], at("auth_response")),
        Show(
            _TUNNEL,
            _THREE,
            ["hello_response", "made-up", "auth_response", OPENED],
            at("auth_response", body={"type": "made-up"}, place="before"),
        ),
        Show(_TUNNEL, _THREE, ["hello_response", BEATEN, "auth_response", OPENED], at("auth")),
    ),
}


# ---------------------------------------------------------------------------- meaning


def _member(name: str, *bodies: Body) -> Look:
    """Return a look at a member of the last answer."""

    def look(relay: ProbedRelay) -> object:
        with relay.wire() as wire:
            return [wire.answers(body)[0] for body in bodies][-1].get(name)

    return look


def _three_connections(relay: ProbedRelay) -> list[str]:
    """Return the answers to hello and auth on three connections of a tenant that are open together."""
    with relay.wire() as one, relay.wire() as two, relay.wire() as three:
        return [name for wire in (one, two, three) for body in (HELLO, auth()) for name in wire.names(body)]


_OPENING: Final = _talk(HELLO, auth(), tunnel("1"), tunnel("2"), tunnel("1"), BEAT)
_ALL: Final = [*GREETED, OPENED, OPENED, OPENED, BEATEN]
_DIALOGUE: Final = _talk(HELLO, auth(), tunnel(), BEAT)
_THIRD: Final = _talk(HELLO, auth("one"), tunnel("1", "one"), tunnel("2", "one"), tunnel("3", "a"))
_THIRD_ANSWERS: Final = [*GREETED, OPENED, "tenant_limit_exceeded", "tenant_not_found"]

MEANING: Final[dict[str, tuple[Show, ...]]] = {
    "error": (
        Show(_DIALOGUE, SERVED, [*GREETED, "made_up", BEATEN], at("tunnel_info", code="made_up")),
        Show(
            _talk(HELLO, auth(), BEAT, BEAT),
            [*GREETED, BEATEN, BEATEN],
            [*GREETED, "ip_not_allowed", "closed"],
            at("heartbeat", code="ip_not_allowed", close=True),
        ),
        Show(
            lambda relay: _member("message", HELLO, auth(), {"type": "x"})(relay) == "never heard of it",
            False,
            True,
            at("unknown", code="unknown_message_type", text="never heard of it"),
        ),
        # A refused request has no effect: the tenant's only tunnel can still be opened.
        Show(
            _talk(HELLO, auth("one"), tunnel("1", "one"), tunnel("2", "one")),
            [*GREETED, OPENED, "tenant_limit_exceeded"],
            [*GREETED, "buffer_pool_exhausted", OPENED],
            {"code": "buffer_pool_exhausted", "when": {"message": "tunnel_info", "nth": 1}},
        ),
    ),
    "wrong-type": (Show(_talk(HELLO), ["hello_response"], ["hi"], {"type": "hi"}),),
    "wrong-id": (
        Show(_member("tunnel_id", HELLO, auth(), tunnel("mine")), "mine", "another-id"),
        Show(_member("client_id", HELLO, auth()), "user123", "him", {"value": "him"}),
    ),
    "wrong-tenant": (Show(_member("tenant_id", HELLO, auth()), "a", "b", {"value": "b"}),),
    "unavailable": (
        Show(_talk(HELLO, BEAT), ["hello_response", "invalid_token"], ["server_unavailable", "closed"]),
        Show(_DIALOGUE, SERVED, [*GREETED, "server_unavailable", BEATEN], {"when": {"after": 2}}),
    ),
    "limits": (
        Show(_OPENING, _ALL, [*GREETED, OPENED, "tenant_limit_exceeded", *_ALL[-2:]], {"tunnels": 1}),
        Show(_OPENING, _ALL, [*GREETED, OPENED, "buffer_pool_exhausted", *_ALL[-2:]], {"buffers": 1}),
        Show(
            _three_connections,
            GREETED * 3,
            [*GREETED, *["hello_response", "tenant_limit_exceeded"] * 2],
            {"connections": 1},
        ),
        Show(_three_connections, GREETED * 3, [*GREETED * 2, "connection_limit_reached"], {"relay_connections": 2}),
        # The configured limits stay in force, and other errors take precedence.
        Show(_THIRD, _THIRD_ANSWERS, _THIRD_ANSWERS, {"tunnels": 5}),
    ),
}

SHOWS: Final = {**TLS, **TRANSPORT, **WEBSOCKET, **MESSAGE, **MEANING}


@pytest.mark.parametrize("kind", SHOWS)
async def test_kinds_on_the_wire(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    for shown, transport in itertools.product(SHOWS[kind], KINDS[kind].transports):
        fault = Fault.read({"kind": kind, "name": "it", **shown.fault})
        for faults, expected in (((), shown.clean), ((fault,), shown.wrong)):
            async with Simulator(replace(CONFIG, faults=faults)) as simulator:
                seen = await asyncio.to_thread(shown.look, ProbedRelay(simulator, transport))
            assert seen == expected, (transport, faults)
    # If the relay's own code fails, it closes the connection, which may look intended.
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_each_kind_is_proven_at_every_point_and_with_every_parameter() -> None:
    assert list(KINDS) == list(SHOWS)
    assert list(dict.fromkeys(kind.layer for kind in KINDS.values())) == list(FaultLayer)
    assert set(_BROKEN) == set(websocket.BROKEN)
    for name, kind in KINDS.items():
        points = set()
        for shown in SHOWS[name]:
            when = shown.fault.get("when", {})
            point = "request" if when.get("message") in REQUESTS else when.get("direction")
            points.add(point or ("answer" if "message" in when else kind.directions[0].value))
        assert points == {direction.value for direction in kind.directions}, name
        assert set(kind.params) <= {key for shown in SHOWS[name] for key in shown.fault}, name


def test_each_kind_is_described() -> None:
    for name, kind in KINDS.items():
        assert re.fullmatch(r"[a-z0-9.-]+", name)
        assert re.fullmatch(r"[A-Z].*\.", kind.sentence), name
        assert kind.stands_for in REQUIREMENTS or not kind.stands_for.startswith("CB-")
        for key, param in kind.params.items():
            assert param.meaning, (name, key)
            assert key not in (*CONDITIONS, "name", "kind", "sequence", "repeat", "when"), (name, key)
            if param.default is not None:
                assert not param.required
                Fault.read({**SHOWS[name][0].fault, "kind": name, key: param.default})

"""Every kind of fault by name, in the order of the protocol's layers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

from msgspec import Meta

from cbspec.documents import Count, Seconds, Text, says
from cbspec.protocol.codes import ErrorCode
from cbspec_simulator.base.values import Delay, JsonObject, Natural, one_of, short, up_to
from cbspec_simulator.faults import effects, websocket
from cbspec_simulator.faults.kind import (
    VALIDITY,
    ConnectionEnd,
    Delivery,
    FaultKind,
    FaultLayer,
    Greeting,
    Handling,
    Param,
    Strike,
)

_Positions = Annotated[tuple[Count, ...], Meta(min_length=1, title="an array of whole numbers, 1 or more")]
_CloseCode = Annotated[int, Meta(ge=1000, le=4999, title="a close code from 1000 to 4999")]
_TEN_YEARS: Final = 10 * 365 * 24 * 3600
_MAX_COPIES: Final = 10_000
_MAX_SIZE: Final = 100_000_000

_tls = partial(FaultKind, FaultLayer.TLS)
_transport = partial(FaultKind, FaultLayer.TRANSPORT)
_websocket = partial(FaultKind, FaultLayer.WEBSOCKET, transports=("websocket",))
_message = partial(FaultKind, FaultLayer.MESSAGE)
_meaning = partial(FaultKind, FaultLayer.MEANING)


def _varied(name: str, sentence: str, stands_for: str, params: Mapping[str, Param] | None = None) -> FaultKind:
    """Return the kind that changes the relay's TLS by the variation of the same name (`edge/contexts.py`)."""
    variation = name.removeprefix("certificate-")

    def connect(greeting: Greeting, strike: Strike) -> None:
        # A certificate has one validity period, so the last fault sets it. Other variations can be combined.
        greeting.tls = (greeting.tls - VALIDITY if variation in VALIDITY else greeting.tls) | {variation}
        if "seconds" in strike.params:
            greeting.lifetime = strike["seconds"]

    return _tls(name, sentence, stands_for, params or {}, connect=connect)


def _ending(end: ConnectionEnd, sentence: str, stands_for: str) -> FaultKind:
    """Return the kind that ends a connection: when it opens, at a request, or during or after an answer."""

    def instead(point: Greeting | Handling, strike: Strike) -> None:
        point.end = end

    def after(delivery: Delivery, strike: Strike) -> None:
        delivery.end = end
        delivery.length = strike["bytes"]

    params = {"bytes": Param(Natural, "bytes of the answer that are sent before (default: all of them)")}
    return _transport(end.value, sentence, stands_for, params, connect=instead, request=instead, deliver=after)


_ALL: Final = (
    _varied("tls-1.2", "The relay supports no TLS version after 1.2.", "CB-TLS-001"),
    _varied("certificate-expired", "The certificate expired yesterday.", "a certificate that was not renewed"),
    _varied("certificate-not-yet-valid", "The certificate is valid from tomorrow on.", "a wrong clock on either side"),
    _varied(
        "certificate-expiring",
        "The certificate is valid and expires soon.",
        "a certificate that is due for renewal",
        {"seconds": Param(up_to(_TEN_YEARS), "remaining validity in seconds", 3600)},
    ),
    _varied(
        "certificate-other-name", "The certificate is for another host name.", "a relay at the address of another one"
    ),
    _varied("certificate-unknown-ca", "The certificate is signed by an unknown CA.", "a man-in-the-middle attack"),
    _varied(
        "client-certificate",
        "The relay requires a client certificate and ends the handshake with an alert without one.",
        "a relay behind a gateway with mutual TLS",
    ),
    _tls(
        "handshake-stall",
        "The relay stops in the middle of the TLS handshake and keeps the connection open.",
        "an overloaded relay",
        {"bytes": Param(Natural, "bytes of its first flight that are sent before", 0)},
        connect=effects.stall,
    ),
    _tls(
        "handshake-alert",
        "The relay answers the ClientHello with a fatal alert.",
        "a relay without common TLS parameters",
        {"alert": Param(one_of(*effects.ALERTS), "the alert (RFC 8446, 6)", "handshake_failure")},
        connect=effects.alert,
    ),
    _transport(
        "refuse",
        "The relay's port refuses connections, and those in their handshake are reset; "
        "each of them, and each closing of the port, is a strike.",
        "a relay that is down",
        standing=True,
    ),
    _transport(
        "silent",
        "The relay accepts connections, completes TLS and never sends a message.",
        "a relay that hangs",
        connect=effects.ignore_client,
    ),
    _ending(
        ConnectionEnd.RESET,
        "The connection ends with a TCP reset.",
        "a relay or a firewall that lost the connection's state",
    ),
    _ending(ConnectionEnd.CLOSE, "The connection is closed properly.", "a relay that closes connections on its own"),
    _ending(
        ConnectionEnd.WITHOUT_NOTIFY,
        "The connection is closed without close_notify, so the client cannot tell whether data is missing.",
        "a crashed relay, or a truncation attack",
    ),
    _ending(
        ConnectionEnd.HALF,
        "The relay ends its half of the connection and continues to read.",
        "a half-open connection",
    ),
    _transport(
        "latency",
        "Everything that the relay sends arrives later, in the same order.",
        "a long distance, or a busy relay",
        {
            "seconds": Param(Delay, "the delay in seconds", required=True),
            "jitter": Param(Delay, "maximum random deviation from the delay, in seconds", 0.0),
        },
        deliver=effects.jitter,
    ),
    _transport(
        "bandwidth",
        "The relay sends at a limited rate.",
        "a slow network",
        {"bytes_per_second": Param(Count, "the rate", required=True)},
        deliver=effects.slow_down,
    ),
    _transport(
        "dribble",
        "The relay sends in many small TLS records.",
        "CB-MSG-009",
        {
            "bytes": Param(Count, "bytes per record", 1),
            "seconds": Param(Delay, "seconds between records", 0.001),
        },
        deliver=effects.dribble,
    ),
    _transport(
        "split",
        "Everything that the relay sends is split into TLS records at these positions.",
        "CB-MSG-009",
        {
            "at": Param(_Positions, "positions at which a new record begins, in bytes", required=True),
            "seconds": Param(Delay, "seconds between records", 0.01),
        },
        deliver=effects.split,
    ),
    _transport(
        "merge",
        "Several messages are sent as one TLS record.",
        "CB-MSG-009",
        {
            "messages": Param(Count, "messages per record", 2),
            "seconds": Param(Seconds, "maximum seconds that the first message waits", 0.2),
        },
        deliver=effects.merge,
    ),
    _websocket(
        "websocket-close",
        "The relay sends a close frame instead of the answer.",
        "a relay or a proxy that ends the WebSocket",
        {
            "code": Param(_CloseCode, "the close code (RFC 6455, 7.4)", 1001),
            "reason": Param(short(123), "the reason in the close frame", ""),
        },
        frame=websocket.close,
    ),
    _websocket(
        "websocket-fragments",
        "A message is sent in fragments.",
        "CB-WSK-003",
        {"bytes": Param(Count, "bytes per fragment", 8)},
        frame=websocket.fragment,
    ),
    _websocket(
        "websocket-pings",
        "A ping is sent before a message and between its fragments.",
        "CB-WSK-004",
        {"payload": Param(short(125), "the payload of the ping", "")},
        frame=websocket.add_pings,
    ),
    _websocket(
        "websocket-broken-frame",
        "A message is sent in a frame that RFC 6455 forbids.",
        "CB-WSK-002",
        {"how": Param(one_of(*websocket.BROKEN), "the defect of the frame", "masked")},
        frame=websocket.break_frame,
    ),
    _message(
        "drop",
        "A message is lost: a request is ignored, or an answer is not sent.",
        "lost state, or a buffer overflow",
        edit=lambda body, strike: [],
        request=effects.ignore,
    ),
    _message(
        "delay",
        "A message is handled or sent later, and later messages wait for it.",
        "a busy relay",
        {"seconds": Param(Seconds, "the delay in seconds", required=True)},
        deliver=effects.delay,
        request=effects.delay,
    ),
    _message(
        "duplicate",
        "A message is sent or handled more than once.",
        "CB-MSG-004",
        {"copies": Param(up_to(_MAX_COPIES), "number of times", 2)},
        edit=lambda body, strike: [body] * strike["copies"],
        request=effects.repeat,
    ),
    _message(
        "reorder",
        "An answer is sent after the next one.",
        "CB-MSG-011",
        {"seconds": Param(Seconds, "maximum seconds that it waits for the next answer", 0.5)},
        deliver=effects.swap,
    ),
    _message(
        "hold",
        "A message is held until the fault is released or removed; other answers pass it.",
        "a message that arrives at a critical moment",
        deliver=effects.hold,
        request=effects.hold,
    ),
    _message(
        "truncate",
        "Only the beginning of a message is sent, framed as a whole message.",
        "CB-MSG-002",
        {"bytes": Param(Natural, "bytes that are sent (default: random)")},
        text=effects.truncate,
    ),
    _message("damage-utf-8", "A message contains bytes that are not UTF-8.", "CB-MSG-001", text=effects.damage_utf_8),
    _message(
        "damage-json",
        "A message is not a JSON object.",
        "CB-MSG-002",
        {"how": Param(one_of(*effects.DAMAGE), "the defect (default: random)")},
        text=effects.damage_json,
    ),
    _message(
        "oversize",
        "A message contains an additional member of this size.",
        "a relay with unusually large answers",
        {"bytes": Param(up_to(_MAX_SIZE), "bytes of the member", 1_000_000)},
        edit=effects.pad,
        fill=effects.padding_left,
    ),
    _message(
        "spelling",
        "A message is written in another way that JSON allows.",
        "a relay with another JSON library",
        {"how": Param(one_of(*effects.SPELLINGS), "the difference", "escapes")},
        text=effects.respell,
    ),
    _message(
        "member",
        "A member is added to a message or replaced.",
        "a newer relay, or a defective one",
        {
            "member": Param(Text, "its name", required=True),
            "value": Param(Any, "its value, any JSON", True),
        },
        edit=lambda body, strike: [{**body, strike["member"]: strike["value"]}],
        only=effects.changed_by_member,
    ),
    _message(
        "missing-member",
        "A member of a message is missing.",
        "an older relay, or a defective one",
        {"member": Param(Text, "its name", required=True)},
        edit=lambda body, strike: [{name: body[name] for name in body if name != strike["member"]}],
        only=lambda params: effects.with_member(params["member"]),
    ),
    _message(
        "unsolicited",
        "An unsolicited message is sent with an answer, or before a request is handled.",
        "CB-MSG-004",
        {
            "body": Param(JsonObject, "the message", {"type": "heartbeat_response"}),
            "place": Param(one_of("before", "behind"), "whether it comes before or after the answer", "behind"),
        },
        edit=effects.add_message,
        request=effects.send_first,
    ),
    _meaning(
        "error",
        "A request is refused with this code, standard or not, and has no effect.",
        "any of the eleven codes, on demand",
        {
            "code": Param(
                Annotated[Text, says("", *ErrorCode)], f"the code: {', '.join(ErrorCode)}, or any other", required=True
            ),
            "text": Param(Text, "the message of the error"),
            "close": Param(bool, "whether the connection ends after the error", False),
        },
        request=effects.refuse,
    ),
    _meaning(
        "wrong-type",
        "An answer has another type.",
        "CB-MSG-003",
        {"type": Param(Text, "the type", "heartbeat_response")},
        edit=lambda body, strike: [{**body, "type": strike["type"]}],
        only=effects.of_another_type,
    ),
    _meaning(
        "wrong-id",
        "A tunnel_response has another tunnel_id, or an auth_response another client_id.",
        "CB-TUN-002",
        {"value": Param(Text, "the id", "another-id")},
        edit=effects.replaced("tunnel_id", "client_id"),
        only=lambda _: effects.with_member("tunnel_id", "client_id"),
    ),
    _meaning(
        "wrong-tenant",
        "An auth_response names another tenant than the token.",
        "CB-AUT-003",
        {"value": Param(Text, "the tenant_id", "another-tenant")},
        edit=effects.replaced("tenant_id"),
        only=lambda _: effects.with_member("tenant_id"),
    ),
    _meaning(
        "unavailable",
        "New work (hello, auth, tunnel_info) is refused with server_unavailable; "
        "connections without a hello are closed.",
        "CB-UNA-001",
        request=effects.refuse_new_work,
        only=lambda _: ["hello", "auth", "tunnel_info"],
    ),
    _meaning(
        "limits",
        "Limits are lower than configured; open tunnels and connections stay open.",
        "CB-LIM-001",
        {
            "tunnels": Param(Natural, "tunnels of the tenant"),
            "connections": Param(Natural, "connections of the tenant"),
            "relay_connections": Param(Natural, "connections of the relay"),
            "buffers": Param(Natural, "tunnels for which the relay has buffers"),
        },
        some=True,
        request=effects.limit,
        only=effects.limited,
    ),
)

KINDS: Final[Mapping[str, FaultKind]] = {kind.name: kind for kind in _ALL}

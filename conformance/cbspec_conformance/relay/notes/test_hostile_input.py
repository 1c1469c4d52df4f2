"""Source: Message Types: hostile input from one client must not keep the relay from serving the other clients."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import pytest

from cbspec.protocol.framing import StreamFramer
from cbspec.tokens.jws import CompactJws, dump
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.probe.client_hello import client_hello
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.texts import frames, spell
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.conclusions import Breach
from cbspec_conformance.relay.requests import UNREAD, every_byte, reading_little, with_tunnel
from cbspec_conformance.runner.marks import last, requirement, requirements
from cbspec_conformance.target.relay import RelayUnderTest

_MIB = 1024 * 1024
_SIZES = {"4 KiB": 4096, "64 KiB": 65536, "512 KiB": 512 * 1024, "2 MiB": 2 * _MIB}
_GROWING = {
    "CB-ROB-101": {name: b'{"type":"heartbeat"' + b" " * size + b"}" for name, size in _SIZES.items()},
    "CB-ROB-102": {f"{n} levels": b'{"type":"heartbeat","x":' + b"[" * n + b"]" * n + b"}" for n in (8, 32, 128, 512)},
}
_END = "an error or a close after hostile input"
_LONG_ANSWERS = 8
_OTHERS = 3  # connections: one with hostile input, one that was open before, and one that is opened after it
_BOUND = 30.0  # seconds: a relay may wait for the rest of a message, but not without a limit
_BETWEEN = 0.01  # seconds between two heartbeats while the relay reads hostile input
_A_WHILE = 0.05  # seconds in which most relays read half a megabyte that draws no answer


@dataclass(frozen=True, slots=True)
class Hostile:
    """Hostile input: whole messages, the beginning of one, or an action on the connection.

    `messages` are texts, or functions that make them; `begun` is a text without its end, which is sent byte by byte
    with `slow`. Over WebSocket, a message is a frame, and one without its end a fragment. `before` is the step before
    which it is sent. Input that need not be answered is `read` by most relays after so many seconds; the other inputs
    end in an error or a close, and their effect on other clients may show only then.
    """

    messages: tuple[bytes | Callable[[RelayUnderTest], bytes], ...] = ()
    begun: bytes = b""
    slow: bool = False
    act: Callable[[ProbeSession], object] | None = None
    before: Literal["hello", "auth", ""] = ""
    read: float | None = None

    def send(self, relay: RelayUnderTest, session: ProbeSession) -> None:
        """Send the input."""
        texts = [text if isinstance(text, bytes) else text(relay) for text in self.messages]
        data = b"".join(map(session.encode, texts)) if len(texts) > 1 else b""
        for piece in [data] if data else [piece for text in texts for piece in _pieces(session, text)]:
            if not session.ended:
                session.send_unanswered(piece)
        if self.begun:
            begun = self.begun if isinstance(session.framer, StreamFramer) else frames([self.begun, b""])[0]
            for piece in every_byte(begun) if self.slow else [begun]:
                session.send_unanswered(piece, cut=True)
        if self.act is not None:
            self.act(session)


def _pieces(session: ProbeSession, text: bytes) -> list[bytes]:
    """Return the bytes of a message, a very long one in several pieces: fragments over WebSocket."""
    parts = [text[at : at + _MIB] for at in range(0, len(text), _MIB)]
    if len(parts) == 1:
        return [session.encode(text)]
    return [*parts, b"\n"] if isinstance(session.framer, StreamFramer) else frames(parts)


def _deep(levels: int, before: bytes = b'{"type":', after: bytes = b"}") -> bytes:
    return before + b"[" * levels + b"]" * levels + after


def _auth(token: str) -> bytes:
    return spell({"type": "auth", "token": token})


def _valid(relay: RelayUnderTest) -> CompactJws:
    try:
        parts = CompactJws.split(relay.tokens.valid(relay.tenant))
        _ = parts.claims
    except ValueError:
        raise NotExercised("the ready-made token is no readable JWT; give tokens.secret or tokens.key_file") from None
    return parts


def _token(*, header: bytes = b"", payload: bytes = b"") -> Callable[[RelayUnderTest], bytes]:
    """Return a function that makes an auth whose token has another header or payload, signed if the key is known."""

    def make(relay: RelayUnderTest) -> bytes:
        valid, key = _valid(relay), relay.tokens.key
        made = replace(valid, header=header or valid.header, payload=payload or valid.payload)
        return _auth(str(replace(made, signature=key.sign(made.signing_input)) if key else made))

    return make


def _claim(name: str, text: bytes) -> Callable[[RelayUnderTest], bytes]:
    """Return a function that makes an auth whose valid token has one more claim, as JSON text."""

    def make(relay: RelayUnderTest) -> bytes:
        claims = _valid(relay).claims
        claims.pop(name, None)
        return _token(payload=dump(claims)[:-1] + b',"' + name.encode() + b'":' + text + b"}")(relay)

    return make


def _tunnel(name: str, text: bytes) -> Callable[[RelayUnderTest], bytes]:
    """Return a function that makes a tunnel_info with another member, as JSON text."""
    return lambda relay: dump({**relay.tunnel_info(), name: None}).replace(
        dump({name: None})[1:-1], b'"' + name.encode() + b'":' + text
    )


_HOSTILE: dict[str, Hostile] = {
    "huge": Hostile((b'{"type":"' + b"x" * 8 * _MIB + b'"}',)),
    "half-a-huge-message": Hostile(begun=b'{"type":"' + b"x" * (_MIB // 2), read=_A_WHILE),
    # Several depths: a relay that refuses a long message for its length doesn't parse it.
    "deep": Hostile((_deep(100_000),)),
    "deep-in-64-kib": Hostile((_deep(30_000),)),
    "deep-in-16-kib": Hostile((_deep(8_000),)),
    "deep-open": Hostile((b'{"a":' * 100_000,)),
    "deep-in-a-member": Hostile((_deep(6_000, b'{"type":"heartbeat","x":'),)),
    "deep-objects-in-a-member": Hostile((b'{"type":"heartbeat","x":' + b'{"a":' * 6_000 + b"1" + b"}" * 6_001,)),
    "deep-before-hello": Hostile(
        (_deep(6_000, b'{"type":"hello","version":"1.0","features":[],"x":'),), before="hello"
    ),
    "half-a-message": Hostile(begun=b'{"type":"tunnel_info","tunnel_id":"', read=0.0),
    "not-an-object": Hostile((b"[]", b"1", b"null", b'""')),
    "random": Hostile((bytes((i * 167 + 13) % 256 for i in range(4096)),)),
    "nul-bytes": Hostile((b"\0" * 4096,)),
    "many-lines": Hostile((b"\n" * 100_000,), read=_A_WHILE),
    "long-number": Hostile((b'{"type":"heartbeat","x":' + b"9" * 10_000 + b"}",)),
    "number-out-of-range": Hostile((b'{"type":"heartbeat","x":[1e309,-1e309,1e-400,123456789012345678901234567890]}',)),
    "many-members": Hostile((b'{"type":"heartbeat"' + b',"a":1' * 20_000 + b"}",)),
    "lone-surrogate": Hostile((b'{"type":"\\ud800","x":"\\udfff"}',)),
    "reset": Hostile(act=lambda session: session.wire.reset(), read=0.0),
    "slow": Hostile(begun=b'{"type":"hea', slow=True, read=0.0),
    "wrong-tls-record": Hostile(act=lambda session: session.wire.send_raw(b"\x17\x03\x03\x00\x10" + b"\0" * 16)),
    "token-with-deep-header": Hostile((_token(header=_deep(20_000, b'{"alg":"HS256","x":')),), before="auth"),
    "token-with-deep-payload": Hostile((_claim("x", _deep(20_000, b"", b"")),), before="auth"),
    "token-of-61000-letters": Hostile((_auth("A" * 61_000),), before="auth"),
    "token-of-61000-dots": Hostile((_auth("." * 61_000),), before="auth"),
    "token-with-a-claim-of-64-kib": Hostile((_claim("x", b'"' + b"x" * 48_000 + b'"'),), before="auth"),
    "token-of-a-mebibyte": Hostile((_auth("eyJ" + "A" * _MIB + ".e30.AA"),), before="auth"),
    "token-that-expires-at-1e309": Hostile((_claim("exp", b"1e309"),), before="auth"),
    "token-that-expires-at-a-long-number": Hostile((_claim("exp", b"9" * 5_000),), before="auth"),
    "token-with-a-lone-surrogate": Hostile((_claim("tenant_id", b'"\\ud800"'),), before="auth"),
    "token-with-an-odd-algorithm": Hostile((_token(header=b'{"alg":["HS256"],"kid":{},"typ":1}'),), before="auth"),
    "token-with-nul": Hostile((_auth("\0.\0.\0"), _auth("é.é.é")), before="auth"),
    "tokens-of-other-types": Hostile(
        (
            *(_claim("exp", text) for text in (b"[1]", b"{}", b"true", b'"x"')),
            *(_token(payload=text) for text in (b"null", b"[]", b'"\xff"')),
            *(_token(header=text) for text in (b"null", b"[]", b'{"alg":"HS256","kid":"\\u0000"}')),
            *(_claim(name, b"[{}]") for name in ("nbf", "tenant_id", "sub", "iat")),  # the last ones may be accepted
        ),
        before="auth",
        read=_A_WHILE,
    ),
    "tunnels-of-other-types": Hostile(
        tuple(
            _tunnel(name, text)
            for name in ("remote_port", "remote_host", "tunnel_id", "tenant_id")
            for text in (b"9" * 400, b"1e400", _deep(2_000, b"", b""), b'{"__proto__":{"":1}}')
        ),
        read=_A_WHILE,
    ),
}

_BEFORE_TLS = {"says-nothing": 0, "half-a-client-hello": 40}
"""Connections without a complete TLS handshake: the bytes of a ClientHello that are sent."""


@requirement("CB-ROB-001", "CB-ROB-002")
@pytest.mark.parametrize("kind", list(_HOSTILE))
def test_others_are_served(relay: RelayUnderTest, kind: str) -> None:
    """Send hostile input on one connection.

    An authenticated connection must get its answers during and after it, and a new one must be served right after it:
    hello, auth and a tunnel.
    """
    if _has_room_for_three(relay):
        _bystander_is_served(relay, kind, new=True)
        return
    found: Broken | Inconclusive | NotExercised | None = None
    try:
        _bystander_is_served(relay, kind)
    except (Broken, Inconclusive, NotExercised) as error:
        found = error
    relay.close()
    with_tunnel(relay).close()
    attacker = _attacker(relay, kind)
    _attack(relay, attacker, kind)
    if (seconds := _HOSTILE[kind].read) is None:
        attacker.wire.has_unread(relay.tempo.patience)
    else:
        relay.clock.sleep(seconds)
    if relay.profile.relay.connection_limit == 1 or relay.tenant.connection_limit == 1:
        attacker.close()
    _judge_new_connection(relay)
    if found is not None:
        raise found


def _has_room_for_three(relay: RelayUnderTest) -> bool:
    """Whether the declared limits allow three connections of the main tenant, and as many tunnels."""
    connections = (relay.profile.relay.connection_limit, relay.tenant.connection_limit, relay.room.connections)
    return relay.room.tunnels(_OTHERS) == _OTHERS and all(each is None or each >= _OTHERS for each in connections)


def _bystander_is_served(relay: RelayUnderTest, kind: str, *, new: bool = False) -> None:
    """Check that an open connection is served during and after hostile input, and with `new` judge a new one, too."""
    other = relay.authenticated(subject=relay.tokens.subject("bystander"))
    relay.open_tunnel(other)
    attacker = _attacker(relay, kind)
    with relay.control("two connections at the same time"):
        relay.beat(other)
    _attack(relay, attacker, kind)
    seconds = _HOSTILE[kind].read
    read = attacker.wire.has_unread if seconds is None else _after(seconds)

    def also() -> None:
        if seconds is None:  # otherwise the input is read by now
            attacker.wire.has_unread(relay.tempo.patience)
        _judge_new_connection(relay)

    _served_meanwhile(relay, other, attacker.close, read, also if new else lambda: None)


def _judge_new_connection(relay: RelayUnderTest) -> None:
    """Blame CB-ROB-002 unless a new connection is served: hello, auth and a tunnel."""
    try:
        _served(relay)
    except Broken as broken:
        breach = Breach("CB-ROB-002", broken.expected, broken.seen)
        relay.log.breach(breach, *broken.exchanges, expectation=broken.expectation)


@requirements("CB-ROB-001", "CB-ROB-002")
@pytest.mark.parametrize("kind", list(_BEFORE_TLS))
def test_incomplete_handshake(relay: RelayUnderTest, kind: str, identifier: str) -> None:
    """Begin a TLS handshake and don't complete it; an open connection and a new one must be served."""
    _two_at_once(relay)
    other = relay.authenticated(subject=relay.tokens.subject("bystander")) if identifier == "CB-ROB-001" else None
    if other is not None:
        relay.beat(other)
    with contextlib.closing(relay.dial(relay.profile.target.timeout)) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(client_hello("1.2", relay.connector.server_name)[: _BEFORE_TLS[kind]])
        if other is not None:
            _served_meanwhile(relay, other, sock.close)
        else:
            _served(relay)


@requirement("CB-ROB-001")
def test_open_connections_go_on_if_another_reads_nothing(relay: RelayUnderTest) -> None:
    """Request long answers on one connection and read none; another one must get its answers."""
    _two_at_once(relay)
    other = relay.authenticated(subject=relay.tokens.subject("bystander"))
    relay.beat(other)
    attacker = reading_little(relay, relay.tenant)
    tunnels = relay.room.tunnels(_LONG_ANSWERS + 1) - 1
    if not tunnels:
        raise NotExercised("room for two tunnels at a time is needed (tenants.tunnel_limit, relay.buffer_pool)")
    requests = [relay.tunnel_info() for _ in range(tunnels)]
    for request in requests:
        request["tunnel_id"] = request["tunnel_id"].ljust(UNREAD // tunnels, "x")
    with relay.control("two connections at the same time"):
        relay.beat(other)
    attacker.send_unanswered(b"".join(attacker.note(request)[1] for request in requests), messages=tunnels)
    if not attacker.wire.has_unread(relay.tempo.most):
        raise Inconclusive("no answer to tunnel_infos with long tunnel_ids, nor an error or a close")
    _served_meanwhile(relay, other, attacker.wire.reset, _after(_A_WHILE))
    attacker.wire.reset()


@requirement("CB-ROB-003")
@pytest.mark.parametrize("kind", ["huge", "deep", "not-an-object", "random", "nul-bytes"])
def test_hostile_input_is_refused(relay: RelayUnderTest, kind: str) -> None:
    """Send complete hostile input; expect an error or a close within half a minute, as after a line of words."""
    session = relay.authenticated()
    plain = session.ask_text(b"no message", meant="plain words")
    if not plain.answers and not plain.ended:
        raise Inconclusive("the relay doesn't answer a text that is no message (see CB-MSG-007)")
    session = relay.authenticated() if session.ended else session
    _attack(relay, session, kind)
    bound = min(_BOUND, relay.tempo.timeout(_END))
    deadline = time.monotonic() + bound
    while time.monotonic() < deadline and not session.ended:
        answers = session.answers(1, max(deadline - time.monotonic(), 0.0))
        for answer in answers:
            judge.legible(answer)
            if answer.type == "error":
                return
    if not session.ended:
        relay.tempo.waited_for_nothing(_END)
        raise Broken("an error or a close", f"neither within {bound:.0f} s")
    try:  # the relay must have closed only this connection
        relay.connect().close()
    except (Unreachable, HandshakeFailure) as error:
        raise Broken("a new connection after the close", str(error), requirement="CB-ROB-002") from None


@last
@requirements("CB-ROB-101", "CB-ROB-102")
def test_largest_message(relay: RelayUnderTest, identifier: str) -> None:
    """Send heartbeats with more and more white space, or more and more deeply nested, until one is not answered."""
    relay.beat(relay.authenticated())
    accepted = ""
    for name, text in _GROWING[identifier].items():
        exchange = relay.authenticated().ask_text(text, meant=name, like="heartbeat", fence=False)
        if not judge.served(exchange):
            relay.log.saw(f"{accepted}, not {name}" if accepted else f"less than {name}")
            return
        accepted = name
    relay.log.saw(f"at least {accepted}")


def _attacker(relay: RelayUnderTest, kind: str) -> ProbeSession:
    """Return a session on which the step of a hostile input is next."""
    make = {"hello": relay.connect, "auth": relay.greeted, "": relay.authenticated}
    return make[_HOSTILE[kind].before]()


def _attack(relay: RelayUnderTest, session: ProbeSession, kind: str) -> None:
    session.announce(f"hostile input: {kind}")
    _HOSTILE[kind].send(relay, session)


def _after(seconds: float) -> Callable[[float], bool]:
    """Return a function that waits, and says whether `seconds` have passed since now."""
    until = time.monotonic() + seconds

    def passed(wait: float) -> bool:
        time.sleep(max(0.0, min(wait, until - time.monotonic())))
        return time.monotonic() >= until

    return passed


def _served_meanwhile(
    relay: RelayUnderTest,
    session: ProbeSession,
    end: Callable[[], object],
    read: Callable[[float], bool] = lambda wait: True,
    also: Callable[[], None] = lambda: None,
) -> None:
    """Check that a connection is served while the relay reads another's hostile input; `end` closes the other one.

    `read` waits some seconds and says whether the input was read: reading it may delay other connections. `also` is
    judged before the end, in any case. The connection must be there after the end of the other one, too: a relay that
    crashes and starts again loses it.
    """
    deadline = time.monotonic() + relay.tempo.patience
    answered = longest = 0.0
    left = [also]

    def beat() -> None:
        nonlocal answered, longest
        longest = max(longest, time.monotonic() - answered) if answered else 0.0
        judge.accepted(session.heartbeat())
        answered = time.monotonic()

    try:
        for _ in range(3):
            beat()
        while not read(_BETWEEN) and time.monotonic() < deadline:
            beat()
        beat()
        relay.soon(lambda: judge.accepted(session.ask(relay.tunnel_info(session.tenant), fence=False)))
        left.pop()()
        end()
        beat()
    except Broken:
        for each in left:
            each()
        if session.ended:
            _not_for_idleness(relay, session, longest)
        raise
    except Inconclusive as silent:
        if not session.unresponsive:
            raise
        # The relay answered in time before: the hostile connection blocks it, or it hangs.
        for each in left:
            each()
        end()
        again = any(relay.alive() for _ in range(3))
        seen = "none until it was closed" if again else "none, and no new connection is answered either"
        raise Broken("answers during another connection's hostile input", f"{seen}: {silent}") from None


def _not_for_idleness(relay: RelayUnderTest, ended: ProbeSession, seconds: float) -> None:
    """Raise Inconclusive if the relay closes a connection that is idle for so long, without any hostile input."""
    ended.close()
    quiet = relay.authenticated()
    relay.beat(quiet)
    time.sleep(seconds + _A_WHILE)
    quiet.heartbeat()
    if quiet.ended:
        raise Inconclusive(
            f"the relay closes a connection that is idle for {seconds:.1f} s, without hostile input, too"
        )


def _served(relay: RelayUnderTest) -> None:
    """Check that a new connection is served: hello, auth and a tunnel."""
    try:
        session = _join(relay)
    except (Unreachable, HandshakeFailure) as error:
        raise Broken("a new connection", str(error)) from None
    relay.soon(lambda: judge.accepted(session.ask(relay.tunnel_info(session.tenant), fence=False)))


def _join(relay: RelayUnderTest) -> ProbeSession:
    session = relay.connect()
    judge.accepted(session.hello())
    judge.accepted(relay.authenticate(session, relay.tenant))
    return session


def _two_at_once(relay: RelayUnderTest) -> None:
    """Check as a control that the relay serves two connections at the same time, and close them."""
    for limit in (relay.profile.relay.connection_limit, relay.room.bound):
        if limit is not None and limit < 2:
            raise NotExercised("room for two connections at a time is needed (relay, target.connections_at_once)")
    greeted = relay.greeted()
    with_tunnel(relay).close()
    greeted.close()

"""Source: Message Types: hostile input from one client must not keep the relay from serving the other clients."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.probe.client_hello import client_hello
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.tcp import Unreachable, tcp_connect
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.relay.requests import every_byte, with_tunnel
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
_UNREAD = 256 * 1024  # bytes of answers: more than the relay's system buffers for a client with a small receive window
_BOUND = 30.0  # seconds: a relay may wait for the rest of a message, but not without a limit
_BETWEEN = 0.01  # seconds between two heartbeats while the relay reads hostile input
_A_WHILE = 0.05  # seconds in which most relays read half a megabyte that draws no answer


def _deep(levels: int) -> bytes:
    return b'{"type":' + b"[" * levels + b"]" * levels + b"}\n"


def _huge(session: ProbeSession) -> None:
    for piece in (b'{"type":"', *[b"x" * _MIB] * 8, b'"}\n'):
        if not session.ended:
            session.send_unanswered(piece)


def _slow(session: ProbeSession) -> None:
    for byte in every_byte(b'{"type":"hea'):
        session.send_unanswered(byte)


_HOSTILE: dict[str, bytes | Callable[[ProbeSession], None]] = {
    "huge": _huge,
    "half-a-huge-message": b'{"type":"' + b"x" * (_MIB // 2),
    # Several depths: a relay that refuses a long message for its length doesn't parse it.
    "deep": _deep(100_000),
    "deep-in-64-kib": _deep(30_000),
    "deep-in-16-kib": _deep(8_000),
    "deep-open": b'{"a":' * 100_000 + b"\n",
    "half-a-message": b'{"type":"tunnel_info","tunnel_id":"',
    "not-an-object": b'[]\n1\nnull\n""\n',
    "random": bytes((i * 167 + 13) % 256 for i in range(4096)) + b"\n",
    "nul-bytes": b"\0" * 4096 + b"\n",
    "many-lines": b"\n" * 100_000,
    "long-number": b'{"type":"heartbeat","x":' + b"9" * 10_000 + b"}\n",
    "many-members": b'{"type":"heartbeat"' + b',"a":1' * 20_000 + b"}\n",
    "reset": lambda session: session.wire.reset(),
    "slow": _slow,
    "wrong-tls-record": lambda session: session.wire.send_raw(b"\x17\x03\x03\x00\x10" + b"\0" * 16),
}

_UNANSWERED = {
    **dict.fromkeys(("half-a-huge-message", "many-lines"), _A_WHILE),
    **dict.fromkeys(("half-a-message", "reset", "slow"), 0.0),
}
"""Inputs that need not be answered, and the seconds after which most relays have read them.

The other inputs end in an error or a close, and their effect on other clients may show only then.
"""

_BEFORE_TLS = {"says-nothing": 0, "half-a-client-hello": 40}
"""Connections without a complete TLS handshake: the bytes of a ClientHello that are sent."""


@requirement("CB-ROB-001")
@pytest.mark.parametrize("kind", list(_HOSTILE))
def test_open_connections_go_on(relay: RelayUnderTest, kind: str) -> None:
    """Send hostile input on one connection; an authenticated one must get its answers during and after it."""
    other = relay.authenticated()
    relay.beat(other)
    attacker = relay.authenticated()
    with relay.control("two connections at the same time"):
        relay.beat(other)
    _attack(attacker, kind)
    read = _after(_UNANSWERED[kind]) if kind in _UNANSWERED else attacker.wire.has_unread
    _served_meanwhile(relay, other, attacker.close, read)


@requirements("CB-ROB-001", "CB-ROB-002")
@pytest.mark.parametrize("kind", list(_BEFORE_TLS))
def test_incomplete_handshake(relay: RelayUnderTest, kind: str, identifier: str) -> None:
    """Begin a TLS handshake and don't complete it; an open connection and a new one must be served."""
    _two_at_once(relay)
    other = relay.authenticated() if identifier == "CB-ROB-001" else None
    if other is not None:
        relay.beat(other)
    relay.room.take_connection()
    with contextlib.closing(tcp_connect(relay.endpoint, relay.connector.source, relay.profile.target.timeout)) as sock:
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
    other = relay.authenticated()
    relay.beat(other)
    with relay.control("hello and auth"):
        try:
            attacker = _join(relay, narrow=True)  # a very small receive window
        except (Unreachable, HandshakeFailure) as error:
            raise NotExercised(f"a connection with a small receive window can't be made here: {error}") from None
    tunnels = relay.room.tunnels(_LONG_ANSWERS + 1) - 1
    if not tunnels:
        raise NotExercised("room for two tunnels at a time is needed (tenants.tunnel_limit, relay.buffer_pool)")
    requests = [relay.tunnel_info() for _ in range(tunnels)]
    for request in requests:
        request["tunnel_id"] = request["tunnel_id"].ljust(_UNREAD // tunnels, "x")
    with relay.control("two connections at the same time"):
        relay.beat(other)
    attacker.send_unanswered(b"".join(attacker.note(request)[1] for request in requests), messages=tunnels)
    if not attacker.wire.has_unread(relay.tempo.most):
        raise Inconclusive("no answer to tunnel_infos with long tunnel_ids, nor an error or a close")
    _served_meanwhile(relay, other, attacker.wire.reset, _after(_A_WHILE))
    attacker.wire.reset()


@requirement("CB-ROB-002")
@pytest.mark.parametrize("kind", list(_HOSTILE))
def test_new_connections_are_served(relay: RelayUnderTest, kind: str) -> None:
    """Send hostile input on one connection; a new one must be served right afterwards: hello, auth and a tunnel."""
    with_tunnel(relay).close()
    attacker = relay.authenticated()
    _attack(attacker, kind)
    if kind not in _UNANSWERED:
        attacker.wire.has_unread(relay.tempo.patience)
    if relay.profile.relay.connection_limit == 1 or relay.tenant.connection_limit == 1:
        attacker.close()
    _served(relay)


@requirement("CB-ROB-003")
@pytest.mark.parametrize("kind", ["huge", "deep", "deep-open", "not-an-object", "random", "nul-bytes"])
def test_hostile_input_is_refused(relay: RelayUnderTest, kind: str) -> None:
    """Send complete hostile input; expect an error or a close within half a minute, as after a line of words."""
    plain = relay.authenticated().ask_text(b"no message", meant="plain words")
    if not plain.answers and not plain.ended:
        raise Inconclusive("the relay doesn't answer a text that is no message (see CB-MSG-007)")
    session = relay.authenticated()
    _attack(session, kind)
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


def _attack(session: ProbeSession, kind: str) -> None:
    session.announce(f"hostile input: {kind}")
    attack = _HOSTILE[kind]
    session.send_unanswered(attack) if isinstance(attack, bytes) else attack(session)


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
) -> None:
    """Check that a connection is served while the relay reads another's hostile input; `end` closes the other one.

    `read` waits some seconds and says whether the input was read: reading it may delay other connections.
    """
    deadline = time.monotonic() + relay.tempo.patience
    try:
        for _ in range(3):
            judge.accepted(session.heartbeat())
        while not read(_BETWEEN) and time.monotonic() < deadline:
            judge.accepted(session.heartbeat())
        judge.accepted(session.heartbeat())
        relay.soon(lambda: judge.accepted(session.ask(relay.tunnel_info(session.tenant))))
    except Inconclusive as silent:
        if not session.unresponsive:
            raise
        # The relay answered in time before: the hostile connection blocks it, or it hangs.
        end()
        again = any(relay.alive() for _ in range(3))
        seen = "none until it was closed" if again else "none, and no new connection is answered either"
        raise Broken("answers during another connection's hostile input", f"{seen}: {silent}") from None


def _served(relay: RelayUnderTest) -> None:
    """Check that a new connection is served: hello, auth and a tunnel."""
    try:
        session = _join(relay)
    except (Unreachable, HandshakeFailure) as error:
        raise Broken("a new connection", str(error)) from None
    relay.soon(lambda: judge.accepted(session.ask(relay.tunnel_info(session.tenant))))


def _join(relay: RelayUnderTest, *, narrow: bool = False) -> ProbeSession:
    session = relay.connect(narrow=narrow)
    judge.accepted(session.hello())
    judge.accepted(relay.authenticate(session, relay.tenant))
    return session


def _two_at_once(relay: RelayUnderTest) -> None:
    """Check as a control that the relay serves two connections at the same time, and close them."""
    for limit in (relay.profile.relay.connection_limit, relay.profile.target.connections_at_once):
        if limit is not None and limit < 2:
            raise NotExercised("room for two connections at a time is needed (relay, target.connections_at_once)")
    greeted = relay.greeted()
    with_tunnel(relay).close()
    greeted.close()

"""Source: Message Types: every demand of the page holds for every client, whatever another one sends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.probe.client_hello import client_hello
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.tcp import Unreachable, tcp_connect
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.runner.marks import last, requirement
from cbspec_conformance.target.relay import RelayUnderTest

_MIB = 1024 * 1024
_SIZES = {"4 KiB": 4096, "64 KiB": 65536, "512 KiB": 512 * 1024, "2 MiB": 2 * _MIB}
_DEPTHS = {f"{depth} levels": depth for depth in (8, 32, 128, 512)}
_END = "an error or a close after hostile input"
_LONG_ANSWERS = 8
_UNREAD = 256 * 1024  # bytes of answers; more than a relay's system keeps for a client that takes little at a time
_BOUND = 30.0  # seconds; a relay may wait for the rest of a message, but not for ever


_BETWEEN = 0.01
"""Seconds between two heartbeats while hostile input is read."""

_A_WHILE = 0.05
"""Seconds in which a relay reads half a megabyte that draws no answer, mostly."""


def _send(data: bytes) -> Callable[[ProbeSession], None]:
    return lambda session: session.send_unanswered(data)


def _deep(levels: int) -> Callable[[ProbeSession], None]:
    """Send a message that is nested so deep: who refuses a long one for its length never sees how deep it is."""
    return _send(b'{"type":' + b"[" * levels + b"]" * levels + b"}\n")


def _huge(session: ProbeSession) -> None:
    session.send_unanswered(b'{"type":"')
    for _ in range(8):
        session.send_unanswered(b"x" * _MIB)
        if session.ended:
            return
    session.send_unanswered(b'"}\n')


def _slow(session: ProbeSession) -> None:
    for byte in b'{"type":"hea':
        session.send_unanswered(bytes([byte]))


_HOSTILE: dict[str, Callable[[ProbeSession], None]] = {
    "huge": _huge,
    "half-a-huge-message": _send(b'{"type":"' + b"x" * (_MIB // 2)),
    "deep": _deep(100_000),
    "deep-in-64-kib": _deep(30_000),
    "deep-in-16-kib": _deep(8_000),
    "deep-open": _send(b'{"a":' * 100_000 + b"\n"),
    "half-a-message": _send(b'{"type":"tunnel_info","tunnel_id":"'),
    "not-an-object": _send(b'[]\n1\nnull\n""\n'),
    "random": _send(bytes((i * 167 + 13) % 256 for i in range(4096)) + b"\n"),
    "nul-bytes": _send(b"\0" * 4096 + b"\n"),
    "many-lines": _send(b"\n" * 100_000),
    "long-number": _send(b'{"type":"heartbeat","x":' + b"9" * 10_000 + b"}\n"),
    "many-members": _send(b'{"type":"heartbeat"' + b',"a":1' * 20_000 + b"}\n"),
    "reset": lambda session: session.wire.reset(),
    "slow": _slow,
    "wrong-tls-record": lambda session: session.wire.send_raw(b"\x17\x03\x03\x00\x10" + b"\0" * 16),
}

_SILENT = {"half-a-huge-message": _A_WHILE, "half-a-message": 0.0, "many-lines": _A_WHILE, "reset": 0.0, "slow": 0.0}
"""Of these nothing need come, and a relay has read them after so many seconds, mostly.

The others end in an error or a close, and what they do may show only with that.
"""

_BEFORE_TLS = {"says-nothing": 0, "half-a-client-hello": 40}
"""Connections on which TLS gets no further: how many bytes of a ClientHello are sent."""


@requirement("CB-ROB-001")
@pytest.mark.parametrize("kind", list(_HOSTILE))
def test_open_connections_go_on(relay: RelayUnderTest, kind: str) -> None:
    """One connection sends hostile input; another, open and authenticated before, gets its answers during and after."""
    beside = relay.authenticated()
    relay.beat(beside)
    attacker = relay.authenticated()
    with relay.control("two connections side by side"):
        relay.beat(beside)
    _HOSTILE[kind](attacker)
    taken = _after(_SILENT[kind]) if kind in _SILENT else attacker.wire.has_unread
    _goes_on(relay, beside, attacker.close, taken)


@requirement("CB-ROB-001")
@pytest.mark.parametrize("kind", list(_BEFORE_TLS))
def test_open_connections_go_on_beside_a_handshake(relay: RelayUnderTest, kind: str) -> None:
    """A connection is made whose TLS handshake gets no further; another, open before, gets its answers."""
    _two_at_once(relay)
    beside = relay.authenticated()
    relay.beat(beside)
    with _stuck_handshake(relay, kind) as end:
        _goes_on(relay, beside, end)


@requirement("CB-ROB-001")
def test_open_connections_go_on_beside_one_that_reads_nothing(relay: RelayUnderTest) -> None:
    """One connection asks for long answers and reads none of them; another, open before, gets its answers."""
    _two_at_once(relay)
    beside = relay.authenticated()
    relay.beat(beside)
    attacker = _narrow(relay)
    tunnels = relay.room.tunnels(_LONG_ANSWERS + 1) - 1
    if not tunnels:
        raise NotExercised("room for two tunnels at a time is needed (tenants.tunnel_limit, relay.buffer_pool)")
    asked = [relay.tunnel_info() for _ in range(tunnels)]
    for request in asked:
        request["tunnel_id"] = request["tunnel_id"].ljust(_UNREAD // tunnels, "x")
    with relay.control("two connections side by side"):
        relay.beat(beside)
    attacker.send_unanswered(b"".join(attacker.note(request)[1] for request in asked), messages=tunnels)
    if not attacker.wire.has_unread(relay.tempo.most):
        raise Inconclusive("no answer to tunnel_infos with long tunnel_ids, nor an error or a close")
    _goes_on(relay, beside, attacker.wire.reset, _after(_A_WHILE))
    attacker.wire.reset()


@requirement("CB-ROB-002")
@pytest.mark.parametrize("kind", list(_HOSTILE))
def test_new_connections_are_served(relay: RelayUnderTest, kind: str) -> None:
    """One connection sends hostile input; right after that a new one gets hello, auth and a tunnel."""
    control = relay.authenticated()
    relay.open_tunnel(control)
    control.close()
    attacker = _attack(relay, kind)
    if kind not in _SILENT:
        attacker.wire.has_unread(relay.tempo.patience)
    if relay.profile.relay.connection_limit == 1 or relay.tenant.connection_limit == 1:
        attacker.close()
    _served(relay)


@requirement("CB-ROB-002")
@pytest.mark.parametrize("kind", list(_BEFORE_TLS))
def test_new_connections_are_served_beside_a_handshake(relay: RelayUnderTest, kind: str) -> None:
    """A connection is made whose TLS handshake gets no further; beside it a new one gets hello, auth and a tunnel."""
    _two_at_once(relay)
    with _stuck_handshake(relay, kind):
        _served(relay)


@requirement("CB-ROB-003")
@pytest.mark.parametrize("kind", ["huge", "deep", "deep-open", "not-an-object", "random", "nul-bytes"])
def test_hostile_input_is_refused(relay: RelayUnderTest, kind: str) -> None:
    """Hostile input that is complete draws an error or a close within half a minute, as a line of words does."""
    plain = relay.authenticated().ask_text(b"no message", meant="plain words")
    if not plain.answers and not plain.ended:
        raise Inconclusive("the relay doesn't answer what is no message (see CB-MSG-007)")
    session = _attack(relay, kind)
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
    _still_serves(relay)


def _after(seconds: float) -> Callable[[float], bool]:
    """Return what waits as long as it is told, and says whether so many seconds have passed since now."""
    until = time.monotonic() + seconds

    def passed(wait: float) -> bool:
        time.sleep(max(0.0, min(wait, until - time.monotonic())))
        return time.monotonic() >= until

    return passed


def _goes_on(
    relay: RelayUnderTest,
    beside: ProbeSession,
    end: Callable[[], object],
    taken: Callable[[float], bool] = lambda wait: True,
) -> None:
    """See that a connection gets its answers beside a hostile one, which `end` closes, until the input is `taken`.

    A relay may read slowly what is hostile: what that does to others shows only then.
    """
    deadline = time.monotonic() + relay.tempo.patience
    try:
        for _ in range(3):
            judge.accepted(beside.heartbeat())
        while not taken(_BETWEEN) and time.monotonic() < deadline:
            judge.accepted(beside.heartbeat())
        judge.accepted(beside.heartbeat())
        relay.soon(lambda: judge.accepted(beside.ask(relay.tunnel_info(beside.tenant))))
    except Inconclusive as silent:
        if not beside.unresponsive:
            raise
        # The relay answered in time right before: either the hostile connection kept it from that, or it hangs.
        end()
        again = any(relay.alive() for _ in range(3))
        seen = "none until it was closed" if again else "none, and no new connection is answered either"
        raise Broken("answers beside hostile input", f"{seen}: {silent}") from None


def _narrow(relay: RelayUnderTest) -> ProbeSession:
    """Return an authenticated session that has hardly room for what it doesn't read."""
    try:
        session = relay.connect(narrow=True)
    except (Unreachable, HandshakeFailure) as error:
        raise NotExercised(f"a connection that takes little at a time can't be made here: {error}") from None
    with relay.control("hello and auth"):
        judge.accepted(session.hello())
        judge.accepted(relay.authenticate(session, relay.tenant))
    return session


def _served(relay: RelayUnderTest) -> None:
    """See that a new connection gets hello, auth and a tunnel."""
    try:
        session = relay.connect()
    except (Unreachable, HandshakeFailure) as error:
        raise Broken("a new connection", str(error)) from None
    judge.accepted(session.hello())
    judge.accepted(relay.authenticate(session, relay.tenant))
    relay.soon(lambda: judge.accepted(session.ask(relay.tunnel_info(session.tenant))))


def _two_at_once(relay: RelayUnderTest) -> None:
    """See that the relay serves two connections side by side, and close them."""
    for limit in (relay.profile.relay.connection_limit, relay.profile.target.connections_at_once):
        if limit is not None and limit < 2:
            raise NotExercised("room for two connections at a time is needed (relay, target.connections_at_once)")
    sessions = relay.greeted(), relay.authenticated()
    relay.open_tunnel(sessions[1])
    for session in sessions:
        session.close()


@contextlib.contextmanager
def _stuck_handshake(relay: RelayUnderTest, kind: str) -> Iterator[Callable[[], None]]:
    """Hold a connection whose handshake gets no further; what is yielded closes it."""
    relay.room.take_connection()
    with contextlib.closing(tcp_connect(relay.endpoint, relay.connector.source, relay.profile.target.timeout)) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(client_hello("1.2", relay.connector.server_name)[: _BEFORE_TLS[kind]])
        yield sock.close


def _still_serves(relay: RelayUnderTest) -> None:
    """See that a close was the connection's and not the relay's end."""
    try:
        relay.connect().close()
    except (Unreachable, HandshakeFailure) as error:
        raise Broken("a new connection behind the close", str(error), requirement="CB-ROB-002") from None


@last
@requirement("CB-ROB-101")
def test_largest_message(relay: RelayUnderTest) -> None:
    """Heartbeats with more and more white space in them are sent, until one is not answered."""
    _most(relay, _SIZES, lambda size: b'{"type":"heartbeat"' + b" " * size + b"}")


@last
@requirement("CB-ROB-102")
def test_deepest_message(relay: RelayUnderTest) -> None:
    """Heartbeats with a member that is nested deeper and deeper are sent, until one is not answered."""
    _most(relay, _DEPTHS, lambda depth: b'{"type":"heartbeat","x":' + b"[" * depth + b"]" * depth + b"}")


def _most(relay: RelayUnderTest, amounts: Mapping[str, int], spell: Callable[[int], bytes]) -> None:
    """Record up to what amount a heartbeat is answered, each on a connection of its own."""
    relay.beat(relay.authenticated())
    taken = "less than"
    for name, amount in amounts.items():
        exchange = relay.authenticated().ask_text(spell(amount), meant=name, like="heartbeat", fence=False)
        if not judge.served(exchange):
            relay.log.saw(f"{taken} {name}" if taken == "less than" else f"{taken}, not {name}")
            return
        taken = name
    relay.log.saw(f"{taken} at the least")


def _attack(relay: RelayUnderTest, kind: str) -> ProbeSession:
    session = relay.authenticated()
    session.announce(f"hostile input: {kind}")
    _HOSTILE[kind](session)
    return session

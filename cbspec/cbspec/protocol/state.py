"""The only authority on order: what each request means in each state.

Every pair of state and request is in `TABLE`; no check of order is made anywhere else. Both roles read it: a relay to
answer, a client to know what it may send and what may come back.

Source: Message Types. The specification numbers hello, authentication, tunnels; that an earlier message is refused, and
with which code, is its natural reading and nobody is failed for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import product

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import (
    Answer,
    Auth,
    AuthResponse,
    Heartbeat,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    Request,
    TunnelInfo,
    TunnelResponse,
)


class State(Enum):
    """How far a connection has come."""

    CONNECTED = "connected"
    GREETED = "greeted"
    AUTHENTICATED = "authenticated"
    CLOSED = "closed"

    __hash__ = object.__hash__  # Enum's own is Python code, and the table is looked into for every message


@dataclass(frozen=True, slots=True)
class Serve:
    """The request is in order: `answer` is the type of its success, `then` the state after one."""

    answer: type[Answer]
    then: State
    requirement: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The request is out of order: a relay answers `code`, for the reason `text`."""

    code: ErrorCode
    requirement: str
    text: str


Rule = Serve | Refuse
Table = Mapping[tuple[State, type[Request]], Rule]
REQUESTS: tuple[type[Request], ...] = (Hello, Auth, TunnelInfo, Heartbeat)

_SAY_HELLO = Refuse(ErrorCode.UNKNOWN_MESSAGE_TYPE, "CB-HEL-007", "say hello first")
_SHOW_TOKEN = Refuse(ErrorCode.INVALID_TOKEN, "CB-TUN-004", "authenticate first")
_ENDED = Refuse(ErrorCode.SERVER_UNAVAILABLE, "CB-MSG-004", "the connection has ended")

TABLE: Table = {
    (State.CONNECTED, Hello): Serve(HelloResponse, State.GREETED, "CB-HEL-001"),
    (State.CONNECTED, Auth): _SAY_HELLO,
    (State.CONNECTED, TunnelInfo): _SHOW_TOKEN,
    (State.CONNECTED, Heartbeat): _SAY_HELLO,
    # The page is silent on a second hello: it is answered like the first and changes nothing.
    (State.GREETED, Hello): Serve(HelloResponse, State.GREETED, "CB-HEL-001"),
    (State.GREETED, Auth): Serve(AuthResponse, State.AUTHENTICATED, "CB-AUT-001"),
    (State.GREETED, TunnelInfo): _SHOW_TOKEN,
    (State.GREETED, Heartbeat): _SHOW_TOKEN,
    (State.AUTHENTICATED, Hello): Serve(HelloResponse, State.AUTHENTICATED, "CB-HEL-001"),
    # The page is silent on a second auth. What a connection holds belongs to its first identity, so it keeps that.
    (State.AUTHENTICATED, Auth): Refuse(ErrorCode.INVALID_TOKEN, "CB-AUT-001", "already authenticated"),
    (State.AUTHENTICATED, TunnelInfo): Serve(TunnelResponse, State.AUTHENTICATED, "CB-TUN-001"),
    (State.AUTHENTICATED, Heartbeat): Serve(HeartbeatResponse, State.AUTHENTICATED, "CB-HBT-001"),
    **dict.fromkeys(product([State.CLOSED], REQUESTS), _ENDED),
}


def diagram() -> str:
    """Return the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.CONNECTED.value}"]
    for (state, request), entry in TABLE.items():
        if isinstance(entry, Serve):
            lines.append(f"    {state.value} --> {entry.then.value}: {request.type} / {entry.answer.type}")
        elif state is not State.CLOSED:
            lines.append(f"    {state.value} --> {state.value}: {request.type} / error {entry.code}")
    lines += [f"    {state.value} --> {State.CLOSED.value}: end" for state in State if state is not State.CLOSED]
    return "\n".join([*lines, f"    {State.CLOSED.value} --> [*]"]) + "\n"

"""The state table: the rule for each request in each state.

`TABLE` contains every pair of state and request, and no other code checks the order of messages. A relay reads its
answers in it, a client the requests that it may send and the answers that it may receive.

Source: Message Types. The specification only numbers hello, authentication and tunnels. That an earlier message is
refused, and with which code, is its natural reading (SHOULD).
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
    """The progress of a connection."""

    CONNECTED = "connected"
    GREETED = "greeted"
    AUTHENTICATED = "authenticated"
    CLOSED = "closed"

    __hash__ = object.__hash__  # Enum's own is Python code, and every message needs a look-up in the table


@dataclass(frozen=True, slots=True)
class Serve:
    """The request is in order: `answer` is the type of a positive answer, `then` the state after one."""

    answer: type[Answer]
    then: State
    requirement: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The request is out of order: a relay answers with the error `code` and the reason `text`."""

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
    # The specification doesn't mention a second hello: it is answered like the first and changes nothing.
    (State.GREETED, Hello): Serve(HelloResponse, State.GREETED, "CB-HEL-001"),
    (State.GREETED, Auth): Serve(AuthResponse, State.AUTHENTICATED, "CB-AUT-001"),
    (State.GREETED, TunnelInfo): _SHOW_TOKEN,
    (State.GREETED, Heartbeat): _SHOW_TOKEN,
    (State.AUTHENTICATED, Hello): Serve(HelloResponse, State.AUTHENTICATED, "CB-HEL-001"),
    # Nor does it mention a second auth. The tunnels of a connection belong to its first identity, so it is kept.
    (State.AUTHENTICATED, Auth): Refuse(ErrorCode.INVALID_TOKEN, "CB-AUT-001", "already authenticated"),
    (State.AUTHENTICATED, TunnelInfo): Serve(TunnelResponse, State.AUTHENTICATED, "CB-TUN-001"),
    (State.AUTHENTICATED, Heartbeat): Serve(HeartbeatResponse, State.AUTHENTICATED, "CB-HBT-001"),
    **dict.fromkeys(product([State.CLOSED], REQUESTS), _ENDED),
}


SUCCESS_TYPES: Mapping[str, str] = {
    request.type: rule.answer.type for (_, request), rule in TABLE.items() if isinstance(rule, Serve)
}
"""The type of the positive answer to each type of request."""


def diagram() -> str:
    """Return the requests that are served as a Mermaid state diagram; a refusal changes no state."""
    edges: dict[tuple[State, State], list[str]] = {}
    for (state, request), entry in TABLE.items():
        if isinstance(entry, Serve):
            edges.setdefault((state, entry.then), []).append(f"{request.type} / {entry.answer.type}")
    lines = ["stateDiagram-v2", f"    [*] --> {State.CONNECTED.value}"]
    lines += [f"    {state.value} --> {then.value}: {'<br/>'.join(about)}" for (state, then), about in edges.items()]
    lines += [f"    {state.value} --> {State.CLOSED.value}: end" for state in State if state is not State.CLOSED]
    return "\n".join([*lines, f"    {State.CLOSED.value} --> [*]"]) + "\n"

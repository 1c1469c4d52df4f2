"""The effects of faults on connections, requests and answers; `websocket` has those on frames."""

from __future__ import annotations

import itertools
import json
import random
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import (
    Auth,
    AuthResponse,
    Error,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    TunnelInfo,
    TunnelResponse,
)
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import BUFFERS, RELAY_CONNECTIONS, TENANT_CONNECTIONS, TENANT_TUNNELS, Quota, Step
from cbspec_simulator.faults.kind import FILLER, PADDED, Body, Delivery, Greeting, Handling, Strike

ALERTS: Final = {
    alert.name.removeprefix("ALERT_DESCRIPTION_").lower(): int(alert)
    for alert in ssl.AlertDescription
    if alert is not ssl.ALERT_DESCRIPTION_CLOSE_NOTIFY
}
_PIECES_A_SECOND: Final = 20  # of a limited bandwidth: more pieces cost time, fewer look like bursts
_NOT_UTF_8: Final = (b"\xff", b"\xc3\x28", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\xaf")


# ---------------------------------------------------------------------------- on a new connection


def stall(greeting: Greeting, strike: Strike) -> None:
    greeting.stall_after = strike["bytes"]


def alert(greeting: Greeting, strike: Strike) -> None:
    greeting.alert = ALERTS[strike["alert"]]


def ignore_client(greeting: Greeting, strike: Strike) -> None:
    greeting.unresponsive = True


# ---------------------------------------------------------------------------- on a request


def ignore(handling: Handling, strike: Strike) -> None:
    handling.copies = 0


def repeat(handling: Handling, strike: Strike) -> None:
    handling.copies = strike["copies"]


def send_first(handling: Handling, strike: Strike) -> None:
    handling.extra.append(strike["body"])


def refuse(handling: Handling, strike: Strike) -> None:
    code, text, close = strike["code"], strike["text"], strike["close"]

    def check(attempt: Attempt) -> None:
        raise Refused(code, text or f"refused as {code}", close=close, by_fault=True)

    handling.first_steps.append(Step(strike.fault, check))


def refuse_new_work(handling: Handling, strike: Strike) -> None:
    def check(attempt: Attempt) -> None:
        if isinstance(attempt.request, Hello | Auth | TunnelInfo):
            close = not attempt.connection.admitted
            text = "the relay takes no new work"
            raise Refused(ErrorCode.SERVER_UNAVAILABLE, text, close=close, by_fault=True)

    handling.first_steps.append(Step(strike.fault, check))


_QUOTAS: Final[Mapping[str, Quota]] = {
    "tunnels": TENANT_TUNNELS,
    "connections": TENANT_CONNECTIONS,
    "relay_connections": RELAY_CONNECTIONS,
    "buffers": BUFFERS,
}


def limit(handling: Handling, strike: Strike) -> None:
    # Comes after the relay's own steps, so that other errors of a request take precedence.
    def check(attempt: Attempt) -> None:
        for name, quota in _QUOTAS.items():
            taken = [account for account in attempt.held if account.name == quota.name]
            if strike[name] is not None and any(attempt.relay.usage.used(each) > strike[name] for each in taken):
                raise Refused(quota.code, quota.text, close=quota.close, by_fault=True)

    handling.last_steps.append(Step(strike.fault, check))


# ---------------------------------------------------------------------------- on the bytes of a message


def delay(point: Handling | Delivery, strike: Strike) -> None:
    point.pause += strike["seconds"]


def hold(point: Handling | Delivery, strike: Strike) -> None:
    point.gates.append(strike.fault)


def jitter(delivery: Delivery, strike: Strike) -> None:
    delivery.pause += max(0.0, strike["seconds"] + strike.chance.uniform(-1.0, 1.0) * strike["jitter"])


def swap(delivery: Delivery, strike: Strike) -> None:
    delivery.swap = True
    delivery.within = strike["seconds"]


def merge(delivery: Delivery, strike: Strike) -> None:
    delivery.join = strike["messages"]
    delivery.within = strike["seconds"]


def slow_down(delivery: Delivery, strike: Strike) -> None:
    rate = strike["bytes_per_second"]
    size = max(1, round(rate / _PIECES_A_SECOND))
    delivery.cuts.append(lambda data: ((len(piece) / rate, piece) for piece in _equal(data, size)))


def dribble(delivery: Delivery, strike: Strike) -> None:
    size, gap = strike["bytes"], strike["seconds"]
    delivery.cuts.append(lambda data: ((gap * bool(number), piece) for number, piece in enumerate(_equal(data, size))))


def split(delivery: Delivery, strike: Strike) -> None:
    delivery.whole = True
    places, gap = sorted(set(strike["at"])), strike["seconds"]

    def pieces(data: bytes) -> list[tuple[float, bytes]]:
        cuts = [0, *(place for place in places if place < len(data)), len(data)]
        parts = [data[start:end] for start, end in itertools.pairwise(cuts)]
        return [(gap * bool(number), part) for number, part in enumerate(parts)]

    delivery.cuts.append(pieces)


def _equal(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


# ---------------------------------------------------------------------------- on the text of a message


def truncate(text: bytes, strike: Strike) -> bytes:
    return text[: strike["bytes"] if strike["bytes"] is not None else strike.chance.randrange(1, max(2, len(text)))]


def damage_utf_8(text: bytes, strike: Strike) -> bytes:
    place = max(0, text.rfind(b'"'))  # inside the last string
    return text[:place] + strike.chance.choice(_NOT_UTF_8) + text[place:]


DAMAGE: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "missing-brace": lambda text: text[:-1],
    "trailing-comma": lambda text: text[:-1] + b",}",
    "single-quotes": lambda text: text.replace(b'"', b"'"),
    "missing-quote": lambda text: text.replace(b'"', b"", 1),
    "missing-colon": lambda text: text.replace(b'":', b'" ', 1),
    "array": lambda text: b"[" + text + b"]",
    "words": lambda text: b"not JSON at all",
}


def damage_json(text: bytes, strike: Strike) -> bytes:
    return DAMAGE[strike["how"] or strike.chance.choice(tuple(DAMAGE))](text)


def respell(text: bytes, strike: Strike) -> bytes:
    try:
        value = json.loads(text.decode())
    except ValueError:
        return text  # damaged by an earlier fault
    if not isinstance(value, dict):
        return text
    return SPELLINGS[strike["how"]](value, strike.chance).encode()


def _escaped(value: Any, chance: random.Random) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        data = value.encode("utf-16-be", "surrogatepass")
        return '"' + "".join(f"\\u{data[index : index + 2].hex()}" for index in range(0, len(data), 2)) + '"'
    if isinstance(value, dict):
        members = (f"{_escaped(key, chance)}:{_escaped(inner, chance)}" for key, inner in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_escaped(inner, chance) for inner in value) + "]"
    return json.dumps(value)


def _shuffled(value: dict[str, Any], chance: random.Random) -> str:
    names = list(value)
    chance.shuffle(names)
    return json.dumps({name: value[name] for name in names}, ensure_ascii=False)


SPELLINGS: Final[Mapping[str, Callable[[Any, random.Random], str]]] = {
    "escapes": _escaped,
    "order": _shuffled,
    "white-space": lambda value, _: json.dumps(value, ensure_ascii=False, separators=(" ,\t", "\t: ")),
}


# ---------------------------------------------------------------------------- on the members of a message

_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    message.type: ("type", *(member.name for member in fields(message)))
    for message in (HelloResponse, AuthResponse, TunnelResponse, HeartbeatResponse, Error)
}
"""The members of the relay's messages."""

_TAKING: Final = {
    "tunnels": "tunnel_info",
    "connections": "auth",
    "relay_connections": "hello",
    "buffers": "tunnel_info",
}


def with_member(*names: str) -> list[str]:
    """Return the types of the relay's messages that have one of these members."""
    return [message for message, members in _MEMBERS.items() if set(members) & set(names)]


def changed_by_member(params: Mapping[str, Any]) -> list[str]:
    """Return the types of the messages that a member with a value changes."""
    name, value = params["member"], params["value"]
    same = [value] if name == "type" else with_member("status") if (name, value) == ("status", "ok") else []
    return [message for message in _MEMBERS if message not in same]


def of_another_type(params: Mapping[str, Any]) -> list[str]:
    """Return the types of the messages that another type changes."""
    return [message for message in _MEMBERS if message != params["type"]]


def limited(params: Mapping[str, Any]) -> list[str]:
    """Return the types of the requests that lower limits can refuse."""
    return [message for name, message in _TAKING.items() if params[name] is not None]


def pad(body: Body, strike: Strike) -> list[Body]:
    return [{**body, "padding": FILLER * min(strike["bytes"], PADDED)}]


def padding_left(strike: Strike) -> int:
    return max(0, int(strike["bytes"]) - PADDED)


def add_message(body: Body, strike: Strike) -> list[Body]:
    return [strike["body"], body] if strike["place"] == "before" else [body, strike["body"]]


def replaced(*names: str) -> Callable[[Body, Strike], list[Body]]:
    """Return the edit that replaces the values of these members if they are present."""
    return lambda body, strike: [{name: strike["value"] if name in names else body[name] for name in body}]

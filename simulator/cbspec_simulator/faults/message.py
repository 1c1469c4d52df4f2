"""Faults of single messages: lost, late, repeated, reordered or changed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from cbspec.documents import Seconds, Text
from cbspec_simulator.base.values import JsonObject, Natural, one_of, up_to
from cbspec_simulator.faults.kind import Body, Delivery, FaultKind, FaultLayer, Handling, Param, Strike

_MAX_COPIES: Final = 10_000
_MAX_SIZE: Final = 100_000_000
_NOT_UTF_8: Final = (b"\xff", b"\xc3\x28", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\xaf")


def _ignore(handling: Handling, strike: Strike) -> None:
    handling.copies = 0


def _delay(point: Handling | Delivery, strike: Strike) -> None:
    point.pause += strike["seconds"]


def _handle_again(handling: Handling, strike: Strike) -> None:
    handling.copies = strike["copies"]


def _swap(delivery: Delivery, strike: Strike) -> None:
    delivery.swap = True
    delivery.within = strike["seconds"]


def _hold(point: Handling | Delivery, strike: Strike) -> None:
    point.gates.append(strike.fault)


def _truncate(text: bytes, strike: Strike) -> bytes:
    return text[: strike["bytes"] if strike["bytes"] is not None else strike.chance.randrange(1, max(2, len(text)))]


def _damage_utf_8(text: bytes, strike: Strike) -> bytes:
    place = max(0, text.rfind(b'"'))  # inside the last string
    return text[:place] + strike.chance.choice(_NOT_UTF_8) + text[place:]


_DAMAGE: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "missing-brace": lambda text: text[:-1],
    "trailing-comma": lambda text: text[:-1] + b",}",
    "single-quotes": lambda text: text.replace(b'"', b"'"),
    "missing-quote": lambda text: text.replace(b'"', b"", 1),
    "missing-colon": lambda text: text.replace(b'":', b'" ', 1),
    "array": lambda text: b"[" + text + b"]",
    "words": lambda text: b"not JSON at all",
}


def _respell(text: bytes, strike: Strike) -> bytes:
    try:
        value = json.loads(text.decode())
    except ValueError:
        return text  # damaged by an earlier fault
    if not isinstance(value, dict):
        return text
    return _SPELLINGS[strike["how"]](value, strike.chance).encode()


def _escaped(value: Any, chance: random.Random) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return '"' + "".join(f"\\u{unit:04x}" for unit in _utf_16(value)) + '"'
    if isinstance(value, dict):
        members = (f"{_escaped(key, chance)}:{_escaped(inner, chance)}" for key, inner in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_escaped(inner, chance) for inner in value) + "]"
    return json.dumps(value)


def _utf_16(text: str) -> list[int]:
    data = text.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[index : index + 2], "big") for index in range(0, len(data), 2)]


def _shuffled(value: dict[str, Any], chance: random.Random) -> str:
    names = list(value)
    chance.shuffle(names)
    return json.dumps({name: value[name] for name in names}, ensure_ascii=False)


_SPELLINGS: Final[Mapping[str, Callable[[Any, random.Random], str]]] = {
    "escapes": _escaped,
    "order": _shuffled,
    "white-space": lambda value, _: json.dumps(value, ensure_ascii=False, separators=(" ,\t", "\t: ")),
}


def _add_message(body: Body, strike: Strike) -> list[Body]:
    return [strike["body"], body] if strike["place"] == "before" else [body, strike["body"]]


def _send_first(handling: Handling, strike: Strike) -> None:
    handling.extra.append(strike["body"])


_kind = partial(FaultKind, FaultLayer.MESSAGE)

KINDS: Final = (
    _kind(
        "drop",
        "A message is lost: a request is ignored, or an answer is not sent.",
        "lost state, or a buffer overflow",
        edit=lambda body, strike: [],
        request=_ignore,
    ),
    _kind(
        "delay",
        "A message is handled or sent later, and later messages wait for it.",
        "a busy relay",
        {"seconds": Param(Seconds, "the delay in seconds", required=True)},
        deliver=_delay,
        request=_delay,
    ),
    _kind(
        "duplicate",
        "A message is sent or handled more than once.",
        "CB-MSG-004",
        {"copies": Param(up_to(_MAX_COPIES), "number of times", 2)},
        edit=lambda body, strike: [body] * strike["copies"],
        request=_handle_again,
    ),
    _kind(
        "reorder",
        "An answer is sent after the next one.",
        "CB-MSG-011",
        {"seconds": Param(Seconds, "maximum seconds that it waits for the next answer", 0.5)},
        deliver=_swap,
    ),
    _kind(
        "hold",
        "A message is held until the fault is released or removed; other answers pass it.",
        "a message that arrives at a critical moment",
        deliver=_hold,
        request=_hold,
    ),
    _kind(
        "truncate",
        "Only the beginning of a message is sent, framed as a whole message.",
        "CB-MSG-002",
        {"bytes": Param(Natural, "bytes that are sent (default: random)")},
        text=_truncate,
    ),
    _kind("damage-utf-8", "A message contains bytes that are not UTF-8.", "CB-MSG-001", text=_damage_utf_8),
    _kind(
        "damage-json",
        "A message is not a JSON object.",
        "CB-MSG-002",
        {"how": Param(one_of(*_DAMAGE), "the defect (default: random)")},
        text=lambda text, strike: _DAMAGE[strike["how"] or strike.chance.choice(tuple(_DAMAGE))](text),
    ),
    _kind(
        "oversize",
        "A message contains an additional member of this size.",
        "a relay with unusually large answers",
        {"bytes": Param(up_to(_MAX_SIZE), "bytes of the member", 1_000_000)},
        edit=lambda body, strike: [{**body, "padding": "x" * strike["bytes"]}],
    ),
    _kind(
        "spelling",
        "A message is written in another way that JSON allows.",
        "a relay with another JSON library",
        {"how": Param(one_of(*_SPELLINGS), "the difference", "escapes")},
        text=_respell,
    ),
    _kind(
        "member",
        "A member is added to a message or replaced.",
        "a newer relay, or a defective one",
        {
            "member": Param(Text, "its name", required=True),
            "value": Param(Any, "its value, any JSON", True),
        },
        edit=lambda body, strike: [{**body, strike["member"]: strike["value"]}],
    ),
    _kind(
        "missing-member",
        "A member of a message is missing.",
        "an older relay, or a defective one",
        {"member": Param(Text, "its name", required=True)},
        edit=lambda body, strike: [{name: body[name] for name in body if name != strike["member"]}],
    ),
    _kind(
        "unsolicited",
        "An unsolicited message is sent with an answer, or before a request is handled.",
        "CB-MSG-004",
        {
            "body": Param(JsonObject, "the message", {"type": "heartbeat_response"}),
            "place": Param(one_of("before", "behind"), "whether it comes before or after the answer", "behind"),
        },
        edit=_add_message,
        request=_send_first,
    ),
)

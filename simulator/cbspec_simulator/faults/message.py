"""Faults of single messages: lost, late, doubled, out of order, or not what they were."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from cbspec_simulator.base.values import COUNT, JSON, OBJECT, SECONDS, TEXT, one_of, up_to
from cbspec_simulator.faults.kind import Body, Delivery, FaultKind, FaultLayer, Handling, Param, Strike

_MANY: Final = 10_000
_LARGE: Final = 100_000_000
_NOT_UTF_8: Final = (b"\xff", b"\xc3\x28", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\xaf")


def _not_taken(handling: Handling, strike: Strike) -> None:
    handling.copies = 0


def _not_sent(body: Body, strike: Strike) -> list[Body]:
    return []


def _taken_later(handling: Handling, strike: Strike) -> None:
    handling.pause += strike["seconds"]


def _sent_later(delivery: Delivery, strike: Strike) -> None:
    delivery.pause += strike["seconds"]


def _taken_again(handling: Handling, strike: Strike) -> None:
    handling.copies = strike["copies"]


def _sent_again(body: Body, strike: Strike) -> list[Body]:
    return [body] * strike["copies"]


def _swapped(delivery: Delivery, strike: Strike) -> None:
    delivery.swap = True
    delivery.within = strike["seconds"]


def _taken_when_released(handling: Handling, strike: Strike) -> None:
    handling.gates.append(strike.fault)


def _sent_when_released(delivery: Delivery, strike: Strike) -> None:
    delivery.gates.append(strike.fault)


def _truncated(text: bytes, strike: Strike) -> bytes:
    return text[: strike["bytes"] if strike["bytes"] is not None else strike.chance.randrange(1, max(2, len(text)))]


def _not_utf_8(text: bytes, strike: Strike) -> bytes:
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


def _not_json(text: bytes, strike: Strike) -> bytes:
    how = strike["how"] or strike.chance.choice(tuple(_DAMAGE))
    return _DAMAGE[how](text)


def _oversize(body: Body, strike: Strike) -> list[Body]:
    return [{**body, "padding": "x" * strike["bytes"]}]


def _respelt(text: bytes, strike: Strike) -> bytes:
    try:
        value = json.loads(text.decode())
    except ValueError:
        return text  # another fault was here before
    if not isinstance(value, dict):
        return text
    return _SPELLINGS[strike["how"]](value, strike.chance).encode()


def _escaped(value: Any, chance: random.Random) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return '"' + "".join(f"\\u{unit:04x}" for unit in _utf_16(value)) + '"'
    if isinstance(value, dict):
        return (
            "{" + ",".join(f"{_escaped(key, chance)}:{_escaped(inner, chance)}" for key, inner in value.items()) + "}"
        )
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


def _with_member(body: Body, strike: Strike) -> list[Body]:
    return [{**body, strike["member"]: strike["value"]}]


def _without_member(body: Body, strike: Strike) -> list[Body]:
    return [{name: value for name, value in body.items() if name != strike["member"]}]


def _and_another(body: Body, strike: Strike) -> list[Body]:
    return [strike["body"], body] if strike["place"] == "before" else [body, strike["body"]]


def _another_first(handling: Handling, strike: Strike) -> None:
    handling.extra.append(strike["body"])


KINDS: Final = (
    FaultKind(
        "drop",
        FaultLayer.MESSAGE,
        "A message is lost: a request isn't taken, an answer isn't sent.",
        "a relay that forgets, or a buffer that overflowed",
        edit=_not_sent,
        request=_not_taken,
    ),
    FaultKind(
        "delay",
        FaultLayer.MESSAGE,
        "A message is taken or sent later, and what comes behind it waits as well.",
        "a busy relay",
        {"seconds": Param(SECONDS.says("how much later"), required=True)},
        deliver=_sent_later,
        request=_taken_later,
    ),
    FaultKind(
        "duplicate",
        FaultLayer.MESSAGE,
        "A message is sent, or taken, more than once.",
        "CB-MSG-004",
        {"copies": Param(up_to(_MANY).says("how often"), 2)},
        edit=_sent_again,
        request=_taken_again,
    ),
    FaultKind(
        "reorder",
        FaultLayer.MESSAGE,
        "An answer goes out behind the next one.",
        "CB-MSG-011",
        {"seconds": Param(SECONDS.says("how long it waits for the next one at most"), 0.5)},
        deliver=_swapped,
    ),
    FaultKind(
        "hold",
        FaultLayer.MESSAGE,
        "A message stays back until the fault is released or removed; other answers pass it.",
        "anything that comes at the worst moment",
        deliver=_sent_when_released,
        request=_taken_when_released,
    ),
    FaultKind(
        "truncate",
        FaultLayer.MESSAGE,
        "Only the beginning of a message is sent, as if it were all.",
        "CB-MSG-002",
        {"bytes": Param(COUNT.says("how much of it (left out: by chance)"))},
        text=_truncated,
    ),
    FaultKind(
        "damage-utf-8",
        FaultLayer.MESSAGE,
        "A message holds bytes that are no UTF-8.",
        "CB-MSG-001",
        text=_not_utf_8,
    ),
    FaultKind(
        "damage-json",
        FaultLayer.MESSAGE,
        "A message isn't a JSON object.",
        "CB-MSG-002",
        {"how": Param(one_of(*_DAMAGE).says("what is wrong (left out: by chance)"))},
        text=_not_json,
    ),
    FaultKind(
        "oversize",
        FaultLayer.MESSAGE,
        "A message has a member more, of this size.",
        "a relay that says more than anybody wants to know",
        {"bytes": Param(up_to(_LARGE).says("how large it is"), 1_000_000)},
        edit=_oversize,
    ),
    FaultKind(
        "spelling",
        FaultLayer.MESSAGE,
        "A message is written in another way that JSON allows.",
        "a relay with another JSON library",
        {"how": Param(one_of(*_SPELLINGS).says("in which way"), "escapes")},
        text=_respelt,
    ),
    FaultKind(
        "member",
        FaultLayer.MESSAGE,
        "A member is added to a message, or has another value.",
        "a relay that is newer, or wrong",
        {
            "member": Param(TEXT.says("its name"), required=True),
            "value": Param(JSON.says("its value, any JSON"), True),
        },
        edit=_with_member,
    ),
    FaultKind(
        "missing-member",
        FaultLayer.MESSAGE,
        "A member is left out of a message.",
        "a relay that is older, or wrong",
        {"member": Param(TEXT.says("its name"), required=True)},
        edit=_without_member,
    ),
    FaultKind(
        "unsolicited",
        FaultLayer.MESSAGE,
        "A message that nobody asked for comes with an answer, or before a request is taken.",
        "CB-MSG-004",
        {
            "body": Param(OBJECT.says("the message"), {"type": "heartbeat_response"}),
            "place": Param(one_of("before", "behind").says("where, beside an answer"), "behind"),
        },
        edit=_and_another,
        request=_another_first,
    ),
)

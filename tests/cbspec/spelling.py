"""Hypothesis strategies: messages, their legal spellings, and ways to cut bytes into pieces."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import strategies as st

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import (
    Answer,
    Auth,
    AuthResponse,
    Error,
    Heartbeat,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    Message,
    Request,
    TunnelInfo,
    TunnelResponse,
    to_dict,
)

texts = st.text(max_size=12)
filled = st.text(min_size=1, max_size=12)
not_blank = filled.filter(lambda text: bool(text.strip()))
ports = st.integers(1, 65535)
features = st.lists(texts, max_size=4).map(tuple)

requests: st.SearchStrategy[Request] = st.one_of(
    st.builds(Hello, texts, features),
    st.builds(Auth, filled),
    st.builds(TunnelInfo, filled, filled, ports, not_blank, ports),
    st.just(Heartbeat()),
)
answers: st.SearchStrategy[Answer] = st.one_of(
    st.builds(HelloResponse, texts, features),
    st.builds(AuthResponse, texts, texts),
    st.builds(TunnelResponse, texts),
    st.just(HeartbeatResponse()),
    st.builds(Error, st.sampled_from(ErrorCode).map(str), texts),
)
messages: st.SearchStrategy[Message] = st.one_of(requests, answers)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)

_SHORT_ESCAPES = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", '"': '"', "\\": "\\", "/": "/"}


def _character(char: str, random: Random) -> str:
    if char in _SHORT_ESCAPES and random.random() < 0.5:
        return "\\" + _SHORT_ESCAPES[char]
    if char in '"\\' or char < " " or random.random() < 0.3:
        units = char.encode("utf-16-be")
        pairs = [units[at : at + 2].hex() for at in range(0, len(units), 2)]
        return "".join(f"\\u{pair.upper() if random.random() < 0.5 else pair}" for pair in pairs)
    return char


def _space(random: Random) -> str:
    return "".join(random.choice(" \t\r\n") for _ in range(random.choice((0, 0, 0, 1, 3))))


def spell(value: object, random: Random) -> str:
    """Return one of the many JSON texts that mean `value`."""
    if isinstance(value, str):
        return '"' + "".join(_character(char, random) for char in value) + '"'
    if isinstance(value, dict):
        names = list(value)
        random.shuffle(names)
        items = [
            f"{_space(random)}{spell(name, random)}{_space(random)}:{_space(random)}{spell(value[name], random)}"
            for name in names
        ]
        return "{" + (_space(random) + ",").join(items) + _space(random) + "}"
    if isinstance(value, list):
        items = [_space(random) + spell(item, random) + _space(random) for item in value]
        return "[" + (",".join(items) or _space(random)) + "]"
    return json.dumps(value)


@st.composite
def spelled(draw: st.DrawFn, of: st.SearchStrategy[Message] = messages) -> tuple[Message, bytes]:
    """Draw a message and a legal spelling of it, unknown members included."""
    message = draw(of)
    extra = draw(st.dictionaries(texts.map("x-{}".format), json_values, max_size=2))
    random = draw(st.randoms(use_true_random=True))
    return message, spell({**extra, **to_dict(message)}, random).encode()


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Draw a way to cut `data` into pieces."""
    if draw(st.booleans()):
        return [data[at : at + 1] for at in range(len(data))]
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=6)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]

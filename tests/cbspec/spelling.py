"""Hypothesis strategies: messages, their legal spellings, and ways to cut bytes into pieces."""

from __future__ import annotations

from dataclasses import replace
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
from cbspec_conformance.properties.strategies import SPELLINGS, Spelling

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

spellings: st.SearchStrategy[Spelling] = st.builds(
    replace,
    SPELLINGS,
    spaces=st.lists(st.sampled_from(["", "", " ", "\t", "\r\n", "\n \n"]), min_size=1, max_size=9).map(tuple),
)
"""Every legal spelling of a message, on one line or several."""


@st.composite
def spelled(draw: st.DrawFn, of: st.SearchStrategy[Message] = messages) -> tuple[Message, bytes]:
    """Draw a message and a legal spelling of it, unknown members included."""
    message = draw(of)
    extra = draw(st.dictionaries(texts.map("x-{}".format), json_values, max_size=2))
    return message, draw(spellings).write({**extra, **to_dict(message)}).encode()


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Draw a way to cut `data` into pieces."""
    if draw(st.booleans()):
        return [data[at : at + 1] for at in range(len(data))]
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=6)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]

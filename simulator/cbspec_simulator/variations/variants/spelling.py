"""The same messages in another spelling: member order, white space, escapes and separators."""

from __future__ import annotations

import json

from cbspec.protocol.framing import StreamFramer
from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.variations.answers import texts
from cbspec_simulator.variations.parts import Change, framed, part


def _reversed(body: Body, _: AnswerContext) -> list[bytes]:
    return [json.dumps(dict(reversed(body.items()))).encode()]


def _indented(body: Body, _: AnswerContext) -> list[bytes]:
    return [json.dumps(body, indent=2).replace("\n", "\r\n").encode()]


def _escape(text: str) -> str:
    return '"' + "".join(f"\\u{ord(unit):04x}" for unit in text) + '"'


def _escaped(body: Body, _: AnswerContext) -> list[bytes]:
    members = (
        f"{_escape(name)}\t:  {_escape(value) if isinstance(value, str) and value.isascii() else json.dumps(value)}"
        for name, value in body.items()
    )
    return [("{ " + " ,\t".join(members) + " }").encode()]


def _all(_: Body, __: AnswerContext) -> bool:
    return True


def _separated(before: bytes, after: bytes) -> Change:
    """Write other bytes before and after each message of a plain stream."""

    class SeparatingFramer(StreamFramer):
        __slots__ = ()

        @staticmethod
        def encode(text: bytes) -> bytes:
            return before + text + after

    return framed(SeparatingFramer)


CHANGES: dict[str, Change] = {
    "member-order": part(spell=_reversed),
    "indented": part(spell=_indented),
    "escapes": part(spell=_escaped),
    "escaped-slashes": texts(lambda text: text.replace(b"/", b"\\/"), _all),
    "padded": texts(lambda text: b" \t" + text + b"  ", _all),
    "crlf": _separated(b"", b"\r\n"),
    "blank-lines": _separated(b"\n \r\n", b"\n\n\n"),
    "unseparated": _separated(b"", b""),
    "separated-before": _separated(b"\n", b""),
}

"""A tunnel_id that doesn't come back as it came."""

from __future__ import annotations

import pytest

from tests.simulator.variations.deviations.probe import Look, Probe, enter, show
from tests.support.memory import MemoryRelay, tunnel

_LONG = "x" * 300


def _names(*names: str) -> Look:
    def look(memory: MemoryRelay) -> list[object]:
        client = enter(memory)
        return [body.get("tunnel_id") for name in names for body in client.send(tunnel(name))]

    return look


def _in_turn(memory: MemoryRelay) -> list[object]:
    one, two = enter(memory), enter(memory)
    sent = ((one, "x"), (two, "y"), (one, "z"))
    return [body["tunnel_id"] for client, name in sent for body in client.send(tunnel(name))]


ODD: dict[str, tuple[str, str]] = {
    "lower-case": ("Tunnel", "tunnel"),
    "html-escaped": ("a<b", "a&lt;b"),
    "html-unescaped": ("&amp;", "&"),
    "url-decoded": ("d%20", "d "),
    "escapes-decoded-twice": ("\\u0041", "A"),
    "beyond-16-bits-lost": ("a\U0001f600", "a"),
    "quotes-lost": ('a"b', "ab"),
    "backslashes-doubled": ("a\\b", "a\\\\b"),
    "spaces-collapsed": (" a  b ", "a b"),
    "composed": ("e\u0301", "\u00e9"),
    "mojibake": ("\u00e9", "\u00c3\u00a9"),
    "placeholders-filled": ("a${x}b{{x}}c", "abc"),
    "cut-at-64": (_LONG, _LONG[:64]),
    "cut-at-255": (_LONG, _LONG[:255]),
    "cut-at-nul": ("a\0b", "a"),
    "cut-at-65535": ("x" * 70_000, "x" * 65_535),
    "with-suffix": ("t", "t#1"),
    "with-prefix": ("t", "tunnel:t"),
    "last-part-only": ("a/b", "b"),
    "first-part-only": ("a#b", "a"),
}

PROBES = {f"tunnel-id-{end}": Probe(_names(asked), [asked], [told]) for end, (asked, told) in ODD.items()}
PROBES |= {
    "tunnel-id-of-the-one-before": Probe(_names("x", "y", "z"), ["x", "y", "z"], ["x", "x", "y"]),
    "tunnel-id-of-another-connection": Probe(_in_turn, ["x", "y", "z"], ["x", "y", "y"]),
    "tunnel-id-is-the-tenant": Probe(_names("t"), ["t"], ["a"]),
}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)

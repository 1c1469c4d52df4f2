"""Generated expositions, and promtool's verdicts on them.

`python -m tests.conformance.oracles.expositions` records the verdicts again. Only `Random.random` is used: its numbers
are the same in every version of Python.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Final, TypeVar

Part = TypeVar("Part")

RECORDED: Final = Path(__file__).with_name("promtool.txt")
"""A hexadecimal digit for four generated texts: a bit is set if promtool reads the text; the lowest bit comes first."""

COUNT: Final = 4000
_NAMES: Final = ("x", "x", "x_sum", "x_count", "x_bucket", "y", "y_count", "_:", "x1", "é", "1x", "a-b", "x.y", "")
_KEYS: Final = ("a", "a", "b", "le", "quantile", "le", "_1", "__name__", "a:b", "é", "1", "")
_TEXTS: Final = ("", "1", "0.5", "+Inf", "v w", "é", "\\\\", "\\n", '\\"', "\\t", '"', "\\", "{}", ",", "#", "\udcff")
_NUMBERS: Final = (
    *("1", "0", "-2.5", "1e3", "1E-3", "+Inf", "-inf", "NaN", "nan", "infinity", "5.", ".5", "+1", "1e-999", "007"),
    *("1e999", "+NaN", "0x1", "0x1p3", "1_0", "one", "1e", ".", "", "é", "1,5", "InFinity", "1d"),
)
_TIMES: Final = (
    *(("",) * 9),
    *(
        " 1",
        "\t-5",
        "  +7",
        " 1.5",
        " now",
        " 9223372036854775807",
        " 9223372036854775808",
        " 1 ",
        " 1 2",
        " ",
        " 00001",
    ),
)
_TYPES: Final = (
    *("counter", "gauge", "histogram", "summary", "untyped", "Counter", "GAUGE_HISTOGRAM", "histogram", "summary"),
    *("unknown", "info", "gauge ", "counter x", "", "gaugehistogram"),
)
_BLANKS: Final = ("", "", "", " ", " ", "\t", "  ", " \t ")
_GAPS: Final = (" ", " ", " ", "\t", "  ", "")
_ODD: Final = ("\r", "\n", " ", '"', "{", "}", ",", "=", "#", "\\", "\x00", "\udcff", "é", "\u00a0", "\ufeff")


class _Writer:
    """Writes one text. The parts at the ends of the lists are rare or wrong, and mostly avoided in a `tame` text."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"exposition {seed}")  # noqa: S311 - no secret
        self._tame = self._random.random() < 0.6

    def text(self) -> str:
        kinds: tuple[Callable[[], str], ...] = (self._sample, self._sample, self._sample, self._type, self._help)
        lines = [self._of(kinds)() + "\n" for _ in range(1 + self._below(6))]
        text = "".join(lines)
        if self._chance(0.15):
            place = self._below(len(text))
            text = text[:place] + self._of(_ODD) * self._below(2) + text[place + self._below(2) :]
        return text[:-1] if self._chance(0.03) else text

    def _sample(self) -> str:
        if self._chance(0.05):
            return self._of(("", " ", "# a comment", "#", "# TYPE", "# HELP ", "# help x", "#\tx", "## TYPE x y"))
        labels = ""
        if self._chance(0.6):
            pairs = [self._pair() for _ in range(self._below(4))]
            comma = "," if pairs and self._chance(0.2) else ""
            labels = f"{self._blank()}{{{self._blank()}{','.join(pairs)}{comma}{self._blank()}}}"
        gap = self._of(_BLANKS) if labels else self._of(_GAPS[:-1] if self._tame else _GAPS)
        return f"{self._indent()}{self._of(_NAMES, 9)}{labels}{gap}{self._of(_NUMBERS, 15)}{self._of(_TIMES, 12)}"

    def _pair(self) -> str:
        value = self._of(_TEXTS, 9) if not self._chance(0.4) else self._of(_NUMBERS, 15)
        quotes = ('"', '"') if self._tame or self._chance(0.97) else self._of((("", ""), ("'", "'"), ('"', "")))
        around = [self._blank() for _ in range(4)]
        return f"{around[0]}{self._of(_KEYS, 7)}{around[1]}={around[2]}{value.join(quotes)}{around[3]}"

    def _type(self) -> str:
        return self._comment("TYPE", self._of(_TYPES, 9))

    def _help(self) -> str:
        return self._comment("HELP", " ".join(self._of(_TEXTS, 8) for _ in range(self._below(3))))

    def _comment(self, keyword: str, text: str) -> str:
        gaps = [self._of(_GAPS), *(self._of(_GAPS[:-1]) for _ in range(2))]
        return f"{self._indent()}#{gaps[0]}{keyword}{gaps[1]}{self._of(_NAMES, 8)}{gaps[2]}{text}"

    def _indent(self) -> str:
        return self._of(_BLANKS) if self._chance(0.2) else ""

    def _blank(self) -> str:
        return self._of(_BLANKS) if self._chance(0.3) else ""

    def _of(self, items: Sequence[Part], usual: int = 0) -> Part:
        return items[self._below(usual if usual and self._tame and self._chance(0.97) else len(items))]

    def _below(self, limit: int) -> int:
        return int(self._random.random() * limit)

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability


def exposition(seed: int) -> str:
    """Return a generated exposition, valid or not."""
    return _Writer(seed).text()


def recorded() -> list[bool]:
    """Return promtool's verdicts on the texts with the seeds 0, 1, 2, …: whether it reads them."""
    digits = "".join(RECORDED.read_text().split())
    return [bool(int(digit, 16) >> bit & 1) for digit in digits for bit in range(4)]


def promtool() -> str | None:
    """Return the path of promtool, if it is installed."""
    return shutil.which("promtool")


def reads(text: str) -> bool:
    """Whether promtool reads a text. It ends with 3 for a readable text with names against its style."""
    command = [promtool() or "promtool", "check", "metrics"]
    done = subprocess.run(command, input=text.encode(errors="surrogateescape"), capture_output=True, check=False)
    assert done.returncode in (0, 1, 3), done.stderr
    return done.returncode != 1


def main() -> None:
    """Record the verdicts of the installed promtool."""
    with ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(reads, map(exposition, range(COUNT))))
    digits = "".join(f"{sum(verdicts[at + bit] << bit for bit in range(4)):x}" for at in range(0, COUNT, 4))
    RECORDED.write_text("".join(f"{digits[at : at + 100]}\n" for at in range(0, len(digits), 100)))
    print(f"{sum(verdicts)} of {COUNT} texts are read", file=sys.stderr)


if __name__ == "__main__":
    main()

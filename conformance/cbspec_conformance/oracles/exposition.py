"""Validates Prometheus expositions: the text format 0.0.4, and OpenMetrics.

OpenMetrics is read by the parser of prometheus-client. Its parser of the text format accepts many broken texts, so this
module follows the parser of Prometheus' own tools instead (`expfmt` in prometheus/common, as in `promtool check
metrics`). No text of that format goes beyond one line, so each line is matched on its own, in linear time.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

_NAME: Final = "[a-zA-Z_:][a-zA-Z0-9_:]*+"
_LABEL: Final = r'([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"((?:[^"\\]|\\["\\n])*+)"[ \t]*+'
_LABELS: Final = rf"\{{[ \t]*+(?:{_LABEL}(?:,[ \t]*+|(?=\}})))*+\}}[ \t]*+"
_SAMPLE: Final = re.compile(rf"({_NAME})[ \t]*+({_LABELS})?((?!\{{)[^ \t]*+)(?:[ \t]++([-+]?)(?=[0-9])0*+([0-9]*+))?")
_ONE_LABEL: Final = re.compile(_LABEL)
_COMMENT: Final = re.compile(rf"#[ \t]*+(HELP|TYPE)[ \t]++(?:({_NAME})(?:[ \t]++(.*+))?)?", re.DOTALL)
_META: Final = re.compile(r"#[ \t]*+(?:HELP|TYPE)[ \t]")
_HELP: Final = re.compile(r"(?:[^\\]|\\[\\n])*+")
_FLOAT: Final = re.compile(r"[-+]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][-+]?[0-9]++)?")
_SPECIAL: Final = re.compile(r"[-+]?inf(?:inity)?|nan", re.IGNORECASE)
_TYPES: Final = ("COUNTER", "GAUGE", "SUMMARY", "UNTYPED", "HISTOGRAM", "GAUGE_HISTOGRAM")
_PARTS: Final = {"SUMMARY": ("_count", "_sum"), "HISTOGRAM": ("_count", "_sum", "_bucket")}
_LONGEST: Final = 19  # digits of a number with 64 bits
_BOUNDS: Final = {"SUMMARY": "quantile", "HISTOGRAM": "le"}


class NotAnExposition(ValueError):
    """The text is no valid exposition; the argument names line and fault."""


@dataclass(frozen=True, slots=True)
class MetricSample:
    """One sample; `family` is the metric that its TYPE line names, `kind` that type in capitals."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float
    family: str
    kind: str


def samples(text: str, *, openmetrics: bool = False) -> dict[str, float]:
    """Return each sample of an exposition by its name and labels. Raises NotAnExposition.

    Bytes that are not UTF-8 are surrogates in `text`, as `bytes.decode(errors="surrogateescape")` returns them.
    """
    return {f"{sample.name}{sorted(sample.labels)}": sample.value for sample in read(text, openmetrics=openmetrics)}


def read(text: str, *, openmetrics: bool = False) -> list[MetricSample]:
    """Return the samples of an exposition. Raises NotAnExposition."""
    return list(_openmetrics(text) if openmetrics else _TextFormat().samples(text))


def contradiction(found: Iterable[MetricSample]) -> str:
    """Return a contradiction between samples that a reader of the format does not reject, or "".

    It is a sample that occurs twice, or a histogram whose buckets are not cumulative up to +Inf.
    """
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    histograms: defaultdict[tuple[str, str], list[MetricSample]] = defaultdict(list)
    for sample in found:
        labels = tuple(sorted(sample.labels))
        if (sample.name, labels) in seen:
            return f"the sample {sample.name} occurs twice with the same labels"
        seen.add((sample.name, labels))
        if sample.kind == "HISTOGRAM":
            others = str([label for label in labels if label[0] != "le"])
            histograms[sample.family, others].append(sample)
    faults = ((name, _fault(name, parts)) for (name, _), parts in histograms.items())
    return next((f"the histogram {name}: {fault}" for name, fault in faults if fault), "")


def _fault(name: str, parts: Iterable[MetricSample]) -> str:
    """Return the fault of a histogram with one set of labels, or ""."""
    buckets: list[tuple[float, float]] = []
    count: float | None = None
    for part in parts:
        if part.name == f"{name}_bucket":
            bound = dict(part.labels).get("le")
            if bound is None:
                return "a bucket has no le"
            buckets.append((_number(bound), part.value))
        elif part.name == f"{name}_count":
            count = part.value
    if not buckets or max(bound for bound, _ in buckets) != math.inf:
        return "it has no bucket for +Inf"
    if any(one >= other for (one, _), (other, _) in itertools.pairwise(buckets)):
        return "its buckets aren't in increasing order"
    if any(one > other for (_, one), (_, other) in itertools.pairwise(buckets)):
        return "a bucket counts less than the one before it"
    return "" if count in (None, buckets[-1][1]) else "its count is not that of the bucket for +Inf"


def _openmetrics(text: str) -> Iterator[MetricSample]:
    try:
        for family in parse_openmetrics(text):  # type: ignore[no-untyped-call] # the library has no types here
            for sample in family.samples:
                labels = tuple(sample.labels.items())
                yield MetricSample(sample.name, labels, float(sample.value), family.name, family.type.upper())
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise NotAnExposition(f"it can't be read: {error}") from None


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value)


class _TextFormat:
    """Reads one text: the types and helps that its lines have given to metrics so far."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._types: dict[str, str] = {}
        self._helped: set[str] = set()

    def samples(self, text: str) -> Iterator[MetricSample]:
        *lines, rest = text.split("\n")
        for number, line in enumerate(lines, 1):
            stripped = line.lstrip(" \t")
            try:
                if stripped.startswith("#"):
                    self._comment(stripped)
                elif stripped:
                    yield self._sample(stripped)
            except NotAnExposition as fault:
                raise NotAnExposition(f"line {number} {fault}: {json.dumps(line[:60])}") from None
        if rest.strip(" \t"):
            raise NotAnExposition("the last line doesn't end with a line feed")

    def _comment(self, line: str) -> None:
        if _META.match(line) is None:
            return
        match = _COMMENT.fullmatch(line)
        if match is None:
            raise NotAnExposition(f"is no {line[1:].split()[0]} line")
        keyword, name, rest = match.groups()
        if rest is None:
            return
        metric = self._metric(name)
        if not rest:
            return
        if keyword == "HELP":
            if metric in self._helped:
                raise NotAnExposition(f"is a second HELP line for {metric}")
            if _HELP.fullmatch(rest) is None:
                raise NotAnExposition("has an invalid escape sequence")
            self._helped.add(metric)
            return
        if metric in self._types:
            raise NotAnExposition(f"is a second TYPE line for {metric}, or one after its samples")
        kind = rest.replace("\\", "").upper()  # promtool skips backslashes here
        if kind not in _TYPES:
            raise NotAnExposition(f"gives {metric} no type of the format")
        self._types[metric] = kind

    def _metric(self, name: str) -> str:
        """Return the metric that a name belongs to: the counts and sums of a histogram have names of their own."""
        if name not in self._known:
            for kind, endings in _PARTS.items():
                for ending in endings:
                    metric = name.removesuffix(ending)
                    if metric not in ("", name) and self._types.get(metric) == kind:
                        return metric
        self._known.add(name)
        return name

    def _sample(self, line: str) -> MetricSample:
        match = _SAMPLE.fullmatch(line)
        if match is None:
            raise NotAnExposition("is no sample")
        name, text, _, _, value, sign, digits = match.groups()
        metric = self._metric(name)
        kind = self._types.setdefault(metric, "UNTYPED")
        labels = tuple((label[1], _unescaped(label[2])) for label in _ONE_LABEL.finditer(text or ""))
        apart = _BOUNDS.get(kind)
        names = [label for label, _ in labels if label != apart]
        if "__name__" in names or len(set(names)) < len(names):
            raise NotAnExposition("has a label twice, or a reserved one")
        for label, given in labels:
            if label == apart:
                _number(given)
            if any("\ud800" <= letter <= "\udfff" for letter in given):
                raise NotAnExposition("has a label that is not UTF-8")
        if digits and (len(digits) > _LONGEST or not -(2**63) <= int(sign + digits) < 2**63):
            raise NotAnExposition("has a time beyond 64 bits")
        return MetricSample(name, labels, _number(value), metric, kind)


def _number(text: str) -> float:
    """Return a number of the format; raise NotAnExposition. Python's own syntax differs."""
    if _FLOAT.fullmatch(text) is None and _SPECIAL.fullmatch(text) is None:
        raise NotAnExposition(f"has {json.dumps(text[:40])} instead of a number")
    value = float(text)
    if math.isinf(value) and _SPECIAL.fullmatch(text) is None:
        raise NotAnExposition("has a number that is too large")
    return value

"""Validates Prometheus expositions: the text format 0.0.4, and OpenMetrics.

The parsers of prometheus-client are lenient, so each line is checked against the format's grammar first. Source:
Prometheus' "Exposition formats".
"""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterable

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_VALUE = r"(?:[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:Inf|inf|Infinity|infinity)|[Nn]a[Nn])"
_LABELS = rf"\{{(?:[ \t]*{_LABEL}[ \t]*(?:,[ \t]*{_LABEL}[ \t]*)*,?)?[ \t]*\}}"
_SAMPLE = re.compile(rf"({_NAME})(?:[ \t]*{_LABELS}[ \t]*|[ \t]+)({_VALUE})(?:[ \t]+-?\d+)?[ \t]*")
_TYPE = re.compile(rf"#[ \t]+TYPE[ \t]+({_NAME})[ \t]+(counter|gauge|histogram|summary|untyped)[ \t]*")
_HELP = re.compile(rf"#[ \t]+HELP[ \t]+({_NAME})(?:[ \t].*)?")


class NotAnExposition(ValueError):
    """The text is no valid exposition; the argument names line and fault."""


def samples(text: str, *, openmetrics: bool = False) -> dict[str, float]:
    """Return each sample of an exposition by its name and labels. Raises NotAnExposition."""
    if not openmetrics:
        _check_lines(text)
    parse = parse_openmetrics if openmetrics else parse_text
    found: dict[str, float] = {}
    twice = ""
    try:
        for family in parse(text):
            if family.type == "histogram" and not openmetrics:  # the parser of OpenMetrics checks them itself
                _check_histogram(family.name, family.samples)
            for sample in family.samples:
                key = f"{sample.name}{sorted(sample.labels.items())}"
                twice = sample.name if key in found else twice
                found[key] = float(sample.value)
    except NotAnExposition:
        raise
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise NotAnExposition(f"it can't be read: {error}") from None
    if twice:
        raise NotAnExposition(f"the sample {twice} occurs twice with the same labels")
    return found


def _check_histogram(name: str, every: Iterable[Sample]) -> None:
    """Check that buckets are in order, cumulative and end at +Inf, for each set of labels."""
    buckets: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    counts: dict[str, float] = {}
    for sample in every:
        labels = str(sorted((label, value) for label, value in sample.labels.items() if label != "le"))
        if sample.name == f"{name}_bucket":
            if "le" not in sample.labels:
                raise NotAnExposition(f"a bucket of the histogram {name} has no le")
            buckets[labels].append((float(sample.labels["le"]), float(sample.value)))
        elif sample.name in (f"{name}_count", f"{name}_sum"):
            _ = buckets[labels]  # a histogram without buckets is a fault
            if sample.name == f"{name}_count":
                counts[labels] = float(sample.value)
    for labels, pairs in buckets.items():
        bounds, values = [bound for bound, _ in pairs], [value for _, value in pairs]
        if not pairs or bounds[-1] != math.inf:
            fault = "its buckets aren't in increasing order" if math.inf in bounds else "it has no bucket for +Inf"
        elif any(one >= other for one, other in itertools.pairwise(bounds)):
            fault = "its buckets aren't in increasing order"
        elif any(one > other for one, other in itertools.pairwise(values)):
            fault = "a bucket counts less than the one before it"
        elif counts.get(labels, values[-1]) != values[-1]:
            fault = "its count is not that of the bucket for +Inf"
        else:
            continue
        raise NotAnExposition(f"the histogram {name}: {fault}")


def _check_lines(text: str) -> None:
    if text and not text.endswith("\n"):
        raise NotAnExposition("the last line doesn't end with a line feed")
    typed: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.lstrip(" \t")
        words = stripped[1:].split(None, 1)[:1]
        if not stripped.startswith("#"):
            if stripped and _SAMPLE.fullmatch(stripped) is None:
                raise NotAnExposition(f"line {number} is no sample: {line[:60]!r}")
        elif words == ["TYPE"]:
            match = _TYPE.fullmatch(stripped)
            if match is None:
                raise NotAnExposition(f"line {number} is no TYPE line: {stripped[:60]!r}")
            if match[1] in typed:
                raise NotAnExposition(f"line {number}: a second TYPE line for {match[1]}")
            typed.add(match[1])
        elif words == ["HELP"] and _HELP.fullmatch(stripped) is None:
            raise NotAnExposition(f"line {number} is no HELP line: {stripped[:60]!r}")

"""Prometheus expositions: valid ones by other libraries, invalid ones by hand."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from cbspec_conformance.oracles.exposition import NotAnExposition, contradiction, read, samples
from tests.conformance.oracles import expositions

VALID = {
    "nothing": "",
    "comments and empty lines": "\n# anything\n#\n\nx 1 1395066363000\n\n",
    "a comma after the last label": 'x{a="1",} 1\n',
    "white space everywhere": ' x { a = "1" , b\t="2" }\t1.5e-3 5\n \t',
    "no white space at all": 'x{a="1"}1\nx+1\n',
    "escapes": 'x{path="C:\\\\DIR\\nFILE.TXT",error="\\"quoted\\""} 1.458255915e9\n',
    "special values": "a NaN\nb +Inf\nc -Inf\nd .5\ne 5.\nf -0\n",
    "help and type": "# HELP x A \\\\ text.\n# TYPE x counter\nx 1\n",
    "a help without text, then one with": "# HELP x\nx 1\n# HELP x Text\n",
    "a help that is not UTF-8": "# HELP x \udcff\nx 1\n",
    "names of a histogram without its type": 'h_bucket{le="1"} 1\nh_count 9\n',
    "a sample twice": "x 1\nx 1\n",
    "a histogram without buckets": "# TYPE h histogram\nh_sum 1\n",
    "a long time with zeros": f"x 1 {'0' * 5000}7\n",
}
NO_SAMPLES = [
    "<html><body>ok</body></html>\n", '{"x": 1}\n', "9x 1\n", "x{a=1} 1\n", 'x{a:b="1"} 1\n', 'x{a="\\t"} 1\n',
    "x 1 now\n", "x 1 2 3\n", "x 1 \n", "x 1 2 \n", 'x{a="1"b="2"} 1\n', "x{,} 1\n", 'x{a="1" 1\n',
]  # fmt: skip
NO_NUMBERS = ["x\n", "x one\n", 'x{a="1"} \n', "a-b 1\n", "x 0x10\n", "x 1_000\n", "x +NaN\n", "x 1\r\n"]
INVALID = [
    *((text, "^line 1 is no sample") for text in NO_SAMPLES),
    *((text, "^line 1 has .* instead of a number") for text in NO_NUMBERS),
    ("x 1", "line feed"),
    ("x 1\n9y 1\n", "line 2 is no sample"),
    ("x 1e999\n", "too large"),
    ("x 1 9223372036854775808\n", "64 bits"),
    (f"x 1 {'9' * 5000}\n", "64 bits"),
    ("# TYPE x meter\nx 1\n", "line 1 gives x no type"),
    ("# TYPE x gauge \nx 1\n", 'line 1 gives x no type of the format: "# TYPE x gauge "$'),
    ("# TYPE é gauge\n", "line 1 is no TYPE line"),
    ("# TYPE x counter\n# TYPE x gauge\nx 1\n", "line 2 is a second TYPE line"),
    ("x 1\n# TYPE x gauge\n", "line 2 is a second TYPE line for x, or one after its samples"),
    ("# TYPE x summary\n# TYPE x_count gauge\n", "line 2 is a second TYPE line for x,"),
    ("# HELP x One\n# HELP x Two\nx 1\n", "line 2 is a second HELP line"),
    ("# HELP x \\t\nx 1\n", "escape"),
    ('# TYPE h histogram\nh_bucket{le="much"} 4\n', "number"),
    ('x{a="1",a="1"} 1\n', "label twice"),
    ('x{__name__="1"} 1\n', "reserved"),
    ('x{a="\udcff"} 1\n', "not UTF-8"),
]
HISTOGRAM = "# TYPE h histogram\n"
CONTRADICTIONS = [
    (VALID["a histogram without buckets"], r"no bucket for \+Inf"),
    (f'{HISTOGRAM}h_bucket{{le="1"}} 3\nh_bucket{{le="2"}} 1\nh_bucket{{le="+Inf"}} 4\n', "counts less"),
    (f'{HISTOGRAM}h_bucket{{le="2"}} 1\nh_bucket{{le="1"}} 1\nh_bucket{{le="+Inf"}} 4\n', "increasing order"),
    (f'{HISTOGRAM}h_bucket{{le="+Inf"}} 4\nh_count 5\n', "its count is not"),
    (f"{HISTOGRAM}h_bucket 4\n", "no le"),
    ('x{a="1",b="2"} 1\nx{b="2",a="1"} 2\n', "twice"),
    (
        f'{HISTOGRAM}h_bucket{{le="1",a="x"}} 9\nh_bucket{{le="+Inf",a="x"}} 9\nh_count{{a="x"}} 9\n'
        'h_bucket{le="1",a="y"} 1\nh_bucket{le="+Inf",a="y"} 2\n',
        "",
    ),
    (VALID["names of a histogram without its type"], ""),
]


@pytest.mark.parametrize("kind", VALID)
def test_valid(kind: str) -> None:
    samples(VALID[kind])


@pytest.mark.parametrize(("text", "words"), INVALID)
def test_invalid(text: str, words: str) -> None:
    with pytest.raises(NotAnExposition, match=words):
        samples(text)


@pytest.mark.parametrize(("text", "words"), CONTRADICTIONS)
def test_contradictions_are_readable(text: str, words: str) -> None:
    found = contradiction(read(text))
    assert re.search(words, found)
    assert bool(found) == bool(words)


def reads(text: str, *, openmetrics: bool = False) -> bool:
    """Whether our reader accepts a text."""
    try:
        read(text, openmetrics=openmetrics)
    except NotAnExposition:
        return False
    return True


def test_the_reader_agrees_with_promtool_on_generated_texts() -> None:
    verdicts = expositions.recorded()
    assert len(verdicts) >= 2000
    assert 0.3 < sum(verdicts) / len(verdicts) < 0.7
    texts = [expositions.exposition(seed) for seed in range(len(verdicts))]
    assert [text for text, verdict in zip(texts, verdicts, strict=True) if reads(text) is not verdict] == []


@pytest.mark.skipif(expositions.promtool() is None, reason="promtool is not installed")
def test_the_reader_agrees_with_the_installed_promtool() -> None:
    texts = [*VALID.values(), *(text for text, _ in (*INVALID, *CONTRADICTIONS))]
    texts += [expositions.exposition(seed) for seed in range(10**6, 10**6 + 40)]
    assert [text for text in texts if reads(text) is not expositions.reads(text)] == []


def test_the_reader_agrees_with_the_openmetrics_parser_of_prometheus_client() -> None:
    for seed in range(1000):
        text = expositions.exposition(seed) + "# EOF\n"
        expected = True
        try:
            list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call] # the library has no types here
        except Exception:
            expected = False
        assert reads(text, openmetrics=True) is expected, text


@given(
    labels=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=10), max_size=3),
    value=st.floats(0, allow_infinity=False),
)
def test_the_output_of_prometheus_own_library_is_read(labels: list[str], value: float) -> None:
    registry = CollectorRegistry()
    counter = Counter("requests", "Requests, by \\ and\nby line", ["path"], registry=registry)
    for label in labels:
        counter.labels(label).inc(value)
    Gauge("depth", "", registry=registry).set(-value)
    Histogram("seconds", "Time", registry=registry).observe(value)
    Summary("size", "Size", registry=registry).observe(value)
    assert samples(generate_latest(registry).decode())["depth[]"] == -value
    openmetrics: bytes = generate_openmetrics(registry)  # type: ignore[no-untyped-call] # the library has no types here
    assert samples(openmetrics.decode(), openmetrics=True)["depth[]"] == -value


def test_openmetrics_needs_its_end() -> None:
    with pytest.raises(NotAnExposition):
        samples("x 1\n", openmetrics=True)
    assert samples("# TYPE x gauge\nx 1.0\n# EOF\n", openmetrics=True) == {"x[]": 1.0}

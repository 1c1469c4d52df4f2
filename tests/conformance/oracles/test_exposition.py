"""Prometheus expositions: valid ones by other libraries, invalid ones by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from cbspec_conformance.oracles.exposition import NotAnExposition, samples

VALID = {
    "nothing": "",
    "comments and empty lines": "\n# anything\n#\n\nx 1 1395066363000\n\n",
    "a comma after the last label": 'x{a="1",} 1\n',
    "white space everywhere": ' x { a="1" , b="2" }\t1.5e-3 \n',
    "escapes": 'x{path="C:\\\\DIR\\nFILE.TXT",error="\\"quoted\\""} 1.458255915e9\n',
    "special values": "a NaN\nb +Inf\nc -Inf\nd .5\ne 5.\nf -0\n",
    "help and type": "# HELP x A \\\\ text.\n# TYPE x counter\nx 1\n",
    "a histogram with labels": (
        '# TYPE h histogram\nh_bucket{le="1",a="x"} 9\nh_bucket{le="+Inf",a="x"} 9\nh_count{a="x"} 9\n'
        'h_bucket{le="1",a="y"} 1\nh_bucket{le="+Inf",a="y"} 2\n'
    ),
    "names of a histogram without its type": 'h_bucket{le="1"} 1\nh_count 9\n',
}
NO_SAMPLES = [
    "<html><body>ok</body></html>\n", '{"x": 1}\n', "x\n", "x one\n", 'x{a="1"} \n', "9x 1\n", "a-b 1\n", "x{a=1} 1\n",
    'x{a:b="1"} 1\n', 'x{a="1" 1\n', 'x{a="\\t"} 1\n', "x 1 now\n", "x 1 2 3\n", "x 0x10\n", "x 1_000\n",
]  # fmt: skip
HISTOGRAM = "# TYPE h histogram\n"
INVALID = [
    *((text, "line 1 is no sample") for text in NO_SAMPLES),
    ("x 1", "line feed"),
    ("x 1\ny\n", "line 2 is no sample"),
    ("# TYPE x meter\nx 1\n", "line 1 is no TYPE line"),
    ("# TYPE x counter\n# TYPE x gauge\nx 1\n", "line 2: a second TYPE line"),
    ("# HELP\nx 1\n", "line 1 is no HELP line"),
    (f"{HISTOGRAM}h_sum 3\nh_count 1\n", r"no bucket for \+Inf"),
    (f'{HISTOGRAM}h_bucket{{le="1"}} 3\nh_bucket{{le="2"}} 1\nh_bucket{{le="+Inf"}} 4\n', "counts less"),
    (f'{HISTOGRAM}h_bucket{{le="2"}} 1\nh_bucket{{le="1"}} 1\nh_bucket{{le="+Inf"}} 4\n', "increasing order"),
    (f'{HISTOGRAM}h_bucket{{le="+Inf"}} 4\nh_count 5\n', "its count is not"),
    (f"{HISTOGRAM}h_bucket 4\n", "no le"),
    (f'{HISTOGRAM}h_bucket{{le="much"}} 4\n', "can't be read"),
    ('x{a="1"} 1\nx{a="1"} 2\n', "twice"),
]


@pytest.mark.parametrize("kind", VALID)
def test_valid(kind: str) -> None:
    samples(VALID[kind])


@pytest.mark.parametrize(("text", "words"), INVALID)
def test_invalid(text: str, words: str) -> None:
    with pytest.raises(NotAnExposition, match=words):
        samples(text)


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

"""Source: Notes / metrics are available via Prometheus endpoint if enabled in config."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from dataclasses import dataclass

import pytest

from cbspec.profile.http import ProxyFailed, fetch, why
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.oracles.exposition import MetricSample, NotAnExposition, contradiction, read
from cbspec_conformance.relay.requests import UNKNOWN, with_tunnel
from cbspec_conformance.runner.marks import last, requirement
from cbspec_conformance.target.relay import RelayUnderTest

_PROMETHEUS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.9,*/*;q=0.1"
_OF_THE_RUNTIME = ("process_", "python_", "go_", "scrape_", "promhttp_", "nodejs_", "jvm_")
"""Prefixes of metrics that change without the relay being used."""

_TO_ESCAPE = 'cbspec "\\ \n} '  # the value of a label must escape quotation marks, backslashes and line feeds


@dataclass(frozen=True, slots=True)
class _Scrape:
    status: int
    text: str
    content_type: str

    def read(self) -> list[MetricSample]:
        return read(self.text, openmetrics="openmetrics" in self.content_type)


@requirement("CB-MET-001")
def test_status_is_200(relay: RelayUnderTest) -> None:
    """Request the metrics as Prometheus does; expect HTTP status 200."""
    scrape = _scrape(relay)
    if scrape.status != 200:
        raise Broken("HTTP status 200", f"HTTP status {scrape.status}")


@requirement("CB-MET-002")
@pytest.mark.parametrize("accept", [_PROMETHEUS, "text/plain", ""], ids=["prometheus", "plain", "any"])
def test_exposition_is_valid(relay: RelayUnderTest, accept: str) -> None:
    """Request the metrics with several Accept headers, and check each line by the grammar of the format."""
    _check_valid(_scrape(relay, accept))


@requirement("CB-MET-002")
def test_exposition_is_valid_whatever_clients_send(relay: RelayUnderTest) -> None:
    """Send a tunnel_id, a type and a tenant that labels must escape, and check the metrics while the tunnel is open."""
    session = with_tunnel(relay)
    relay.room.for_tunnel(session.tenant)
    session.ask(relay.tunnel_info(session.tenant, tunnel_id=_TO_ESCAPE + relay.tunnel_info()["tunnel_id"]))
    others = relay.greeted() if session.ended else session
    others.ask({"type": _TO_ESCAPE}, invalid="of unknown type")
    if not session.ended:
        session.ask(relay.tunnel_info(_TO_ESCAPE), invalid="for an unknown tenant")
    _check_valid(_scrape(relay))


def _check_valid(scrape: _Scrape) -> None:
    if scrape.status != 200:
        raise Inconclusive(f"HTTP status {scrape.status} (see CB-MET-001)")
    try:
        scrape.read()
    except NotAnExposition as error:
        raise Broken("a valid Prometheus exposition", str(error)) from None


@requirement("CB-MET-004")
def test_samples_are_consistent(relay: RelayUnderTest) -> None:
    """Use the relay, then look for samples that occur twice and for histograms that contradict themselves."""
    _use(relay)
    if fault := contradiction(_read(relay)):
        raise Broken("samples that occur once, and cumulative histograms", fault)


@requirement("CB-MET-003")
def test_samples_move(relay: RelayUnderTest) -> None:
    """Read the samples before and after a session with a tunnel and an error; at least one must change."""

    def changing() -> dict[tuple[object, ...], float]:
        found = (sample for sample in _read(relay) if not sample.name.startswith(_OF_THE_RUNTIME))
        return {(sample.name, *sorted(sample.labels)): sample.value for sample in found}

    before = changing()
    _use(relay)
    after = changing()
    if before == after:
        raise Broken("a sample that changes when the relay is used", f"{len(after)} samples, all as before")


@last
@requirement("CB-MET-101")
def test_names(relay: RelayUnderTest) -> None:
    """Record the names of all metrics after a session with a tunnel and an error."""
    _use(relay)
    named = re.findall(r"^# TYPE (\S+) ", _scrape(relay).text, re.MULTILINE)
    named = named or [sample.name for sample in _read(relay)]
    # The same counter has one name in OpenMetrics and another in the text format.
    relay.log.saw(", ".join(sorted({name.removesuffix("_total") for name in named if not name.endswith("_created")})))


@requirement("CB-MET-102")
def test_format(relay: RelayUnderTest) -> None:
    """Record the content type for a client that accepts OpenMetrics, and for one without an Accept header."""
    for name, accept in (("Prometheus", _PROMETHEUS), ("any client", "")):
        scrape = _scrape(relay, accept)
        relay.log.saw(scrape.content_type or "no content type", of=name)


def _use(relay: RelayUnderTest) -> None:
    """Open a tunnel and cause an error."""
    with_tunnel(relay).ask(UNKNOWN, invalid="of unknown type")


def _read(relay: RelayUnderTest) -> list[MetricSample]:
    try:
        return _scrape(relay).read()
    except NotAnExposition as error:
        raise Inconclusive(f"the metrics can't be read (see CB-MET-002): {error}") from None


def _scrape(relay: RelayUnderTest, accept: str = _PROMETHEUS) -> _Scrape:
    url = relay.profile.metrics.url
    if url is None:
        raise NotExercised("give metrics.url")
    headers = {"Accept": accept} if accept else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the profile's own address, http or https
    try:
        with fetch(request, relay.profile.target.timeout) as response:
            body, status, kind = response.read(64 << 20), response.status, response.headers.get("Content-Type", "")
    except urllib.error.HTTPError as error:
        with error:
            return _Scrape(error.code, "", "")
    except ProxyFailed as error:
        raise Inconclusive(f"{url}: {error}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Broken("HTTP status 200", f"no answer from {url}: {why(error)}", requirement="CB-MET-001") from None
    try:  # Prometheus reads the text format byte by byte, so that a help text may hold any
        return _Scrape(status, body.decode(errors="strict" if "openmetrics" in kind else "surrogateescape"), kind)
    except UnicodeDecodeError as error:
        raise Broken("an exposition in UTF-8", f"byte {error.start} is not", requirement="CB-MET-002") from None

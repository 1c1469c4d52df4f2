"""The verdicts on both sides, from the rows of a file alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cbspec.catalogue.requirements import CLIENT_REQUIREMENTS, REQUIREMENTS, JudgedRole, Requirement
from cbspec.exit_codes import ExitCode
from cbspec_conformance.judging.follow_ups import of_a_run
from cbspec_conformance.judging.verdicts import Finding, Outcome, judge_run
from cbspec_conformance.reporting.report import RunResult, counts, write_report
from cbspec_conformance.reporting.subject import JudgedSubject
from cbspec_conformance.tap.client_side import OBSERVABLE as OF_CLIENTS
from cbspec_conformance.tap.client_side import ClientJudge
from cbspec_conformance.tap.pairing import TappedConnection, connections_of
from cbspec_conformance.tap.relay_side import OBSERVABLE as OF_RELAYS
from cbspec_conformance.tap.relay_side import RelayJudge
from cbspec_conformance.tap.rows import Row, Side, TapHeader, read_rows

UNSEEN: Final = "no traffic showed it"
_LIMITS: Final = (
    "Judged by observation alone: requirements that nothing showed are not exercised, and not a pass.",
    "Without a control, a refusal shows nothing that may depend on the relay's limits, keys, tenants or addresses.",
)
_LIMITS_OF_CLIENTS: Final = (
    "Judged by observation alone: the client's process, output, exit code and ports aren't seen.",
    "It met only the answers that this relay gave: cbspec verify-client puts it into each situation.",
)


@dataclass(frozen=True, slots=True)
class TapVerdict:
    """The verdicts on the relay and on the clients."""

    relay: RunResult
    clients: RunResult

    @property
    def exit_code(self) -> ExitCode:
        """The exit code: that of the side with a failure, or of a traffic that shows nothing."""
        codes = {self.relay.exit_code, self.clients.exit_code}
        if ExitCode.NOT_CONFORMING in codes:
            return ExitCode.NOT_CONFORMING
        return ExitCode.SUCCESS if ExitCode.SUCCESS in codes else ExitCode.NOTHING_TO_JUDGE


def judge_file(file: Path, *, fail_on_should: bool = False) -> TapVerdict:
    """Return the verdicts from a file. Raises TranscriptError, or OSError."""
    header, rows = read_rows(file)
    return judge_rows(header, rows, fail_on_should=fail_on_should)


def judge_rows(header: TapHeader, rows: Iterable[Row], *, fail_on_should: bool = False) -> TapVerdict:
    """Return the verdicts from rows."""
    connections = connections_of(rows, header.patience)
    relay = of_a_run(RelayJudge(header).judge(connections))
    clients = ClientJudge().judge(connections)
    transports = ", ".join(sorted({each.transport for each in connections if each.messages})) or "no traffic"
    addresses = sorted({each.client for each in connections}) or ["no client"]
    shown = f"The client at {addresses[0]}" if len(addresses) == 1 else f"The {len(addresses)} clients"
    seen = (
        f"{_count(connections)} in {connections[-1].last - connections[0].opened.at:.0f} s" if connections else "none"
    )
    about_relay = (f"Connections: {seen}.", *_troubles(connections, Side.RELAY), *_LIMITS)
    about_clients = (*_troubles(connections, Side.CLIENT), *_LIMITS_OF_CLIENTS)
    features = tuple(sorted(_features(connections)))
    return TapVerdict(
        _result(
            REQUIREMENTS,
            OF_RELAYS,
            relay,
            JudgedSubject(
                JudgedRole.RELAY,
                header.target,
                f"The relay at {header.target} ({transports})",
                transports,
                features=features,
                notes=about_relay,
            ),
            fail_on_should=fail_on_should,
        ),
        _result(
            CLIENT_REQUIREMENTS,
            OF_CLIENTS,
            clients,
            JudgedSubject(
                JudgedRole.CLIENT,
                shown,
                f"{shown[0].upper()}{shown[1:]} ({transports})",
                transports,
                notes=about_clients,
            ),
            fail_on_should=fail_on_should,
        ),
    )


def write_verdict(verdict: TapVerdict, line: Callable[..., None]) -> None:
    """Write both tables."""
    for title, result in (("The relay", verdict.relay), ("The client", verdict.clients)):
        line("")
        line(f"== {title} ".ljust(80, "="), bold=True)
        write_report(result, line)
        line(counts(result))


def _result(
    catalogue: Mapping[str, Requirement],
    ids: Sequence[str],
    findings: Sequence[Finding],
    subject: JudgedSubject,
    *,
    fail_on_should: bool,
) -> RunResult:
    """Return the result on one side: the verdicts on the requirements that observation can show."""
    have = {finding.requirement for finding in findings}
    missing = [Finding(id_, Outcome.NOT_EXERCISED, reason=UNSEEN) for id_ in ids if id_ not in have]
    rows = {id_: row for id_, row in catalogue.items() if id_ in ids}
    verdicts = judge_run(rows, [*findings, *missing], ())
    return RunResult(verdicts, subject, fail_on_should=fail_on_should, observed_only=True)


def _count(connections: Sequence[TappedConnection]) -> str:
    messages = sum(len(each.messages) for each in connections)
    return f"{len(connections)}, with {messages} messages,"


def _troubles(connections: Sequence[TappedConnection], side: Side) -> list[str]:
    """Return sentences about connections that say nothing about a side, or little."""
    failed = [row for each in connections if (row := each.not_secured.get(side)) is not None]
    found = []
    if side is Side.RELAY and (down := [each.unreachable for each in connections if each.unreachable is not None]):
        found.append(f"{len(down)} connections couldn't be made: {down[0].reason}.")
    if side is Side.RELAY and any(row.untrusted for row in failed):
        found.append("The relay's certificate was not accepted: name its CA with --ca, or its name with --server-name.")
    if side is Side.CLIENT and (refused := [row for row in failed if row.alert]):
        alert = f"the client's alert {refused[0].alert}"
        found.append(f"{len(refused)} TLS handshakes ended with {alert}: does it trust the tap's CA?")
    return found


def _features(connections: Sequence[TappedConnection]) -> set[str]:
    """Return the features that the relay lists."""
    found = set[str]()
    for connection in connections:
        for row, message in connection.messages:
            names = message.member("features") if row.side is Side.RELAY else None
            found |= {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
    return found

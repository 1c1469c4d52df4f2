"""`python -m tests.adequacy.clients.matrix`: judge every named client, and write docs/reference/client-kill-matrix.md.

Exit codes: 0 every client got the right verdict, 1 at least one did not, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import fnmatch
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

from tests.adequacy.clients.judging import ROOT, ClientRow, judged, transports_of
from tests.adequacy.clients.registry import ClientChange, ClientKind, load

DOCUMENT = ROOT / "docs" / "reference" / "client-kill-matrix.md"
_HEAD = """\
# Kill matrix for clients

Measured by `make adequacy`, which fails if a deviating client survives or is blamed for another requirement, or if a
conforming client is accused. Each deviation is a change of one client, which is made of the reference client's session
(`tests/adequacy/clients/`); it is judged in the situations that can show it, other clients by a quick run.

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the selected clients, and write the matrix after a complete run."""
    parser = argparse.ArgumentParser(prog="make adequacy", description=__doc__)
    parser.add_argument("--at-once", type=int, default=8, metavar="N", help="clients judged at a time (default: 8)")
    parser.add_argument("--match", action="append", metavar="PATTERN", help="clients to judge, by id or requirement")
    parser.add_argument("--kind", choices=list(ClientKind), help="kind of client")
    parser.add_argument("--thorough", action="store_true", help="judge variants and open points by all situations")
    parser.add_argument("--whole", action="store_true", help="judge deviations in all situations, too")
    args = parser.parse_args(arguments)
    patterns = args.match or ["*"]
    work = [
        (change, transport)
        for change in load().values()
        for transport in transports_of(change)
        if any(fnmatch.fnmatch(name, each) for each in patterns for name in (change.id, change.requirement))
        and args.kind in (None, change.kind)
    ]
    if not work:
        parser.error("no client is called so")
    rows = asyncio.run(_run(work, args))
    bad = [row for row in rows if not row.good]
    print(f"\n{len(rows)} clients, {len(bad)} wrong verdicts")
    if not (args.match or args.kind or args.thorough or args.whole):
        DOCUMENT.write_text(write(rows), encoding="utf-8")
        print(f"written: {DOCUMENT.relative_to(ROOT)}")
    for row in bad:
        print(_line(row))
    return 1 if bad else 0


async def _run(work: Sequence[tuple[ClientChange, str]], args: argparse.Namespace) -> list[ClientRow]:
    began, rows = time.monotonic(), []
    async for row in judged(work, at_once=args.at_once, quick=not args.thorough, whole=args.whole):
        rows.append(row)
        print(f"{len(rows):4}/{len(work)} {time.monotonic() - began:6.1f} s  {_line(row)}", flush=True)
    return rows


def _line(row: ClientRow) -> str:
    about = f"{row.change.kind} {row.change.id} ({row.transport})"
    others = f"accused of {'; '.join(row.others)}" if row.others else ""
    return "  ".join(
        filter(None, (f"{row.verdict:<10.200}", about, row.change.requirement, ", ".join(row.seen), others))
    )


def write(rows: Sequence[ClientRow]) -> str:
    """Return the document."""
    lines = ["| clients | transport | runs | correct |", "| --- | --- | ---: | ---: |"]
    for kind in ClientKind:
        for transport in ("tcp", "websocket"):
            runs = [row for row in rows if row.change.kind is kind and row.transport == transport]
            if runs:
                lines.append(f"| {kind} | {transport} | {len(runs)} | {sum(row.good for row in runs)} |")
    lines += ["", "| requirement | deviation | what it does | verdict | killed in |", f"|{' --- |' * 5}"]
    found = sorted(rows, key=lambda row: (row.change.requirement, row.change.id))
    for row in found:
        if row.change.kind is ClientKind.DEVIATION:
            cells = (f"`{row.change.id}`", row.change.sentence, row.verdict, ", ".join(row.seen))
            lines.append(f"| {row.change.requirement} | {' | '.join(cells)} |")
    verdicts = defaultdict[str, list[str]](list)
    for row in found:
        verdicts[row.change.id].append(row.verdict)
    for kind, title in ((ClientKind.VARIANT, "conforming variant"), (ClientKind.OPEN_POINT, "open point")):
        lines += ["", f"| {title} | what it does | verdict |", f"|{' --- |' * 3}"]
        for change in {row.change.id: row.change for row in found if row.change.kind is kind}.values():
            lines.append(f"| `{change.id}` | {change.sentence} | {', '.join(dict.fromkeys(verdicts[change.id]))} |")
    return _HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

"""The committed kill matrices."""

from __future__ import annotations

import re

from tests.adequacy.clients.registry import ClientKind, load
from tests.adequacy.subjects import SubjectKind, subjects
from tests.repo.tree import ROOT, text


def test_the_committed_matrix_holds_every_deviation_and_no_bad_verdict() -> None:
    matrix = text(ROOT / "docs" / "reference" / "kill-matrix.md")
    rows = re.findall(r"^\| (CB-\S+) \| (`.+?`) \| (.+?) \|", matrix, re.MULTILINE)
    written = [(requirement, id_, verdict) for requirement, ids, verdict in rows for id_ in re.findall("`(.+?)`", ids)]
    judged = [subject for subject in subjects() if subject.kind is SubjectKind.DEVIATION]
    assert sorted(written) == sorted((one.requirement, one.id, "killed") for one in judged), "run make adequacy"
    counts = re.findall(r"\| (\d+) \| (\d+) \|$", matrix, re.MULTILINE)
    assert all(runs == good for runs, good in counts)


def test_the_committed_matrix_for_clients_holds_every_client_and_no_bad_verdict() -> None:
    matrix = text(ROOT / "docs" / "reference" / "client-kill-matrix.md")
    killed = re.findall(r"^\| (CC-\S+) \| `(.+?)` \| .+? \| killed \|", matrix, re.MULTILINE)
    left = re.findall(r"^\| `(.+?)` \| .+? \| left alone \|", matrix, re.MULTILINE)
    changes = load().values()
    deviations = [change for change in changes if change.kind is ClientKind.DEVIATION]
    assert sorted(killed) == sorted((one.requirement, one.id) for one in deviations), "run make adequacy"
    assert sorted(left) == sorted(one.id for one in changes if one.kind is not ClientKind.DEVIATION)

"""`python -m tests.adequacy.sequences`: learn every deviation that breaks the order of messages; write its sequence.

A relay is learned in memory, or over TLS if it behaves differently on resumed sessions.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Final

from cbspec.catalogue.requirements import Level
from cbspec.profile.profile import load
from cbspec_conformance.learning.comparison import compare
from cbspec_conformance.machines.machine import Difference
from cbspec_conformance.relay.message_types import test_sequences
from cbspec_simulator import PERSONAS
from cbspec_simulator.variations.registry import AFTER
from tests.conformance.learning.conftest import learner_of
from tests.conformance.learning.inmemory import differences
from tests.support.processes import served

_WALKS: Final = 20  # random words from each state

DEVIATIONS: Final = (
    *("tunnel-before-hello", "tunnel-before-auth", "tunnel-before-auth-wrong-code", "auth-before-hello-accepted"),
    *("heartbeat-before-hello-answered", "before-hello-unanswered", "refused-but-authenticated"),
    *("tenant-refused-but-authenticated", "expired-but-authenticated", "tunnel-second-refused"),
    *("tunnel-every-second-unavailable", "heartbeat-with-tunnel-unanswered", "heartbeat-after-error-unanswered"),
    *("resumed-session-authenticated", "resumed-session-any-tenant"),
    *AFTER,
)
"""The deviations that break the order of messages."""


def learned(name: str) -> Difference:
    """Return the first breach that distinguishes a deviation. Raises StopIteration if there is none."""
    if "resum" in name:
        with tempfile.TemporaryDirectory() as folder, served(Path(folder), "--deviation", name) as relay:
            parts = learner_of(load(relay.profile_file), end=None)
            found = compare(parts.machine(_WALKS), parts.known, parts.conduct)
    else:
        found = differences(PERSONAS[name].change, _WALKS)
    return next(each for each in found if each.level is not Level.INFO)


def main() -> int:
    """Write the file of sequences."""
    found: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for name in DEVIATIONS:
        difference = learned(name)
        found[difference.requirement][name] = [*difference.word]
        print(f"{name}: {difference.requirement} {'; '.join(difference.word)}", flush=True)
    FILE.write_text(written(found), encoding="utf-8")
    return 0


FILE: Final = Path(test_sequences.__file__).with_name("sequences.toml")
_HEAD: Final = """\
# The shortest sequence of inputs on which each deviation breaks a requirement, as `cbspec learn` finds it.
# Written by `python -m tests.adequacy.sequences`.
"""


def written(found: dict[str, dict[str, list[str]]]) -> str:
    """Return the text of the file: tables by requirement."""
    rows = (
        f"\n[{requirement}]\n" + "".join(f"{name} = {json.dumps(word)}\n" for name, word in sorted(words.items()))
        for requirement, words in sorted(found.items())
    )
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    sys.exit(main())

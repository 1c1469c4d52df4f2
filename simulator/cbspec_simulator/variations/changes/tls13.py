"""TLS 1.3 itself: its handshake, records, key updates, tickets and 0-RTT data.

The changes are in a module that is imported on first use: tlslite-ng takes 0.1 s to import.
"""

from __future__ import annotations

from importlib import import_module

from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.parts import Change

_IDS = """
other-tls-library early-data-served hello-retry-refused key-update-unanswered key-update-refused
padded-record-refused split-handshake-refused unknown-cipher-suite-refused unknown-extension-refused
unknown-group-refused newer-version-refused session-id-changed unasked-extension server-random-repeated
change-cipher-spec-after-retry-refused record-version-refused short-session-id-refused changed-record-accepted
split-handshake-header-refused retry-session-id-changed server-hello-in-old-records data-after-fatal-alert-served
any-finished-accepted renegotiation-ignored data-after-close-notify-served half-message-completed
record-size-limit-exceeded empty-record-refused second-change-cipher-spec-refused large-record-accepted
key-update-flood-refused tls-faults-end-silently record-size-limit-negotiated early-data-allowed
"""


def _later(id_: str) -> Change:
    def change(behaviour: Behaviour) -> Behaviour:
        import_module("cbspec_simulator.edge.tlslite_layer")  # first: it silences a warning of tlslite-ng
        changes: dict[str, Change] = import_module("cbspec_simulator.variations.tls13").CHANGES
        return changes[id_](behaviour)

    return change


CHANGES: dict[str, Change] = {id_: _later(id_) for id_ in _IDS.split()}

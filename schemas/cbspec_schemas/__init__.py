"""JSON Schemas of the protocol's messages, examples of right and wrong ones, and a thin index over both.

The schemas and the examples are plain files that any language can use; see README.md beside them.
"""

from __future__ import annotations

from cbspec_schemas.blame import SchemaViolation, violations
from cbspec_schemas.store import CLIENT_TYPES, ERROR_CODES, NAMES, RELAY_TYPES, Direction, Example, examples, load

__all__ = [
    "CLIENT_TYPES",
    "ERROR_CODES",
    "NAMES",
    "RELAY_TYPES",
    "Direction",
    "Example",
    "SchemaViolation",
    "examples",
    "load",
    "violations",
]

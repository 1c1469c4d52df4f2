"""JSON Schemas of the messages, with examples of valid and invalid messages.

The schemas and examples are plain files for any language; see README.md in the folder above.
"""

from __future__ import annotations

from cbspec_schemas.blame import SchemaViolation as SchemaViolation
from cbspec_schemas.blame import violations as violations
from cbspec_schemas.store import CLIENT_TYPES as CLIENT_TYPES
from cbspec_schemas.store import ERROR_CODES as ERROR_CODES
from cbspec_schemas.store import NAMES as NAMES
from cbspec_schemas.store import RELAY_TYPES as RELAY_TYPES
from cbspec_schemas.store import Direction as Direction
from cbspec_schemas.store import Example as Example
from cbspec_schemas.store import examples as examples
from cbspec_schemas.store import load as load

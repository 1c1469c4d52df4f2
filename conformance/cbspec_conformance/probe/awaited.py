"""What a session awaits, in words: the kinds of answers for which time-outs are remembered (see `probe.tempo`)."""

from __future__ import annotations

from cbspec.protocol.state import SUCCESS_TYPES
from cbspec_conformance.record.transcript import Message

ANY_REFUSAL = "any refusal"
"""What never comes from a relay that serves or ignores each request."""


def _named(kind: str) -> str:
    """Return the name of a request by its type: a relay that ignores one unknown type ignores all."""
    return kind if kind in SUCCESS_TYPES else "an unknown type" if kind else "it"


def answer_to(kind: str) -> str:
    """Return the name of the answer to a request by its type."""
    return f"the answer to {_named(kind)}"


def awaited(request: Message) -> str:
    """Return the name of what a request draws: an answer, or a refusal if it is wrong on purpose."""
    return f"a refusal of {_named(request.type)}" if request.meant else answer_to(request.type)


def after_two_fences(request: Message) -> str:
    """Return the name of what a request draws although two fences were answered before."""
    return f"{awaited(request)} after two fences"


def or_fence(kind: str) -> str:
    """Return the name of the first answer to a request of a type or to the fence after it."""
    return f"an answer to {_named(kind)} or to the fence after it"

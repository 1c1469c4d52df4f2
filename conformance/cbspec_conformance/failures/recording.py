"""The steps of a failure file, made from the records of a case: a pure function of the transcript."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from websockets.frames import Frame, Opcode

from cbspec_conformance.failures.frames import parse
from cbspec_conformance.failures.recipes import NotPortable, Recipes
from cbspec_conformance.failures.steps import (
    CloseStep,
    ConnectStep,
    FailureStep,
    SendStep,
    StepFrame,
    StepRequest,
    StepText,
)
from cbspec_conformance.record.excerpt import decisive, excerpt, is_fence
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.expectation import Expectation
from cbspec_conformance.record.transcript import (
    Bytes,
    Direction,
    End,
    Ended,
    Failed,
    Message,
    Opened,
    Record,
    Transcript,
)

_MOST_BYTES = 64 * 1024
_MOST_STEPS = 400


def record(
    transcript: Transcript,
    exchanges: Sequence[Exchange],
    expectation: Expectation | None,
    recipes: Recipes,
    address: str,
) -> dict[str, Any]:
    """Return expectation, tokens and steps of an exchange for a failure file, or {} if it cannot be played again.

    It cannot without an expectation, without a message, on connections to another address than the target's, with
    content that no file may have, and with too many steps.
    """
    request = decisive(transcript, exchanges)
    if expectation is None or request is None:
        return {}
    records = excerpt(transcript, exchanges, beside=True)
    request = _carrier(records, request)
    if any(isinstance(r, Failed) or (isinstance(r, Opened) and r.target != address) for r in records):
        return {}
    try:
        steps = [_hidden(step, recipes) for step in _steps(records, request)]
    except NotPortable:
        return {}
    sends = [step for step in steps if isinstance(step, SendStep)]
    if len(steps) > _MOST_STEPS or not sends or not sends[-1].decisive:  # bytes sent after it may belong to it
        return {}
    text = json.dumps(msgspec.to_builtins(steps))
    found = {"expectation": expectation, "tokens": recipes.used_in(text), "steps": steps}
    return {name: msgspec.to_builtins(value) for name, value in found.items()}


def _steps(records: Sequence[Record], request: Message) -> Iterator[FailureStep]:
    """Yield the steps in order of time; each SendStep holds its answers."""
    transports: dict[int, str] = {}
    for index, found in enumerate(records):
        if isinstance(found, Opened):
            transports[found.connection] = found.transport
            yield ConnectStep(found.connection, found.transport, found.source.rpartition(":")[0])
        elif isinstance(found, Ended) and found.how is End.OURS:
            yield CloseStep(found.connection, reset=found.detail == "reset")
        elif _begins(records, index):
            step = _send(_group(records, index), transports.get(found.connection, ""), request)
            if step.requests or any(frame.opcode != Opcode.CLOSE for frame in step.frames) or step.wire:
                yield step


def _carrier(records: Sequence[Record], request: Message) -> Message:
    """Return the request itself, or for a fence the request before it."""
    if not is_fence(request):
        return request
    before = records[: next(index for index, record in enumerate(records) if record is request)]
    sent = [found for found in before if isinstance(found, Message) and found.direction is Direction.SENT]
    own = [found for found in sent if found.connection == request.connection and not is_fence(found)]
    return own[-1] if own else request


def _begins(records: Sequence[Record], index: int) -> bool:
    """Whether a step begins at a record: a message, or bytes without one. A fence belongs to the step before."""
    found = records[index]
    if not isinstance(found, Message | Bytes) or found.direction is not Direction.SENT:
        return False
    before = next((r for r in reversed(records[:index]) if r.connection == found.connection), None)
    if isinstance(found, Message):
        return not is_fence(found) and not (isinstance(before, Message) and _was_sent(before) and not is_fence(before))
    # The bytes after a message are its own; the first bytes on a WebSocket are its opening handshake.
    opening = isinstance(before, Opened) and before.transport == "websocket"
    return not opening and not (before is not None and _was_sent(before))


def _was_sent(record: Record) -> bool:
    return isinstance(record, Message | Bytes) and record.direction is Direction.SENT


def _group(records: Sequence[Record], index: int) -> list[Record]:
    """Return the records of a connection from `index` to the beginning of its next step."""
    number = records[index].connection
    later = (at for at in range(index + 1, len(records)) if records[at].connection == number and _begins(records, at))
    end = next(later, len(records))
    return [found for found in records[index:end] if found.connection == number]


def _send(group: Sequence[Record], transport: str, request: Message) -> SendStep:
    sent = [found for found in group if isinstance(found, Message) and found.direction is Direction.SENT]
    requests = [message for message in sent if message.text and not is_fence(message)]
    first_fence = next((at for at, found in enumerate(group) if found in sent and found not in requests), len(group))
    pieces = [f.data for f in group[:first_fence] if isinstance(f, Bytes) and f.direction is Direction.SENT]
    if sum(map(len, pieces)) > _MOST_BYTES:
        raise NotPortable("too large")
    answers = [found for found in group if isinstance(found, Message) and found.direction is Direction.RECEIVED]
    ended = next((found.how.value for found in group if isinstance(found, Ended) and found.how is not End.OURS), "")
    step = SendStep(
        group[0].connection,
        tuple(
            StepRequest.of(message.text, type=message.type, meant=message.meant, fault=message.decoded.fault)
            for message in requests
        ),
        fenced=next(("heartbeat" if m.type == "heartbeat" else "unknown" for m in sent if is_fence(m)), ""),
        decisive=request in requests,
        then=tuple(StepText.of(message.text[:_MOST_BYTES]) for message in _without_fences(answers, sent)),
        ended=ended,
    )
    return _on_the_wire(step, requests, pieces, transport)


def _without_fences(answers: Sequence[Message], sent: Iterable[Message]) -> list[Message]:
    """Return the answers without those to the fences: for each fence, the last answer of its type."""
    left = list(answers)
    for fence in filter(is_fence, sent):
        kind = "heartbeat_response" if fence.type == "heartbeat" else "error"
        found = next((index for index in range(len(left) - 1, -1, -1) if left[index].type == kind), None)
        if found is not None:
            del left[found]
    return left


def _on_the_wire(step: SendStep, requests: Sequence[Message], pieces: Sequence[bytes], transport: str) -> SendStep:
    """Add the cuts between the bytes, and the bytes or frames themselves if they are not the messages as usual."""
    data = b"".join(pieces)
    cuts: list[int] = []
    for piece in pieces[:-1]:
        cuts.append((cuts[-1] if cuts else 0) + len(piece))
    if transport != "websocket":
        usual = b"".join(message.text + b"\n" for message in requests)
        return msgspec.structs.replace(step, wire=None if data == usual else StepText.of(data), cuts=tuple(cuts))
    found = parse(data)
    if found is None:
        raise NotPortable("its WebSocket frames are invalid")
    if found == [Frame(Opcode.TEXT, message.text) for message in requests]:
        return msgspec.structs.replace(step, cuts=tuple(cuts))
    return msgspec.structs.replace(
        step, frames=tuple(StepFrame(f.opcode, f.fin, StepText.of(bytes(f.data))) for f in found)
    )


def _hidden(step: FailureStep, recipes: Recipes) -> FailureStep:
    """Return a step with placeholders for the values that are new in each run."""
    if not isinstance(step, SendStep):
        return step

    def hidden(text: StepText) -> StepText:
        return text.with_value(recipes.hide(text.value))

    return msgspec.structs.replace(
        step,
        requests=tuple(hidden(request) for request in step.requests),
        wire=hidden(step.wire) if step.wire else None,
        frames=tuple(msgspec.structs.replace(frame, payload=hidden(frame.payload)) for frame in step.frames),
        then=tuple(hidden(text) for text in step.then),
    )

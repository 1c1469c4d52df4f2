"""The steps of a failure file: a pure function of the records of a case."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import msgspec
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

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
from cbspec_conformance.record.conclusions import Expectation
from cbspec_conformance.record.excerpt import decisive, excerpt, is_fence
from cbspec_conformance.record.exchange import Exchange
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

_AnyStep = ConnectStep | SendStep | CloseStep


def record(
    transcript: Transcript,
    exchanges: Sequence[Exchange],
    expectation: Expectation | None,
    recipes: Recipes,
    address: str,
) -> dict[str, Any]:
    """Return expectation, tokens and steps of an exchange for a failure file, or {} if it cannot be replayed.

    It cannot be replayed without an expectation or a message, if a connection failed or went to another address than
    the target's, if its content is not allowed in a file, or if it has too many steps.
    """
    request = decisive(transcript, exchanges)
    if expectation is None or request is None:
        return {}
    records = excerpt(transcript, exchanges, parallel=True)
    request = _carrier(records, request)
    if any(isinstance(r, Failed) or (isinstance(r, Opened) and r.target != address) for r in records):
        return {}
    try:
        steps = [_hidden(step, recipes) for step in _until_decisive(list(_steps(records, request)))]
    except NotPortable:
        return {}
    sends = [step for step in steps if isinstance(step, SendStep)]
    if len(steps) > _MOST_STEPS or not sends or not sends[-1].decisive:  # bytes sent after it may belong to it
        return {}
    text = json.dumps(msgspec.to_builtins(steps))
    return dict(msgspec.to_builtins({"expectation": expectation, "tokens": recipes.used_in(text), "steps": steps}))


def _steps(records: Sequence[Record], request: Message) -> Iterator[_AnyStep]:
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


def _until_decisive(steps: Sequence[_AnyStep]) -> Iterator[_AnyStep]:
    """Yield the steps without those of other connections after the decisive one: a case may try kinds together."""
    decisive = next((at for at, each in enumerate(steps) if isinstance(each, SendStep) and each.decisive), len(steps))
    for at, step in enumerate(steps):
        if at <= decisive or step.connection == steps[decisive].connection:
            yield step


def _carrier(records: Sequence[Record], request: Message) -> Message:
    """Return the request, or if it is a fence, the last request before it that is none."""
    if not is_fence(request):
        return request
    carrier = request
    for found in records:
        if found is request:
            break
        if isinstance(found, Message) and _was_sent(found) and found.connection == request.connection:
            carrier = carrier if is_fence(found) else found
    return carrier


def _begins(records: Sequence[Record], index: int) -> bool:
    """Whether a step begins at a record: a message, or bytes without one. A fence belongs to the step before it."""
    found = records[index]
    if not _was_sent(found):
        return False
    before = next((r for r in reversed(records[:index]) if r.connection == found.connection), None)
    if isinstance(found, Message):
        return not is_fence(found) and not (isinstance(before, Message) and _was_sent(before) and not is_fence(before))
    # The bytes after a message belong to it; the first bytes of a WebSocket are its opening handshake.
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
    sent = [found for found in group if isinstance(found, Message) and _was_sent(found)]
    requests = [message for message in sent if message.text and not is_fence(message)]
    first_fence = next((at for at, found in enumerate(group) if found in sent and found not in requests), len(group))
    pieces = [found.data for found in group[:first_fence] if isinstance(found, Bytes) and _was_sent(found)]
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
    """Add the cuts between the bytes, and unusual bytes or frames themselves."""
    data, cuts = b"".join(pieces), tuple(accumulate(map(len, pieces[:-1])))
    if transport != "websocket":
        usual = b"".join(message.text + b"\n" for message in requests)
        return msgspec.structs.replace(step, wire=None if data == usual else StepText.of(data), cuts=cuts)
    found = parse_frames(data)
    if found is None:
        raise NotPortable("its WebSocket frames are invalid")
    if found == [Frame(Opcode.TEXT, message.text) for message in requests]:
        return msgspec.structs.replace(step, cuts=cuts)
    return msgspec.structs.replace(
        step, frames=tuple(StepFrame(f.opcode, f.fin, StepText.of(bytes(f.data))) for f in found)
    )


def parse_frames(data: bytes) -> list[Frame] | None:
    """Return the frames of a client in `data`, or None if one is invalid or incomplete."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    frames: list[Frame] = []
    while reader.buffer:
        try:
            next(Frame.parse(reader.read_exact, mask=True))
        except StopIteration as parsed:
            frames.append(parsed.value)
        except (EOFError, ProtocolError):
            return None
    return None if any(frame.rsv1 or frame.rsv2 or frame.rsv3 for frame in frames) else frames


def _hidden(step: FailureStep, recipes: Recipes) -> FailureStep:
    """Return a step with placeholders for the values that are new in each run."""
    if not isinstance(step, SendStep):
        return step

    def hidden(text: StepText) -> StepText:
        return text.with_value(recipes.hide(text.value))

    return msgspec.structs.replace(
        step,
        requests=tuple(map(hidden, step.requests)),
        wire=hidden(step.wire) if step.wire else None,
        frames=tuple(msgspec.structs.replace(frame, payload=hidden(frame.payload)) for frame in step.frames),
        then=tuple(map(hidden, step.then)),
    )

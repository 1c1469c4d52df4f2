"""Steps made from the records of a case."""

from __future__ import annotations

import json
from typing import Any

from websockets.frames import Frame, Opcode

from cbspec_conformance.failures.recipes import RUN, Recipes
from cbspec_conformance.failures.recording import record
from cbspec_conformance.record.conclusions import INVARIANT, Expectation, ExpectationKind
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import Bytes, Direction, End, Ended, Message, Opened, Record, Transcript
from tests.conformance.build import HEARTBEAT, HEARTBEAT_RESPONSE, TUNNEL, TUNNEL_RESPONSE, received, sent

ADDRESS = "127.0.0.1:8080"
EXPECTATION = Expectation(ExpectationKind.REFUSED_WITH, ("invalid_tunnel_info",))


def opened(transport: str = "tcp", address: str = ADDRESS) -> Opened:
    return Opened(0.0, 1, address, "127.0.0.1:50000", transport)


def left(*pieces: bytes) -> list[Record]:
    return [Bytes(0.0, 1, Direction.SENT, piece) for piece in pieces]


def fence() -> Message:
    text = json.dumps(HEARTBEAT).encode()
    return Message(0.0, 1, Direction.SENT, text, sent(HEARTBEAT).decoded, meant="fence")


def recorded(records: list[Record], request: Message) -> dict[str, Any]:
    return record(Transcript(records=records), [Exchange(request)], EXPECTATION, Recipes(), ADDRESS)


def line(message: Message) -> bytes:
    return message.text + b"\n"


def test_an_exchange_becomes_steps_without_its_fences() -> None:
    request = sent({**TUNNEL, "tunnel_id": f"cbspec-{RUN}-1"})
    answers = [received(TUNNEL_RESPONSE), fence(), *left(b"fence"), received(HEARTBEAT_RESPONSE)]
    found = recorded([opened(), request, *left(line(request)), *answers, Ended(1.0, 1, End.OURS)], request)
    assert found["expectation"] == {"kind": "refused_with", "values": ("invalid_tunnel_info",)}
    connect, send, close = found["steps"]
    assert connect == {"connect": 1, "transport": "tcp", "source": "127.0.0.1"}
    assert close == {"close": 1}
    assert (send["decisive"], send["fenced"]) == (True, "heartbeat")
    assert json.loads(send["send"][0]["text"])["tunnel_id"] == "cbspec-<<run>>-1"
    assert [json.loads(then["text"]) for then in send["then"]] == [TUNNEL_RESPONSE]
    assert "wire" not in send


def test_cuts_and_unusual_bytes_are_recorded() -> None:
    request = sent(HEARTBEAT)
    whole = line(request)
    (_, send) = recorded([opened(), request, *left(whole[:3], whole[3:9], whole[9:])], request)["steps"]
    assert send["cuts"] == (3, 9)
    (_, send) = recorded([opened(), request, *left(request.text + b"\r\n")], request)["steps"]
    assert send["wire"] == {"text": request.text.decode() + "\r\n"}


def test_websocket_frames_are_recorded_without_their_masks() -> None:
    request = sent(HEARTBEAT)
    opening = left(b"GET / HTTP/1.1\r\n\r\n")
    usual = Frame(Opcode.TEXT, request.text).serialize(mask=True)
    (_, send) = recorded([opened("websocket"), *opening, request, *left(usual)], request)["steps"]
    assert not send.keys() & {"wire", "frames", "cuts"}
    parts = [Frame(Opcode.TEXT, request.text[:4], fin=False), Frame(Opcode.CONT, request.text[4:])]
    found = recorded(
        [opened("websocket"), *opening, request, *left(*(part.serialize(mask=True) for part in parts))], request
    )
    (_, send) = found["steps"]
    assert [(frame["opcode"], frame["fin"]) for frame in send["frames"]] == [(1, False), (0, True)]


def test_several_requests_in_one_piece_are_one_step() -> None:
    first, second = sent(HEARTBEAT), sent(HEARTBEAT)
    found = recorded([opened(), first, second, *left(line(first) + line(second))], first)
    (_, send) = found["steps"]
    assert len(send["send"]) == 2


def test_an_exchange_that_cannot_be_played_is_not_recorded() -> None:
    request = sent(HEARTBEAT)
    secret = sent({"type": "auth", "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl"})
    assert recorded([opened(address="127.0.0.1:9"), request], request) == {}  # another relay than the target
    assert recorded([opened(), request, *left(b"x" * 100_000)], request) == {}
    assert recorded([opened(), secret, *left(line(secret))], secret) == {}
    assert record(Transcript(records=[opened()]), [], INVARIANT, Recipes(), ADDRESS) == {}
    assert record(Transcript(records=[request]), [Exchange(request)], None, Recipes(), ADDRESS) == {}

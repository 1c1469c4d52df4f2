"""The template of an exported script: plays one failure with the standard library alone.

`cbspec_conformance.replay.script` replaces this text by a description, and `FAILURE` by the failure's data.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import socket
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

FAILURE: dict[str, Any] = {}

PRESENT, ABSENT, UNCLEAR = 1, 0, 2
TIMEOUT = float(os.environ.get("CBSPEC_TIMEOUT", "5"))  # seconds for an answer
QUIET = 0.3  # seconds for a further answer
RUN = secrets.token_hex(4)
BINARY = b"binary: "  # marks a message from a binary WebSocket frame
LITERAL = ("type", "status", "code", "version", "tenant_id")
SIGNATURES: dict[str, Callable[[bytes], bytes]] = {
    "unchanged": lambda old: old,
    "empty": lambda old: b"",
    "first bit flipped": lambda old: bytes([old[0] ^ 1]) + old[1:],
    "last bit flipped": lambda old: old[:-1] + bytes([old[-1] ^ 1]),
    "last three bytes zero": lambda old: old[:-3] + b"\0\0\0",
    "without its last byte": lambda old: old[:-1],
    "first half": lambda old: old[: len(old) // 2],
    "a byte more": lambda old: old + b"\0",
    "zero": lambda old: bytes(len(old)),
}  # signatures of forged tokens, made from a valid signature


class Unclear(Exception):
    """The run proves nothing; the text gives the reason."""


class StandaloneConnection:
    """A connection to the relay: TLS 1.3, optionally with WebSocket."""

    def __init__(self, number: int, host: str, port: int, transport: str, source: str) -> None:
        self.name, self.ended, self.buffer, self.fragments = f" #{number}", "", b"", b""
        self.websocket = transport == "websocket"
        context = ssl.create_default_context(cafile=os.environ.get("CBSPEC_CA") or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if os.environ.get("CBSPEC_VERIFY") == "no":
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if "CBSPEC_CLIENT_CERTIFICATE" in os.environ:
            context.load_cert_chain(os.environ["CBSPEC_CLIENT_CERTIFICATE"], os.environ.get("CBSPEC_CLIENT_KEY"))
        plain = socket.create_connection((host, port), TIMEOUT, (source, 0) if source else None)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname=os.environ.get("CBSPEC_SERVER_NAME") or host)
        if self.websocket:
            self.open_websocket(f"{host}:{port}")

    def open_websocket(self, host: str) -> None:
        """Do the opening handshake (RFC 6455, 4.1)."""
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        path = os.environ.get("CBSPEC_WEBSOCKET_PATH", "/")
        upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}"
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n\r\n".encode())
        deadline = time.monotonic() + TIMEOUT
        while b"\r\n\r\n" not in self.buffer and self.receive(deadline):
            pass
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0] + b" ":
            raise Unclear(f"no WebSocket was opened: {json.dumps(head[:80].decode('latin-1'))}")

    def send(self, data: bytes) -> None:
        """Send bytes; do nothing if the relay has ended the connection."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            self.ended = self.ended or str(error)

    def receive(self, deadline: float) -> bool:
        """Receive bytes until the deadline; return whether any arrived."""
        if self.ended:
            return False
        self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return False
        except OSError as error:
            self.ended = str(error)
            return False
        self.ended = "" if data else "closed"
        self.buffer += data
        return bool(data)

    def message(self, wait: float) -> bytes | None:
        """Return the next message, or None if none arrives within `wait` seconds."""
        deadline = time.monotonic() + wait
        while True:
            found = self.next_message() if self.websocket else self.next_object()
            if found is not None:
                return found
            if not self.receive(deadline):
                rest, self.buffer = self.buffer.strip(), b""
                return rest or None

    def next_object(self) -> bytes | None:
        """Remove the next object, or else the next line, from the read buffer."""
        self.buffer = self.buffer.lstrip(b" \t\r\n")
        text = self.buffer.decode("latin-1")
        try:
            end = json.JSONDecoder().raw_decode(text)[1] if text.startswith("{") else 0
        except ValueError:
            end = 0
        end = end or text.find("\n")
        if end <= 0:
            return None
        found, self.buffer = self.buffer[:end], self.buffer[end:]
        return found

    def next_message(self) -> bytes | None:
        """Remove frames from the read buffer until a message is complete; answer pings."""
        while len(self.buffer) >= 2:
            size, at = self.buffer[1] & 0x7F, 2
            if size > 125:
                at = 4 if size == 126 else 10
                size = int.from_bytes(self.buffer[2:at], "big")
            if self.buffer[1] & 0x80 or self.buffer[0] & 0x70:
                self.buffer, self.ended = b"", "an invalid frame"
                return b"an invalid frame"
            if len(self.buffer) < at + size:
                return None
            opcode, last = self.buffer[0] & 15, self.buffer[0] & 0x80
            payload, self.buffer = self.buffer[at : at + size], self.buffer[at + size :]
            if opcode == 9:
                self.send(frame(10, True, payload))
            elif opcode == 8:
                self.ended = "closed by a close frame"
            elif opcode < 3:
                self.fragments += payload
                if last:
                    found, self.fragments = self.fragments, b""
                    return BINARY + found if opcode == 2 else found
        return None


def frame(opcode: int, last: bool, payload: bytes) -> bytes:
    """Return a masked WebSocket frame."""
    mask, size = secrets.token_bytes(4), len(payload)
    if size < 126:
        length = bytes([128 | size])
    else:
        length = b"\xfe" + size.to_bytes(2, "big") if size < 65536 else b"\xff" + size.to_bytes(8, "big")
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([(128 if last else 0) | opcode]) + length + mask + masked


def unbase64url(text: str) -> bytes:
    """Decode a token's segment."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signed(
    header: dict[str, Any],
    claims: dict[str, Any],
    secret: str,
    signature: bytes | None = None,
    numbers: Sequence[str] = (),
) -> str:
    """Return a token with an HS256 signature, or with another one; `numbers` are claims to write as numbers."""

    def base64url(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    parts = [json.dumps(part, separators=(",", ":")) for part in (header, claims)]
    for name in numbers:
        parts[1] = parts[1].replace(f'"{name}":"{claims[name]}"', f'"{name}":{claims[name]}')
    text = ".".join(base64url(part.encode()) for part in parts)
    if signature is None:
        signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64url(signature)}"


class StandaloneTokens:
    """The tokens of the exchange: from CBSPEC_TOKEN_n, or made with the HS256 secret in CBSPEC_SECRET."""

    def __init__(self) -> None:
        self.made: dict[str, str] = {}

    def get(self, name: str) -> str:
        """Return a token; it is made at the first call."""
        if name not in self.made:
            given = os.environ.get(f"CBSPEC_{name.upper().replace('-', '_')}")
            self.made[name] = given or self.make(FAILURE["tokens"][name])
        return self.made[name]

    def make(self, recipe: dict[str, Any]) -> str:
        """Make a valid token, or change header, claims and signature of one."""
        secret, now = os.environ.get("CBSPEC_SECRET", ""), int(time.time())
        if recipe.get("given") or not secret:
            raise Unclear("set CBSPEC_SECRET, the relay's HS256 secret, or the CBSPEC_TOKEN_n named in the docstring")
        if "of" not in recipe:
            own = {"tenant_id": recipe["tenant"], "iat": now, "exp": now + 3600, "jti": secrets.token_hex(16)}
            subject = {"sub": recipe["subject"]} if "subject" in recipe else {}
            return signed({"typ": "JWT", "alg": "HS256"}, {**FAILURE["claims"], **subject, **own}, secret)
        header, claims, old = map(unbase64url, self.get(recipe["of"]).split("."))
        later = {name: now + seconds for name, seconds in recipe.get("in_seconds", {}).items()}
        changed = {**json.loads(claims), **recipe.get("claims", {}), **later}
        kept = {name: value for name, value in changed.items() if name not in recipe.get("without", ())}
        key = secret if recipe["signature"] == "right" else recipe.get("secret", secrets.token_hex(32))
        change, numbers = SIGNATURES.get(recipe["signature"]), recipe.get("numbers", ())
        headers = {**json.loads(header), **recipe.get("header", {})}
        return signed(headers, kept, key, change(old) if change else None, numbers)

    def data(self, entry: dict[str, Any]) -> bytes:
        """Return the bytes of a text, with values for its placeholders."""

        def value(match: re.Match[str]) -> str:
            return json.dumps(RUN if match[1] == "run" else self.get(match[1]), ensure_ascii=False)[1:-1]

        if "json" in entry:
            text = json.dumps(entry["json"], separators=(",", ":"), ensure_ascii=False)
        else:
            text = entry["text"] if "text" in entry else entry["latin_1"]
        return re.sub(r"<<(run|token-\d+)>>", value, text).encode("latin-1" if "latin_1" in entry else "utf-8")


def show(name: str, arrow: str, data: bytes) -> None:
    """Print a message with its tokens redacted."""
    text = data.decode("utf-8", "backslashreplace")
    text = re.sub(r'("token"\s*:\s*)"[^"]+"', r'\1"***"', re.sub(r"eyJ[\w-]+\.[\w-]*\.?[\w-]*", "***", text))
    text = text if text.isprintable() else text.encode("unicode_escape").decode()
    print(f"{name} {arrow} {text[:300]}")


def decoded(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return a message's value, or the reason why it has none."""
    if data.startswith(BINARY):
        return "binary"
    try:
        return json.loads(data.decode())
    except UnicodeDecodeError:
        return "not UTF-8"
    except ValueError:
        return "not JSON"


def is_success(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether an answer accepts a request."""
    return isinstance(value, dict) and value.get("type") != "error" and value.get("status", "ok") == "ok"


def take(relay: StandaloneConnection, count: int, wait: float) -> list[bytes]:
    """Return up to `count` messages; wait up to `wait` seconds for each."""
    found: list[bytes] = []
    while len(found) < count and (data := relay.message(wait)) is not None:
        show(relay.name, "<-", data)
        found.append(data)
    return found


def ask(relay: StandaloneConnection, step: dict[str, Any], tokens: StandaloneTokens) -> list[Any]:
    """Send the messages of a step; return the answers."""
    messages, decisive = [tokens.data(entry) for entry in step["send"]], step.get("decisive")
    relay.name = f"{'>' if decisive else ' '}#{step['on']}"
    if "frames" in step:
        pieces = [frame(each["opcode"], each["fin"], tokens.data(each["payload"])) for each in step["frames"]]
    else:
        usual = b"".join(frame(1, True, text) if relay.websocket else text + b"\n" for text in messages)
        data = tokens.data(step["wire"]) if "wire" in step else usual
        ends = [*step.get("cuts", ()), len(data)]
        pieces = [data[start:end] for start, end in zip([0, *ends], ends)]  # noqa: B905 - the last start has no end
    for text in messages or [b"(bytes that are no message)"]:
        show(relay.name, "->", text)
    for piece in pieces:
        relay.send(piece)
    if not messages:
        return []
    found = take(relay, len(messages), TIMEOUT)
    return [decoded(data) for data in (found + further(relay, step.get("fenced", "")) if decisive else found)]


def further(relay: StandaloneConnection, fence: str) -> list[bytes]:
    """Return further answers: those before the answer to a fence, or without a fence those within QUIET seconds."""
    if not fence:
        return take(relay, 9, QUIET)
    request = {"type": "heartbeat" if fence == "heartbeat" else f"cbspec_fence_{RUN}"}
    text = json.dumps(request).encode()
    show(relay.name, "->", text)
    relay.send(frame(1, True, text) if relay.websocket else text + b"\n")
    found = take(relay, 1, TIMEOUT) + take(relay, 9, QUIET)
    wanted = "heartbeat_response" if fence == "heartbeat" else "error"
    for index in range(len(found) - 1, -1, -1):
        value = decoded(found[index])
        if isinstance(value, dict) and value.get("type") == wanted:
            del found[index]
            break
    return found


def is_present(request: bytes, answers: list[Any], then: list[Any], same_end: bool) -> bool:
    """Whether the relay answers as it did when the failure was found (`then`)."""
    if FAILURE["requirement"] == "CB-WSK-005":
        return "binary" in answers
    codes, known = ({each.get("code") for each in some if isinstance(each, dict)} for some in (answers, then))
    if lacking := codes & {*FAILURE["no_room"]} - known:
        raise Unclear(f"the relay has no capacity: {lacking.pop()}")
    now, before = ([shape(each, request) for each in some[: FAILURE["compared"]]] for some in (answers, then))
    return now == before and (bool(answers) or same_end)


def shape(value: Any, request: bytes, member: str = "") -> Any:  # noqa: ANN401 - any JSON value
    """Return a value with a word for each text that differs between runs."""
    if isinstance(value, dict):
        return {name: shape(inner, request, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner, request) for inner in value]
    if not isinstance(value, str) or not value or member in LITERAL or not member:
        return value
    if value.encode(errors="replace") in request:
        return "a text of the request"
    return "a token" if "eyJ" in value else "a text"


def play(host: str, port: int) -> bool:
    """Play the steps; return whether they show the failure."""
    relays: dict[int, StandaloneConnection] = {}
    tokens = StandaloneTokens()
    for step in FAILURE["steps"]:
        if "connect" in step:
            number = step["connect"]
            source = step.get("source", "") if FAILURE["sources"] else ""
            relays[number] = StandaloneConnection(number, host, port, step["transport"], source)
            print(f" #{number} -- connected to {host}:{port} ({step['transport']})")
        elif "close" in step:
            relays[step["close"]].socket.close()
            print(f" #{step['close']} -- closed by this script")
        else:
            relay = relays[step["on"]]
            answers = ask(relay, step, tokens)
            then = [decoded(tokens.data(entry)) for entry in step.get("then", ())]
            if step.get("decisive"):
                request = b"".join(map(tokens.data, step["send"]))
                return is_present(request, answers, then, bool(relay.ended) == bool(step.get("ended")))
            if any(map(is_success, then)) and not any(map(is_success, answers)):
                raise Unclear(f"{step['send'][0]['type']} was accepted when the failure was found, and is not now")
    raise Unclear("no step is decisive")


def main() -> int:
    """Play the failure; return the exit code."""
    host, _, port = (sys.argv[1] if len(sys.argv) == 2 else FAILURE["target"]).rpartition(":")
    try:
        present = play(host.strip("[]"), int(port))
    except (Unclear, OSError, ValueError, KeyError, IndexError) as error:
        print(f"can't tell: {error}")
        return UNCLEAR
    print("the failure is there" if present else "the failure is not there")
    return PRESENT if present else ABSENT


if __name__ == "__main__":
    sys.exit(main())

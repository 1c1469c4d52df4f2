"""Conforming variants: other ways to do the same, none of which may be accused of anything."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback

from cbspec.protocol.messages import Answer, Error, Heartbeat, Message, Request, TunnelInfo, Violation
from cbspec_client.errors import CertificateNotTrusted, ClientError, RelayError, RelayMisbehaved, refusal
from tests.adequacy.clients.base import BaseClient
from tests.adequacy.clients.registry import variant

_SILENT = {"heartbeat_interval": None}


# ------------------------------------------------------------------------------------------------ spelling
class _Ending(BaseClient):
    """Ends its messages in another way than with a line feed."""

    ending = b""

    def on_wire(self, data: bytes) -> bytes:
        return super().on_wire(data.removesuffix(b"\n") + self.ending)


@variant("It ends its messages with CR LF.", websocket=False)
class _EndsWithCrLf(_Ending):
    ending = b"\r\n"


@variant("Nothing separates its messages.", websocket=False)
class _EndsWithNothing(_Ending):
    pass


@variant("Blank lines separate its messages.", websocket=False)
class _EndsWithBlankLines(_Ending):
    ending = b"\n\n\n"


@variant("Its messages go over several lines.")
class _IndentedMessages(BaseClient):
    def spelled(self, message: Request) -> bytes:
        return json.dumps(json.loads(super().spelled(message)), indent=4).encode()


@variant("Its members are in the opposite order.")
class _MembersReversed(BaseClient):
    def spelled(self, message: Request) -> bytes:
        return json.dumps(dict(reversed(json.loads(super().spelled(message)).items()))).encode()


@variant("It escapes every character of its strings.")
class _EscapedStrings(BaseClient):
    def spelled(self, message: Request) -> bytes:
        def escaped(value: object) -> str:
            if isinstance(value, str):
                return '"' + "".join(f"\\u{ord(letter):04x}" for letter in value) + '"'
            if isinstance(value, list):
                return "[" + ",".join(map(escaped, value)) + "]"
            return json.dumps(value)

        members = json.loads(super().spelled(message)).items()
        return ("{" + ",".join(f"{escaped(name)}:{escaped(value)}" for name, value in members) + "}").encode()


@variant("It writes without any white space.")
class _CompactMessages(BaseClient):
    def spelled(self, message: Request) -> bytes:
        return json.dumps(json.loads(super().spelled(message)), separators=(",", ":")).encode()


@variant("Its messages have members of its own.")
class _MoreMembers(BaseClient):
    def spelled(self, message: Request) -> bytes:
        body = json.loads(super().spelled(message))
        return json.dumps(
            {**body, "client": {"name": "größer", "load": [0.5, None, True]}}, ensure_ascii=False
        ).encode()


@variant("It sends a member twice with the same value.")
class _SameMemberTwice(BaseClient):
    def spelled(self, message: Request) -> bytes:
        text = super().spelled(message)
        return text.replace(b'"version": "1.0"', b'"version": "1.0", "version": "1.0"')


@variant("It names one feature only.")
class _FewerFeatures(BaseClient):
    features = ("tls",)


@variant("It sends its messages in pieces.", websocket=False)
class _SentInPieces(BaseClient):
    def flush(self) -> None:
        wire = self.session.data_to_send()
        with contextlib.suppress(OSError):
            for begin in range(0, len(wire), 100):
                self.socket.sendall(wire[begin : begin + 100])


# ------------------------------------------------------------------------------------------------ tunnels, life
@variant("It opens three tunnels.")
class _ThreeTunnels(BaseClient):
    tunnels = 3


@variant("It opens no tunnel.")
class _NoTunnel(BaseClient):
    tunnels = 0


@variant("It ends after its clean session.", profile=_SILENT)
class _OneShot(BaseClient):
    stays = False
    retries = 0


@variant("It ends after three heartbeats.", profile=_SILENT)
class _ThreeHeartbeats(BaseClient):
    interval = 0.2

    def stay(self) -> None:
        for _ in range(3):
            self.listen(self.interval)
            self.beat()


@variant("It sends no heartbeats, but reads.", profile=_SILENT)
class _OnlyListens(BaseClient):
    def stay(self) -> None:
        self.listen(float("inf"))


@variant("It sends its first heartbeat at once.")
class _FirstHeartbeatAtOnce(BaseClient):
    def stay(self) -> None:
        self.beat()
        super().stay()


@variant("It takes 1.5 seconds to start.")
class _SlowStart(BaseClient):
    def prepare(self) -> None:
        super().prepare()
        time.sleep(1.5)


@variant("It has a child process, which shares its output.")
class _WithAChild(BaseClient):
    def prepare(self) -> None:
        super().prepare()
        subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])


@variant("It leaves SIGTERM to the system.")
class _DiesOfSigterm(BaseClient):
    def prepare(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@variant("Its exit code after SIGTERM is 143.")
class _ExitCodeOfSigterm(BaseClient):
    def stopped(self) -> int:
        return 143


@variant("It takes a second to end.")
class _EndsSlowly(BaseClient):
    def stopped(self) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1.0)
        return super().stopped()


@variant("It resets its connections when it ends.")
class _ResetsAtTheEnd(BaseClient):
    def disconnect(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()


# ------------------------------------------------------------------------------------------------ output
@variant("It prints nothing.")
class _Quiet(BaseClient):
    def say(self, text: str) -> None:
        if text.startswith("error"):  # a failure wants its code shown
            super().say(text)


@variant("It writes to standard error.")
class _ToStandardError(BaseClient):
    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


@variant("It logs in JSON, with time, level and a random number, also what it is about to do.")
class _JsonLogs(BaseClient):
    def say(self, text: str) -> None:
        level = "ERROR" if text.startswith("error") else "INFO"
        line = {"time": time.time(), "level": level, "message": text, "request": f"{random.getrandbits(64):016x}"}
        print(json.dumps(line), flush=True)

    def ask(self, message: Request) -> Answer:
        self.say(f"sending {message.type}")
        answer = super().ask(message)
        self.say(f"received {answer.type}")
        return answer


@variant("Its output stays in a buffer until it ends.")
class _BufferedOutput(BaseClient):
    buffer = ""

    def say(self, text: str) -> None:
        self.buffer += text + "\n"

    def run(self) -> int:
        try:
            return super().run()
        finally:
            sys.stdout.write(self.buffer)


@variant("It prints a traceback when it fails.", profile=_SILENT)
class _Traceback(BaseClient):
    retries = 0

    def report(self, error: ClientError) -> None:
        traceback.print_exception(error)


@variant("It prints each answer, whatever it is, and what it is about to do.")
class _Verbose(BaseClient):
    def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
        self.say(f"<- {text[:200].decode(errors='replace')}")
        return super().understood(text, found)

    def ask(self, message: Request) -> Answer:
        self.say(f"-> {message.type} ({random.random()})")  # noqa: S311
        return super().ask(message)


@variant("It says what it is about to do, and only errors after that.")
class _SaysIntentions(BaseClient):
    def ask(self, message: Request) -> Answer:
        self.say(f"trying {message.type}")
        return super().ask(message)

    def say(self, text: str) -> None:
        if text.startswith(("trying", "error")):
            super().say(text)


@variant("It counts its heartbeats in its output.")
class _CountsHeartbeats(BaseClient):
    beats = 0

    def beat(self) -> None:
        super().beat()
        self.beats += 1
        self.say(f"heartbeat number {self.beats} answered")


# ------------------------------------------------------------------------------------------------ failures
@variant("It ends when its connection is lost.")
class _EndsOnLoss(BaseClient):
    retries = 0


@variant("Its delays have jitter.")
class _Jitter(BaseClient):
    def delay(self, attempt: int, error: ClientError) -> float:
        return super().delay(attempt, error) * random.uniform(0.75, 1.25)  # noqa: S311


@variant("It waits a second before its first attempt, and then longer.", profile={"reconnect_delay": 1.2})
class _LongDelays(BaseClient):
    delays = (1.0, 2.0, 4.0)


@variant("It has an exit code for each cause.")
class _ExitCodes(BaseClient):
    def exit_code(self, error: ClientError) -> int:
        match error:
            case CertificateNotTrusted():
                return 77
            case RelayError():
                return 69
            case RelayMisbehaved():
                return 76
            case _:
                return 75


@variant("It ignores messages that it doesn't understand, and gives up after its time-out.")
class _IgnoresNonsense(BaseClient):
    def ask(self, message: Request) -> Answer:
        try:
            return super().ask(message)
        except RelayMisbehaved:
            time.sleep(self.limit)
            raise


@variant("It tries nothing again.")
class _NeverAgain(BaseClient):
    def worth_retrying(self, error: ClientError) -> bool:
        return False


@variant("It notices a lost connection only with its next heartbeat.")
class _LossNoticedLate(BaseClient):
    def listen(self, seconds: float) -> None:
        time.sleep(seconds)


@variant("It needs two unanswered heartbeats to be sure.")
class _TwoHeartbeatsMissed(BaseClient):
    def beat(self) -> None:
        self.session.request(Heartbeat())
        self.flush()
        deadline = time.monotonic() + 2 * self.interval
        while not self.session.answered and time.monotonic() < deadline:
            self.receive(deadline - time.monotonic())
            self.check()
        if not self.session.answered:
            self.swap(self.spelled(Heartbeat()))
        elif isinstance(answer := self.session.take_answer(), Error):
            raise refusal(answer)


# ------------------------------------------------------------------------------------------------ local port
class _Listens(BaseClient):
    """Listens on its local port while its tunnel is open."""

    door: socket.socket | None = None

    def open_tunnel(self, tunnel: TunnelInfo) -> None:
        super().open_tunnel(tunnel)
        self.listen_on(tunnel.local_port)

    def listen_on(self, port: int) -> None:
        self.door = socket.create_server(("127.0.0.1", port))

    def disconnect(self) -> None:
        if self.door is not None:
            self.door.close()
            self.door = None
        super().disconnect()


@variant("It listens on its local port while its tunnel is open.", arguments=("--local-port", "{local_port}"))
class _ListensWhileOpen(_Listens):
    pass


@variant("It listens on its local port, and prints nothing.", arguments=("--local-port", "{local_port}"))
class _ListensQuietly(_Listens, _Quiet):
    pass


@variant("It looks with a connection of its own whether the port is open, before it begins.")
class _LooksFirst(BaseClient):
    def prepare(self) -> None:
        super().prepare()
        with contextlib.suppress(OSError):
            socket.create_connection((self.host, self.port), self.limit).close()

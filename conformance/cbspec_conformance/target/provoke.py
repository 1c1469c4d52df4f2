"""Conditions that the wire can't bring about: a second address where one holds, a command, or an HTTP call."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

from cbspec.profile.profile import Action, Condition, Endpoint, Profile
from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.probe.tcp import Unreachable, tcp_connect
from cbspec_conformance.probe.tempo import retry

_COMMAND_TIMEOUT = 60.0


@contextlib.contextmanager
def provoked(profile: Profile, name: str) -> Iterator[tuple[Condition, Endpoint | None]]:
    """Yield the condition `name` while it holds, and the address where (None: the target's own).

    Raises NotExercised where the profile doesn't say how, Inconclusive where the way that it gives doesn't work.
    """
    condition = profile.conditions.get(name)
    if condition is None:
        raise NotExercised(f"give conditions.{name}: a target where it holds, or begin and end")
    if condition.target is not None:
        yield condition, condition.target
        return
    if condition.begin is None:
        raise NotExercised(f"give conditions.{name}.target, or conditions.{name}.begin and end")
    _perform(condition.begin, f"conditions.{name}.begin")
    if name != "unavailable":
        _await_listening(profile, condition)
    try:
        yield condition, None
    finally:
        if condition.end is not None:
            _perform(condition.end, f"conditions.{name}.end")
            _await_listening(profile, condition)


def until(condition: Condition, attempt: Callable[[], None], errors: tuple[type[Exception], ...]) -> None:
    """Call `attempt` until it raises none of `errors`, as long as the condition may take; then let it raise."""
    retry(attempt, errors, condition.settle)


def _await_listening(profile: Profile, condition: Condition) -> None:
    """Wait until the relay accepts connections, which it doesn't while it is being started again."""
    address = profile.target.address
    if address is not None:
        with contextlib.suppress(Unreachable):
            until(condition, lambda: tcp_connect(address, None, condition.settle).close(), (Unreachable,))


def _perform(action: Action, key: str) -> None:
    try:
        if action.http is not None:
            call = action.http
            request = urllib.request.Request(  # noqa: S310 - the user's own address; only http and https are accepted
                call.url, call.body.encode() or None, dict(call.headers), method=call.method
            )
            with urllib.request.urlopen(request, timeout=_COMMAND_TIMEOUT):  # noqa: S310 - as above
                return
        with tempfile.TemporaryFile() as words:  # a pipe would keep the suite waiting for whatever stays running
            done = subprocess.run(  # noqa: S603 - the user's own command, without a shell
                action.command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, timeout=_COMMAND_TIMEOUT
            )
            if done.returncode:
                words.seek(0)
                said = words.read().decode(errors="replace").strip()[-300:]
                raise Inconclusive(f"{key}: the command ended with {done.returncode}: {said}")
    except (OSError, subprocess.TimeoutExpired, http.client.HTTPException, ValueError) as error:
        raise Inconclusive(f"{key}: {error}") from None

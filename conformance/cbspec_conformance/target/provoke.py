"""Conditions that no message causes: an address at which one holds, a command, or an HTTP call."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator

from cbspec.profile.http import fetch, why
from cbspec.profile.profile import Action, Condition, Endpoint, Profile
from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.probe.tcp import Unreachable, tcp_connect
from cbspec_conformance.probe.tempo import retry

_COMMAND_TIMEOUT = 60.0


@contextlib.contextmanager
def provoked(profile: Profile, name: str) -> Iterator[tuple[Condition, Endpoint | None]]:
    """Yield the condition `name` while it holds, and the address at which it does (None: the target's own).

    Raises NotExercised if the profile names no way to cause it, Inconclusive if that way does not work.
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
    """Call `attempt` until it raises none of `errors`, for as long as the condition may take; then let it raise."""
    retry(attempt, errors, condition.settle)


def _await_listening(profile: Profile, condition: Condition) -> None:
    """Wait until the relay accepts connections: the action may have restarted it."""
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
            with fetch(request, _COMMAND_TIMEOUT):
                return
        with tempfile.TemporaryFile() as output:  # a pipe would block on processes that stay running
            done = subprocess.run(  # noqa: S603 - the user's own command, without a shell
                action.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=_COMMAND_TIMEOUT
            )
            if done.returncode:
                output.seek(0)
                text = output.read().decode(errors="replace").strip()[-300:]
                raise Inconclusive(f"{key}: the command ended with {done.returncode}: {text}")
    except (OSError, subprocess.TimeoutExpired, http.client.HTTPException, ValueError) as error:
        raise Inconclusive(f"{key}: {why(error)}") from None

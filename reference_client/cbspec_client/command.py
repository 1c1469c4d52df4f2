"""`cbspec connect`: a session from the shell, short or lasting."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from cbspec.exit_codes import ExitCode
from cbspec.profile.identity import is_loopback
from cbspec_client import options
from cbspec_client.client import connect
from cbspec_client.display import Display
from cbspec_client.errors import CertificateNotTrusted, ClientError, GaveUp
from cbspec_client.exit_causes import exit_code
from cbspec_client.options import ConnectPlan
from cbspec_client.reconnecting import stay_connected
from cbspec_client.session import authority
from cbspec_client.stages import Timeouts
from cbspec_client.status import LiveStatus

_CLOSE = 0.5  # seconds for the relay's close: the command ends within a second of a signal

configure = options.configure


def run(args: argparse.Namespace) -> int:
    """Run the session; return the exit code. Raises CommandError if the options are wrong."""
    plan = options.choose(args)
    status = LiveStatus(authority(*plan.address))
    display = Display(status, as_json=args.json)
    if plan.warning:
        display.warn(plan.warning)
    session = _lasting(args, plan, display) if args.stay else _short(args, plan, display)
    try:
        stopped = asyncio.run(_until_signal(session, status))
    except ClientError as error:
        display.failed(error)
        if isinstance(error.cause if isinstance(error, GaveUp) else error, CertificateNotTrusted):
            display.warn("name its CA with --ca, or its name with --server-name")
        return exit_code(error)
    if stopped is False:
        display.interrupted()
        return ExitCode.INTERRUPTED
    display.succeeded()
    return ExitCode.SUCCESS


async def _until_signal(session: Coroutine[Any, Any, None], status: LiveStatus) -> bool | None:
    """Run a session; if a signal ends it, close it and return whether it was up."""
    task, loop = asyncio.ensure_future(session), asyncio.get_running_loop()
    was_up: bool | None = None

    def stop() -> None:
        nonlocal was_up
        was_up = status.up if was_up is None else was_up
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await asyncio.wait([task])
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    if not task.cancelled():
        task.result()
    return was_up


def _common(args: argparse.Namespace, plan: ConnectPlan) -> dict[str, Any]:
    limit = args.timeout
    return {
        "transport": plan.transport,
        "ca": plan.ca,
        "server_name": plan.server_name,
        "path": plan.path,
        "timeouts": Timeouts(connect=limit, answer=limit, heartbeat=limit, close=min(limit, _CLOSE)),
    }


async def _short(args: argparse.Namespace, plan: ConnectPlan, display: Display) -> None:
    token = display.keep_secret(plan.provide())
    async with connect(*plan.address, exchange=display.passed, **_common(args, plan)) as fresh:
        if fresh.address != plan.address[0] and not is_loopback(plan.address[0]):
            display.say(f"{plan.address[0]} answers at {fresh.address}")
        greeted = await fresh.hello()
        if not token:
            display.say("no token is sent without a verified certificate, so the session ends here")
            return
        session = await greeted.authenticate(token)
        for tunnel in plan.tunnels:
            await session.open_tunnel(*tunnel)
        times = [await session.heartbeat() for _ in range(args.heartbeats)]
        slowest = f", each answered within {max(times) * 1000:.1f} ms" if times else ""
        display.say(f"ok: {len(plan.tunnels)} tunnels open, {len(times)} heartbeats{slowest}")


async def _lasting(args: argparse.Namespace, plan: ConnectPlan, display: Display) -> None:
    async with stay_connected(
        *plan.address,
        token=lambda: display.keep_secret(plan.provide()),
        tunnels=plan.tunnels,
        heartbeats=options.heartbeats(args),
        retry=options.retries(args),
        renew_before=args.renew_before,
        on_event=display.happened,
        exchange=display.passed if args.messages else None,
        **_common(args, plan),
    ):
        while True:
            display.refresh()
            await asyncio.sleep(1.0)

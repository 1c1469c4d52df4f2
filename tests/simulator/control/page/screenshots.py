"""Take the documents' pictures of the control page: `make page` writes docs/page-light.png and docs/page-dark.png."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from cbspec.profile.target import Rate, Tenant
from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import ControlSettings, Listen, RelaySettings
from cbspec_simulator.testing.thread import LoopThread
from tests.repo.tree import ROOT
from tests.simulator.control.page.browser import Browser, opened
from tests.support.client import RawClient
from tests.support.messages import BEAT, HELLO, auth, tunnel

CONFIG: Final = Config(
    listen=Listen(port=0),
    control=ControlSettings(port=0),
    relay=RelaySettings(connection_limit=8, buffer_pool=32),
    seed=7,
    tenants=(
        Tenant("tenant-001", tunnel_limit=4, connection_limit=2),
        Tenant("tenant-002", tunnel_limit=1, connection_limit=2, rate=Rate(20, 40)),
        Tenant("acme", tunnel_limit=12),
    ),
)
FAULTS: Final = (
    {
        "name": "third-tunnel",
        "kind": "error",
        "code": "buffer_pool_exhausted",
        "when": {"tenant": "tenant-001", "message": "tunnel_info", "nth": 3},
    },
    {"name": "comma", "kind": "damage-json", "how": "trailing-comma", "when": {"message": "error", "tenant": "acme"}},
    {
        "name": "far",
        "kind": "delay",
        "seconds": 0.25,
        "when": {"tenant": "acme", "message": "tunnel_response", "nth": 2},
    },
    {"name": "late", "kind": "hold", "when": {"message": "heartbeat_response", "tenant": "tenant-002"}},
)


def traffic(relay: Simulator, stack: ExitStack) -> None:
    """Run the conversations of three clients; their connections stay open until `stack` is closed."""
    transports = ("tcp", "tcp", "websocket")
    first, second, third = (stack.enter_context(RawClient(relay.address, each).handshake()) for each in transports)
    third.upgraded()
    conversation = (
        (first, HELLO, auth(), tunnel("rdp")),
        (second, HELLO, auth("acme")),
        (first, tunnel("ssh"), tunnel("files")),
        (second, tunnel("printer", "acme")),
        (third, HELLO, auth("tenant-002", sub="operator")),
        (first, tunnel("files")),
        (second, tunnel("printer", "acme", remote_port=70_000)),
        (third, tunnel("camera", "tenant-002"), tunnel("door", "tenant-002")),
        (second, tunnel("<img src=x onerror=alert(1)>", "acme")),
    )
    for client, *messages in conversation:
        for message in messages:
            client.names(message)
    third.send(BEAT)
    for _ in range(40):
        first.ask(BEAT)


def take(browser: Browser, url: str, scheme: str) -> bytes:
    """Return a PNG picture of the page in a colour scheme."""
    browser.scheme(scheme)
    browser.size(1360, 870)
    browser.go(url)
    browser.until("document.querySelectorAll('#lanes strong').length === 3 && document.querySelectorAll('.bar').length")
    browser.until("[...document.querySelectorAll('.matched')].every((each) => each.textContent !== 'of 0')")
    browser.until("document.querySelectorAll('#kind option').length > 30")
    if scheme == "light":
        browser.click(".arrow.wrong", -2)
    else:
        browser.js("document.getElementById('adding').open = true")
    browser.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    return browser.driver.get_screenshot_as_png()


@contextmanager
def demonstration(loop: LoopThread) -> Iterator[Simulator]:
    """Run a relay with faults and three clients."""
    relay = Simulator(CONFIG)
    loop.run(relay.start())
    for fault in FAULTS:
        relay.controls.add_fault(fault)
    with ExitStack() as stack:
        stack.callback(lambda: loop.run(relay.close()))
        traffic(relay, stack)
        yield relay


def main(folder: Path) -> None:
    """Write both pictures to a folder."""
    loop = LoopThread("relay")
    with closing(loop), opened() as browser, demonstration(loop) as relay:
        for scheme in ("light", "dark"):
            picture = take(browser, str(relay.control_url), scheme)
            (folder / f"page-{scheme}.png").write_bytes(picture)
            print(f"{folder.name}/page-{scheme}.png: {len(picture)} bytes")
        browser.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs")

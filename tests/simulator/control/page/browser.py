"""A real browser that looks at the page, and a relay in a thread of its own for it to look at."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar

from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service

from tests.debian import program
from tests.support.client import AsyncClient

T = TypeVar("T")

PATIENCE: Final = 60
"""Seconds after which something that doesn't show is held not to come."""

_WAIT: Final = """
const done = arguments[0], holds = () => { try { return %s; } catch { return false; } };
const look = () => { const found = holds(); if (found) { watcher.disconnect(); done(found); } };
const watcher = new MutationObserver(look);
watcher.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
look();
"""


class Loop:
    """An event loop in a thread of its own."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, and return what comes of it."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(PATIENCE)


async def leave(wire: AsyncClient) -> None:
    """End a connection, and wait until nothing is left of it."""
    wire.writer.transport.abort()
    with contextlib.suppress(OSError, ssl.SSLError):
        await wire.writer.wait_closed()


class Browser:
    """A window on the page."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def go(self, url: str) -> None:
        """Show a page, and wait until it shows its relay."""
        self.driver.get(url)
        self.until("document.querySelector('.state.serving, .state.draining, dialog[open]')")

    def leave(self) -> None:
        """Show no page any more: what its relay does then is nothing to complain of."""
        self.driver.get("about:blank")
        self.complaints()

    def js(self, expression: str, *arguments: object) -> Any:  # noqa: ANN401 - any JSON value
        """Return what an expression is."""
        return self.driver.execute_script(f"return {expression};", *arguments)

    def until(self, expression: str) -> Any:  # noqa: ANN401 - any JSON value
        """Wait until an expression is true, looking whenever the page changes; return what it is."""
        return self.driver.execute_async_script(_WAIT % expression)

    def until_text(self, selector: str, text: str) -> None:
        """Wait until an element holds a text."""
        self.until(f"document.querySelector({selector!r}).textContent.includes({text!r})")

    def text(self, selector: str) -> str:
        """Return an element's text."""
        return str(self.js(f"document.querySelector({selector!r}).textContent"))

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def focused(self) -> str:
        """Return what the focused element is called."""
        return str(
            self.js(
                "document.activeElement.ariaLabel || document.activeElement.id || document.activeElement.textContent"
            )
        )

    def tab_to(self, name: str, key: str) -> None:
        """Press a key, as many times as are needed, until an element of this id, label or text has the focus."""
        seen: list[str] = []
        while self.focused() != name:
            self.press(key)
            seen.append(self.focused())
            assert len(seen) < 200, f"{name} can't be reached by the keyboard: {seen[:40]}"

    def complaints(self) -> list[str]:
        """Return what the browser complained of since it was asked last: errors and violations."""
        return [str(each["message"]) for each in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def scheme(self, name: str) -> None:
        """Prefer light or dark."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def size(self, width: int, height: int) -> None:
        """Give the window a size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@contextmanager
def opened() -> Iterator[Browser]:
    """Start a headless browser."""
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium", "chromium")
    # As root, and where there is little shared memory, Chromium starts by these only.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver", "chromium-driver")))
    try:
        driver.set_script_timeout(PATIENCE)
        yield Browser(driver)
    finally:
        driver.quit()

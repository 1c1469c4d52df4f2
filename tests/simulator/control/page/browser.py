"""A headless Chromium that shows the control page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service

from tests.support.processes import program

PATIENCE: Final = 60
"""Seconds that a test waits for a change of the page."""

_WAIT: Final = """
const done = arguments[0], holds = () => { try { return %s; } catch { return false; } };
const look = () => { const found = holds(); if (found) { watcher.disconnect(); done(found); } };
const watcher = new MutationObserver(look);
watcher.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
look();
"""


class Browser:
    """A browser window on the page; an arrow is one entry of the transcript."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def go(self, url: str) -> None:
        """Open the page and wait until it shows its relay."""
        self.driver.get(url)
        self.until("document.querySelector('.state.serving, .state.draining, dialog[open]')")

    def leave(self) -> None:
        """Leave the page, so that closing its relay causes no complaint."""
        self.driver.get("about:blank")
        self.complaints()

    def js(self, expression: str, *arguments: object) -> Any:  # noqa: ANN401 - any JSON value
        """Evaluate a JavaScript expression."""
        return self.driver.execute_script(f"return {expression};", *arguments)

    def until(self, expression: str) -> Any:  # noqa: ANN401 - any JSON value
        """Evaluate an expression after each change of the page until it is true; return its value."""
        return self.driver.execute_async_script(_WAIT % expression)

    def until_text(self, selector: str, text: str) -> None:
        """Wait until an element contains a text."""
        self.until(f"document.querySelector({selector!r}).textContent.includes({text!r})")

    def until_arrows(self, number: int) -> list[str]:
        """Wait until the page shows this number of arrows; return their texts."""
        self.until(f"document.querySelectorAll('.arrow').length === {number}")
        texts = self.js("[...document.querySelectorAll('.arrow')].map((arrow) => arrow.textContent.trim())")
        return [str(text) for text in texts]

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        return str(self.js(f"document.querySelector({selector!r}).textContent"))

    def click(self, selector: str, index: int = 0) -> None:
        """Click the nth element of a selector (0-based; negative counts from the last one)."""
        self.js("[...document.querySelectorAll(arguments[0])].at(arguments[1]).click()", selector, index)

    def choose(self, kind: str) -> None:
        """Choose a kind of fault in the form."""
        self.js(
            "(document.getElementById('adding').open = true, document.getElementById('kind').value = arguments[0], "
            "document.getElementById('kind').dispatchEvent(new Event('change')))",
            kind,
        )

    def select(self, list_: str, value: str) -> None:
        """Choose a value of the list with this id."""
        self.js(
            "(document.getElementById(arguments[0]).value = arguments[1], "
            "document.getElementById(arguments[0]).dispatchEvent(new Event('change')))",
            list_,
            value,
        )

    def press(self, *keys: str) -> None:
        """Press keys in the focused element."""
        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def focused(self) -> str:
        """Return the label, id or text of the focused element."""
        focus = "document.activeElement"
        return str(self.js(f"{focus}.ariaLabel || {focus}.id || {focus}.textContent"))

    def tab_to(self, name: str, key: str) -> None:
        """Press a key until the element with this label, id or text has the focus."""
        seen: list[str] = []
        while self.focused() != name:
            self.press(key)
            seen.append(self.focused())
            assert len(seen) < 200, f"the keyboard does not reach {name}: {seen[:40]}"

    def complaints(self) -> list[str]:
        """Return the browser's errors and policy violations since the last call."""
        return [str(each["message"]) for each in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def scheme(self, name: str) -> None:
        """Prefer the light or the dark colour scheme."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def size(self, width: int, height: int) -> None:
        """Resize the window, in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@contextmanager
def opened() -> Iterator[Browser]:
    """Start a headless browser."""
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium", "chromium")
    # Chromium needs these as root and with little shared memory.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver", "chromium-driver")))
    try:
        driver.set_script_timeout(PATIENCE)
        yield Browser(driver)
    finally:
        driver.quit()

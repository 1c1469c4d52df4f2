"""The pictures of the README can be taken in both colour schemes, and every text has enough contrast."""

from __future__ import annotations

import struct

import pytest
from anyio.from_thread import BlockingPortal

from tests.simulator.control.page import screenshots
from tests.simulator.control.page.browser import Browser

# Returns the texts whose contrast with their background is below 4.5 (Source: WCAG 2.2, 1.4.3 and its definition of
# relative luminance).
CONTRAST = """(() => {
  const rgba = (value) => { const [r, g, b, a = 1] = value.match(/[\\d.]+/g).map(Number); return {c: [r, g, b], a}; };
  const light = (c) => c.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = rgba(getComputedStyle(at).backgroundColor);
      if (found.a === 1) return found.c;
      if (found.a > 0) throw new Error('half transparent');
    }
    return null;
  };
  const poor = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility() || element.closest('script, noscript')) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color).c), light(background(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${node.textContent.trim()}: ${ratio.toFixed(2)}`);
  }
  return poor;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures(browser: Browser, loop: BlockingPortal, scheme: str) -> None:
    with screenshots.demonstration(loop) as shown:
        picture = screenshots.take(browser, str(shown.control_url), scheme)
        assert struct.unpack(">II", picture[16:24]) == screenshots.SIZE
        browser.js("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        browser.click("#drain")
        browser.until("document.querySelector('.state.draining')")
        assert browser.js(CONTRAST) == []
        assert browser.js("matchMedia('(prefers-color-scheme: dark)').matches") is (scheme == "dark")
        assert browser.complaints() == []
        browser.leave()

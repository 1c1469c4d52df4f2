"""The control page in a real browser: it shows the traffic, and its controls change the relay."""

from __future__ import annotations

import json
import re
import socket
import ssl

import pytest
from selenium.webdriver import Keys

from cbspec.profile.target import Tenant
from cbspec.redact import has_token
from cbspec_simulator import Config, Simulator
from cbspec_simulator.control.server import ControlServer
from cbspec_simulator.settings.config import ControlSettings, Listen
from cbspec_simulator.testing.thread import LoopThread
from tests.simulator.control.page import screenshots
from tests.simulator.control.page.browser import Browser
from tests.simulator.control.page.conftest import Talk
from tests.support.client import RawClient
from tests.support.messages import BEAT, HELLO, tunnel


def url(relay: Simulator) -> str:
    assert relay.control_url
    return relay.control_url


def test_traffic_is_shown_live(browser: Browser, loop: LoopThread, relay: Simulator, talk: Talk) -> None:
    browser.go(url(relay))
    browser.until("!document.getElementById('empty').hidden")
    wire = talk(relay, tunnel("tunnel_001"), BEAT)
    greeting = [
        "#1 accepted 127.0.0.1",
        "TLSv1.3 TLS_AES_256_GCM_SHA384",
        "hello",
        "hello_response",
        "auth",
        "auth_response user123",
    ]
    tunnels = ["tunnel_info tunnel_001", "tunnel_response tunnel_001"]
    assert browser.until_arrows(10) == [*greeting, *tunnels, "heartbeat", "heartbeat_response"]
    browser.until_text("#connections", "tcp from 127.0.0.1 · authenticated · 1 tunnel: tunnel_001")
    assert browser.text("#lanes strong + .who") == "tenant-001 / user123"
    browser.click("#pause")
    wire.ask(BEAT)
    browser.until_text("#kept", "2 more")
    browser.until_arrows(10)
    browser.click("#pause")
    assert browser.until_arrows(9)[8] == "heartbeat ×2"
    browser.click("#fold")
    browser.until_arrows(12)
    for filter_, value, arrows in (("type", "auth", 2), ("type", "connections", 2), ("type", "", 12)):
        browser.select(filter_, value)
        browser.until_arrows(arrows)
        assert ("filtered" in browser.text("#kept")) == (arrows < 12)
    browser.select("tenant", "tenant-002")
    browser.until_arrows(0)
    browser.select("tenant", "tenant-001")
    browser.until_arrows(12)
    wire.ask(tunnel(remote_port=0))
    browser.click("#wrong-only")
    assert browser.until_arrows(2) == [
        "tunnel_info t · remote_port 0: the specification has a whole number from 1 to 65535",
        "error invalid_tunnel_info",
    ]
    browser.click("#wrong-only")
    wire.socket.close()
    browser.until("document.querySelector('.arrow.ended')")
    browser.until("document.getElementById('no-connections').hidden === false")
    assert browser.text(".lane-head .by") == "tcp, ended"


def test_earlier_traffic_is_shown_and_the_keyboard_opens_a_message(
    browser: Browser, relay: Simulator, talk: Talk
) -> None:
    talk(relay, tunnel("tunnel_001"), tunnel(remote_port=0))
    browser.go(url(relay))
    browser.until_arrows(10)
    assert browser.text(".arrow.answer.wrong").strip() == "error invalid_tunnel_info"
    browser.click(".arrow", 4)
    assert '"auth"' in browser.text("#raw")
    assert not has_token(browser.text("#detail"))
    browser.press(Keys.ESCAPE)
    browser.tab_to("fold", Keys.TAB)
    browser.press(Keys.TAB, Keys.UP, Keys.UP, Keys.UP, Keys.ENTER)
    browser.until("!document.getElementById('detail').hidden")
    shown = json.loads(browser.text("#raw"))
    assert (shown["type"], shown["tunnel_id"]) == ("tunnel_info", "tunnel_001")
    assert browser.text("#detail-title") == "client to relay: tunnel_info"
    browser.press(Keys.DOWN)
    browser.until_text("#detail-title", "relay to client: tunnel_response")
    browser.press(Keys.ESCAPE)
    browser.until("document.getElementById('detail').hidden")
    assert "tunnel_response" in browser.focused()
    browser.press(Keys.HOME)
    assert "accepted" in browser.focused()


def test_a_fault_is_added_and_removed_by_the_keyboard(browser: Browser, relay: Simulator, talk: Talk) -> None:
    browser.go(url(relay))
    browser.until("document.querySelectorAll('#kind option').length > 30")
    browser.tab_to("Add a fault", Keys.TAB)
    browser.press(Keys.ENTER)
    browser.tab_to("kind", Keys.TAB)
    assert browser.js("document.activeElement.value") == "error"
    for field, value in (("param-code", "data_transfer_failed"), ("when-message", "tunnel_info"), ("when-nth", "2")):
        browser.tab_to(field, Keys.TAB)
        browser.press(value)
    browser.press(Keys.ENTER)
    browser.until_text("#said", "fault-1 was added")
    browser.until_text("#faults", "code data_transfer_failed")
    assert relay.controls.fault("fault-1")["when"] == {"message": "tunnel_info", "nth": 2}

    talk(relay, tunnel("1"), tunnel("2"), tunnel("3"))
    assert browser.until_arrows(14)[10:13] == ["error fault-1", "error data_transfer_failed", "tunnel_info 3"]
    browser.until_text("#faults .strikes", "1 strike")
    browser.until_text("#faults .matched", "of 3")

    browser.tab_to("Remove fault-1", Keys.SHIFT + Keys.TAB)
    browser.press(Keys.ENTER)
    browser.until_text("#said", "fault-1 was removed")
    browser.until("document.activeElement.id === 'faults-title'")
    assert relay.controls.faults() == []


def test_forms_have_labels_refuse_wrong_faults_and_accept_json(browser: Browser, relay: Simulator) -> None:
    browser.go(url(relay))
    browser.until("document.querySelectorAll('#kind option').length > 30")
    submit = "document.getElementById('add').requestSubmit()"
    inputs = "[...document.querySelectorAll('#params [data-name]')]"
    for kind in browser.js("[...document.querySelectorAll('#kind option')].map((option) => option.value)")[:-1]:
        browser.choose(kind)
        assert browser.js(f"{inputs}.every((input) => document.querySelector(`label[for=${{input.id}}]`))"), kind
        assert browser.js(f"{inputs}.at(-1).dataset.name") == "name"
    browser.choose("split")
    for value, problem in (("x", "at: must be JSON, such as [1, 20]"), ("[0]", "at[0]: ")):
        browser.js("document.getElementById('param-at').value = arguments[0]", value)
        browser.js(submit)
        browser.until_text("#refused", problem)
    browser.until("!document.getElementById('refused').textContent.includes('JSON, such as')")
    browser.choose("error")
    browser.select("param-code", " ")  # another code than the standard ones
    assert browser.js("[document.activeElement.id, document.activeElement.type]") == ["param-code", "text"]
    browser.choose("written as JSON")
    browser.js(submit)
    browser.until_text("#faults", "drop → pass")
    assert browser.text("#refused") == ""
    assert relay.controls.fault("fault-1")["sequence"] == [{"kind": "drop"}, {"kind": "pass"}]
    assert browser.complaints()[-1].endswith("422 (Unprocessable Entity)")  # logged by the browser


def test_usage_bars_follow_the_relay(browser: Browser, loop: LoopThread, relay: Simulator, talk: Talk) -> None:
    relay.controls.limit_tenant("tenant-001", {"tunnel_limit": 2, "connection_limit": 4})
    browser.go(url(relay))
    browser.until("!document.getElementById('idle').hidden")
    browser.click("#idle")
    meter = "document.querySelector('[aria-label=\"{} of tenant-001\"]')"
    tunnels, connections = meter.format("tunnels"), meter.format("connections")
    browser.until(f"{tunnels}.ariaValueMax === '2' && {tunnels}.ariaValueNow === '0'")
    wire = talk(relay, tunnel("1"))
    browser.until(f"{tunnels}.ariaValueNow === '1' && {connections}.ariaValueNow === '1'")
    assert browser.js(f"{tunnels}.firstChild.style.width") == "50%"
    wire.ask(tunnel("2"))
    browser.until(f"{tunnels}.className.includes('full')")
    wire.socket.close()
    browser.until(f"{tunnels}.ariaValueNow === '0'")
    relay.controls.limit_tenant("tenant-001", {"tunnel_limit": None})
    browser.until(f"{tunnels}.hidden")
    browser.until_text("#tenants", "0 / ∞")


def test_the_controls_of_the_relay(browser: Browser, loop: LoopThread, relay: Simulator, talk: Talk) -> None:
    relay.controls.add_fault({"kind": "hold", "name": "stop.it", "when": {"message": "heartbeat_response"}})
    relay.controls.add_fault({"kind": "latency", "seconds": 0.0})
    browser.go(url(relay))
    wire = talk(relay)
    wire.send(BEAT)
    browser.until_text("#faults .strikes", "1 strike")
    assert browser.js("document.querySelectorAll('#faults button:not([hidden])').length") == 3
    browser.click('[aria-label="Release stop.it"]')
    assert wire.line() == b'{"type":"heartbeat_response"}\n'
    browser.until_text("#said", "stop.it")
    browser.until("document.querySelector('[aria-label=\"Drop connection 1\"]')")
    browser.tab_to("Drop connection 1", Keys.TAB)
    browser.press(Keys.ENTER)
    browser.until_text("#said", "Connection 1 was dropped.")
    browser.until("document.activeElement.id === 'connections-title'")
    assert (wire.line(), wire.ended) == (b"", "reset")
    browser.until_text(".arrow.ended", "ended: ")
    browser.tab_to("drain", Keys.TAB)
    browser.press(Keys.SPACE)
    state = "document.querySelector('.state.{}') && document.getElementById('drain').ariaChecked === '{}'"
    browser.until(state.format("draining", "true"))
    assert relay.controls.state()["status"] == "draining"
    browser.tab_to("by", Keys.TAB)
    browser.press(Keys.ENTER)
    browser.until_text("#clock", "+1 h")
    assert relay.controls.time()["ahead"] == 3600
    browser.tab_to("reset", Keys.SHIFT + Keys.TAB)
    browser.press(Keys.ENTER)
    browser.until(state.format("serving", "false"))


TIMES = re.compile(r"decided at [\d:.]+ \([\d.]+ m?s after the request\), sent at [\d:.]+ \([\d.]+ m?s later")


def test_the_times_of_a_late_answer_are_shown(browser: Browser, loop: LoopThread, relay: Simulator, talk: Talk) -> None:
    hold = {"kind": "hold", "name": "late", "when": {"message": "tunnel_response"}}
    loop.call(lambda: relay.controls.add_fault(hold))
    browser.go(url(relay))
    wire = talk(relay)
    wire.send(tunnel("t"))
    browser.until_text(".arrow.late", "not sent yet: tunnel_response t")
    loop.call(lambda: relay.controls.release("late"))
    assert b"tunnel_response" in wire.line()
    browser.until_text(".arrow.late", "decided: tunnel_response t")
    assert browser.text(".arrow.sent").strip() == "sent: tunnel_response t"
    assert re.fullmatch(r"\+[\d.]+ m?s", browser.text(".time.after .took"))
    for arrow in (".arrow.late", ".arrow.sent"):
        browser.click(arrow)
        assert TIMES.search(browser.text("#detail"))


def test_the_history_is_there_when_the_page_appears(browser: Browser, relay: Simulator, talk: Talk) -> None:
    talk(relay, tunnel("tunnel_001"))
    note = """new MutationObserver(() => {
      if (document.documentElement?.className === '') window.atFirst ??= document.querySelectorAll('.arrow').length;
    }).observe(document, {subtree: true, attributes: true});"""
    added = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": note})
    browser.go(url(relay))
    assert browser.until("window.atFirst") == 8
    browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_an_ended_connection_leaves_its_column_to_the_next(browser: Browser, relay: Simulator, talk: Talk) -> None:
    browser.go(url(relay))
    heads = "[...document.querySelectorAll('#lanes strong')].map((each) => each.textContent).join()"
    for number in range(1, 4):
        wire = talk(relay)
        browser.until(f"{heads} === '#{number}'")
        wire.socket.close()
        browser.until(f"document.querySelectorAll('.arrow.ended').length === {number}")
    talk(relay)
    talk(relay)
    browser.until(f"{heads} === '#4,#5'")
    assert browser.until_arrows(33)[7] == "#2 accepted 127.0.0.1"


def test_idle_tenants_fold(browser: Browser, loop: LoopThread, talk: Talk) -> None:
    tenants = tuple(Tenant(f"tenant-00{number}") for number in range(1, 7))
    simulator = Simulator(Config(listen=Listen(port=0), control=ControlSettings(port=0), tenants=tenants))
    loop.run(simulator.start())
    try:
        talk(simulator)
        browser.go(url(simulator))
        rows = "[...document.querySelectorAll('#tenants .name')].map((each) => each.textContent).join()"
        browser.until(f"{rows} === 'tenant-001,the whole relay'")
        assert browser.text("#idle") == "5 idle tenants"
        browser.tab_to("idle", Keys.TAB)
        browser.press(Keys.ENTER)
        browser.until("document.querySelectorAll('#tenants tr').length === 7")
        browser.leave()
    finally:
        loop.run(simulator.close())


def test_connections_without_messages_are_shown(browser: Browser, loop: LoopThread, relay: Simulator) -> None:
    browser.go(url(relay))
    with socket.create_connection(relay.address) as plain:
        plain.sendall(b'{"type":"auth","token":"eyJhbGciOiJub25lIn0')
        plain.shutdown(socket.SHUT_WR)
        browser.until("document.querySelector('.arrow.not_secured')")
    rejected = RawClient(relay.address, trust=ssl.create_default_context())
    with rejected, pytest.raises(ssl.SSLCertVerificationError):
        rejected.handshake()
    browser.until("document.querySelectorAll('.arrow.not_secured').length === 2")
    browser.until("document.querySelectorAll('.arrow.ended').length === 2")
    plain_text, alert = browser.js(
        "[...document.querySelectorAll('.arrow.not_secured')].map((each) => each.textContent)"
    )
    assert "the client sent plain text instead of TLS" in plain_text
    assert '"token":"<token>"' in plain_text
    assert "the client sent the alert unknown_ca" in alert
    browser.until("document.querySelector('.arrow.ended').textContent.includes('by the relay')")
    assert browser.js("[...document.querySelectorAll('.by')].map((each) => each.textContent)") == ["no TLS, ended"]
    with socket.create_connection(relay.address):  # sends nothing
        browser.until("document.querySelectorAll('.arrow.accepted').length === 3")
    browser.until("document.querySelectorAll('.arrow.ended').length === 3")
    loop.call(lambda: relay.controls.add_fault({"kind": "hold", "name": "late", "when": {"message": "hello_response"}}))
    browser.until_text(".arrow.control", "add ")
    with RawClient(relay.address).handshake() as held:
        held.send(HELLO)
        browser.until_text("#faults .strikes", "1 strike")
        loop.call(lambda: relay.controls.remove_fault("late"))
        browser.until_text(".arrow.sent", "sent: hello_response")


HOSTILE = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"


def test_hostile_text_stays_text(browser: Browser, loop: LoopThread, relay: Simulator, talk: Talk) -> None:
    relay.controls.add_fault({"kind": "error", "code": HOSTILE, "when": {"nth": 4}})
    browser.go(url(relay))
    wire = talk(relay, tunnel(HOSTILE), tunnel("x"))
    wire.ask(HELLO)
    browser.until("document.querySelectorAll('.arrow').length >= 10")
    browser.until_text("#connections", HOSTILE)
    browser.until_text("#faults", HOSTILE)
    for arrow in (*range(browser.js("document.querySelectorAll('.arrow').length")), 7):
        browser.click(".arrow", arrow)
    assert HOSTILE in browser.text("#raw")
    assert browser.js("document.querySelectorAll('img, body script').length") == 0
    assert browser.js("document.title") == "cbspec simulator"
    browser.click("#faults li button:last-child")
    browser.until_text("#said", "fault-1 was removed.")
    error = browser.js("(() => { try { document.body.innerHTML = 'x'; } catch (error) { return error.name; } })()")
    assert error == "TypeError"
    assert any("TrustedHTML" in each for each in browser.complaints())


def test_memory_is_bounded(browser: Browser, loop: LoopThread, relay: Simulator, talk: Talk) -> None:
    relay.controls.add_fault({"kind": "oversize", "bytes": 50_000, "when": {"message": "tunnel_response"}})
    browser.go(url(relay))
    browser.click("#fold")
    wire = talk(relay, tunnel("t"), *[BEAT] * 300)
    browser.until_text("#kept", "211 earlier")
    browser.until_arrows(400)
    browser.click("#clear")
    wire.ask(tunnel("u"))
    assert browser.until_arrows(3)[2] == "tunnel_response … (50069 bytes)"
    browser.click(".arrow", 2)
    assert len(browser.text("#raw")) < 5000


def test_one_of_many_connections_is_selected(browser: Browser, relay: Simulator, talk: Talk) -> None:
    browser.go(url(relay))
    for number in range(7):
        talk(relay, tunnel(f"of-{number + 1}"))
    browser.until_text("#kept", "of other connections")
    browser.until("[...document.querySelectorAll('#lanes strong')].at(-1).textContent === '#7'")
    browser.until("document.querySelector('[aria-label=\"Show connection 2\"]')")
    browser.click('[aria-label="Show connection 2"]')
    browser.until("document.querySelectorAll('#lanes strong').length === 1")
    assert browser.until_arrows(8)[6:] == ["tunnel_info of-2", "tunnel_response of-2"]


def test_the_page_reconnects_to_its_relay_or_to_another(
    browser: Browser, loop: LoopThread, relay: Simulator, talk: Talk
) -> None:
    async def serve(simulator: Simulator, port: int) -> ControlServer:
        return ControlServer(simulator.controls, "127.0.0.1", port, None)

    server = loop.run(serve(relay, 0))
    port = int(server.url.rpartition(":")[2])
    browser.go(server.url)
    wire = talk(relay)
    browser.until_arrows(6)
    loop.run(server.close())
    browser.until_text("#state", "not reachable")
    wire.ask(BEAT)
    server = loop.run(serve(relay, port))
    browser.until_text("#said", "The relay is reachable again.")
    browser.until_arrows(8)
    assert browser.text("#kept") == ""
    loop.run(server.close())
    browser.until_text("#state", "not reachable")
    other = Simulator(Config(listen=Listen(port=0)))
    loop.run(other.start())
    server = loop.run(serve(other, port))
    browser.until_text("#said", "nother relay")
    talk(other, tunnel("anew"))
    assert browser.until_arrows(8)[-1] == "tunnel_response anew"
    assert all("ERR_" in each for each in browser.complaints())  # connection errors, logged by the browser
    browser.leave()
    for each in (server, other):
        loop.run(each.close())


def test_the_token_stays_in_the_tab(browser: Browser, loop: LoopThread, talk: Talk) -> None:
    simulator = Simulator(Config(listen=Listen(port=0), control=ControlSettings(port=0, token="let-me-in")))
    loop.run(simulator.start())
    try:
        browser.go(url(simulator))
        browser.until("document.getElementById('ask').open")
        browser.press("wrong", Keys.ENTER)
        browser.until("document.getElementById('token-wrong').textContent")
        browser.press(Keys.ESCAPE, "let-me-in", Keys.ENTER)
        browser.until("document.querySelector('.state.serving')")
        talk(simulator)
        browser.until_arrows(6)
        assert browser.js("Object.values(sessionStorage)") == ["let-me-in"]
        assert browser.js("[localStorage.length, document.cookie, location.href]") == [0, "", f"{url(simulator)}/"]
        assert "let-me-in" not in browser.js("document.documentElement.outerHTML")
        assert all("401" in each for each in browser.complaints())  # logged by the browser
        browser.leave()
    finally:
        loop.run(simulator.close())


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
def test_every_text_has_enough_contrast(browser: Browser, loop: LoopThread, scheme: str) -> None:
    with screenshots.demonstration(loop) as shown:
        assert screenshots.take(browser, url(shown), scheme)
        browser.js("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        browser.click("#drain")
        browser.until("document.querySelector('.state.draining')")
        assert browser.js(CONTRAST) == []
        browser.size(420, 860)
        controls = "[...document.querySelectorAll('button:not(.arrow), input, select')]"
        assert browser.js(f"{controls}.filter((each) => each.getClientRects()[0]?.right > 420).length") == 0
        assert browser.js("document.documentElement.scrollWidth") <= 420
        assert browser.js("matchMedia('(prefers-color-scheme: dark)').matches") is (scheme == "dark")
        browser.leave()

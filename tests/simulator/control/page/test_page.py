"""The page in a real browser: what it shows follows what happens, and what is switched on it happens."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from selenium.webdriver import Keys

from cbspec_simulator import Config, Simulator
from cbspec_simulator.control.page.routes import FILES
from cbspec_simulator.control.server import ControlServer
from cbspec_simulator.settings.config import ControlRules, Listen
from tests.simulator.control.page.browser import Browser, Loop, leave
from tests.simulator.control.page.conftest import Talk
from tests.support.client import BEAT, HELLO, tunnel

ARROWS = "[...document.querySelectorAll('.arrow')].map((arrow) => arrow.textContent.trim())"


def url(relay: Simulator) -> str:
    assert relay.control_url
    return relay.control_url


def test_traffic_is_shown_as_it_happens(browser: Browser, loop: Loop, relay: Simulator, talk: Talk) -> None:
    browser.go(url(relay))
    browser.until("!document.getElementById('empty').hidden")
    wire = talk(relay, tunnel("tunnel_001"), BEAT)
    browser.until("document.querySelectorAll('.arrow').length === 9")
    assert browser.js(ARROWS) == [
        "connected 127.0.0.1",
        "hello",
        "hello_response",
        "auth",
        "auth_response user123",
        "tunnel_info tunnel_001",
        "tunnel_response tunnel_001",
        "heartbeat",
        "heartbeat_response",
    ]
    browser.until_text("#connections", "tcp from 127.0.0.1 · authenticated · 1 tunnel: tunnel_001")
    assert browser.text("#lanes strong + .who") == "tenant-001 / user123"
    loop.run(leave(wire))
    browser.until("document.querySelector('.arrow.ended')")
    browser.until("document.getElementById('no-connections').hidden === false")
    assert browser.text(".lane-head .by") == "tcp, ended"


def test_what_was_said_before_is_shown_and_errors_are_marked(
    browser: Browser, loop: Loop, relay: Simulator, talk: Talk
) -> None:
    talk(relay, tunnel(port=0))
    browser.go(url(relay))
    browser.until("document.querySelector('.arrow.wrong')")
    assert browser.text(".arrow.wrong").strip() == "error invalid_tunnel_info"
    assert browser.js("document.querySelectorAll('.arrow').length") == 7


def test_the_keyboard_shows_a_text(browser: Browser, loop: Loop, relay: Simulator, talk: Talk) -> None:
    talk(relay, tunnel("tunnel_001"))
    browser.go(url(relay))
    browser.until("document.querySelectorAll('.arrow').length === 7")
    browser.tab_to("clear", Keys.TAB)
    browser.press(Keys.TAB, Keys.UP, Keys.ENTER)
    browser.until("!document.getElementById('detail').hidden")
    said = json.loads(browser.text("#raw"))
    assert (said["type"], said["tunnel_id"]) == ("tunnel_info", "tunnel_001")
    assert browser.text("#detail-title") == "client to relay: tunnel_info"
    browser.press(Keys.DOWN)
    browser.until_text("#detail-title", "relay to client: tunnel_response")
    browser.press(Keys.ESCAPE)
    browser.until("document.getElementById('detail').hidden")
    assert "tunnel_response" in browser.focused()
    browser.press(Keys.HOME)
    assert "connected" in browser.focused()


def test_a_token_is_never_shown(browser: Browser, loop: Loop, relay: Simulator, talk: Talk) -> None:
    talk(relay)
    browser.go(url(relay))
    browser.until("document.querySelectorAll('.arrow').length === 5")
    browser.js("document.querySelectorAll('.arrow')[3].click()")
    assert "eyJ" not in browser.text("#detail")
    assert '"auth"' in browser.text("#raw")


def test_a_fault_is_added_by_the_keyboard_and_strikes_and_is_removed(
    browser: Browser, relay: Simulator, talk: Talk
) -> None:
    browser.go(url(relay))
    browser.until("document.querySelectorAll('#kind option').length > 30")
    browser.tab_to("Add a fault", Keys.TAB)
    browser.press(Keys.ENTER)
    browser.tab_to("kind", Keys.TAB)
    assert browser.js("document.activeElement.value") == "error"
    browser.tab_to("param-code", Keys.TAB)
    browser.press("data_transfer_failed")
    browser.tab_to("when-message", Keys.TAB)
    browser.press("tunnel_info")
    browser.tab_to("when-nth", Keys.TAB)
    browser.press("2", Keys.ENTER)
    browser.until_text("#said", "fault-1 was added")
    browser.until_text("#faults", "code data_transfer_failed")
    assert relay.controls.fault("fault-1")["when"] == {"message": "tunnel_info", "nth": 2}

    talk(relay, tunnel("1"), tunnel("2"), tunnel("3"))
    browser.until("document.querySelectorAll('.arrow').length === 12")
    assert browser.js(ARROWS)[8:11] == ["error fault-1", "error data_transfer_failed", "tunnel_info 3"]
    browser.until_text("#faults .strikes", "1 strike")
    browser.until_text("#faults .matched", "of 3")

    browser.tab_to("Remove fault-1", Keys.SHIFT + Keys.TAB)
    browser.press(Keys.ENTER)
    browser.until_text("#said", "fault-1 was removed")
    browser.until("document.activeElement.id === 'faults-title'")
    assert relay.controls.faults() == []


def test_what_is_held_is_released(browser: Browser, loop: Loop, relay: Simulator, talk: Talk) -> None:
    relay.controls.add_fault({"kind": "hold", "name": "stop.it", "when": {"message": "heartbeat_response"}})
    relay.controls.add_fault({"kind": "latency", "seconds": 0.0})
    browser.go(url(relay))
    wire = talk(relay)

    async def beat() -> None:
        wire.write(BEAT)

    loop.run(beat())
    browser.until_text("#faults .strikes", "1 strike")
    assert browser.js("document.querySelectorAll('#faults button:not([hidden])').length") == 3
    browser.js("document.querySelector('[aria-label=\"Release stop.it\"]').click()")
    assert loop.run(wire.line()) == b'{"type":"heartbeat_response"}\n'
    browser.until_text("#said", "What stop.it held back was let go.")


def test_mistakes_are_said_and_any_fault_can_be_written(browser: Browser, relay: Simulator) -> None:
    browser.go(url(relay))
    browser.until("document.querySelectorAll('#kind option').length > 30")
    choose = "(document.getElementById('adding').open = true, document.getElementById('kind').value = {!r}, \
document.getElementById('kind').dispatchEvent(new Event('change')))"
    submit = "document.getElementById('add').requestSubmit()"
    browser.js(choose.format("split"))
    browser.js("document.getElementById('param-at').value = 'x'")
    browser.js(submit)
    browser.until_text("#refused", "at: must be JSON, such as [1, 20]")
    browser.js("document.getElementById('param-at').value = '[0]'")
    browser.js(submit)
    browser.until_text("#refused", "at: must be an array of whole numbers")
    browser.js(choose.format("written as JSON"))
    browser.js(submit)
    browser.until_text("#faults", "drop → pass")
    assert browser.text("#refused") == ""
    assert relay.controls.fault("fault-1")["sequence"] == [{"kind": "drop"}, {"kind": "pass"}]
    assert browser.complaints()[-1].endswith("422 (Unprocessable Entity)")  # the browser's own line


def test_every_kind_has_a_form_and_its_defaults_are_taken(browser: Browser, relay: Simulator) -> None:
    browser.go(url(relay))
    browser.until("document.querySelectorAll('#kind option').length > 30")
    schema = "[...document.querySelectorAll('#params [data-name]')]"
    kinds = browser.js("[...document.querySelectorAll('#kind option')].map((option) => option.value)")
    for kind in kinds[:-1]:
        browser.js(
            "(document.getElementById('kind').value = arguments[0], "
            "document.getElementById('kind').dispatchEvent(new Event('change')))",
            kind,
        )
        assert browser.js(f"{schema}.every((input) => document.querySelector(`label[for=${{input.id}}]`))"), kind
        assert browser.js(f"{schema}.at(-1).dataset.name") == "name"


def test_bars_follow(browser: Browser, loop: Loop, relay: Simulator, talk: Talk) -> None:
    relay.controls.limit_tenant("tenant-001", {"tunnel_limit": 2, "connection_limit": 4})
    browser.go(url(relay))
    meter = "document.querySelector('[aria-label=\"{} of tenant-001\"]')"
    tunnels, connections = meter.format("tunnels"), meter.format("connections")
    browser.until(f"{tunnels}.ariaValueMax === '2' && {tunnels}.ariaValueNow === '0'")
    wire = talk(relay, tunnel("1"))
    browser.until(f"{tunnels}.ariaValueNow === '1' && {connections}.ariaValueNow === '1'")
    assert browser.js(f"{tunnels}.firstChild.style.width") == "50%"
    loop.run(wire.ask(tunnel("2")))
    browser.until(f"{tunnels}.className.includes('full')")
    loop.run(leave(wire))
    browser.until(f"{tunnels}.ariaValueNow === '0'")
    relay.controls.limit_tenant("tenant-001", {"tunnel_limit": None})
    browser.until(f"{tunnels}.hidden")


def test_the_switches(browser: Browser, loop: Loop, relay: Simulator, talk: Talk) -> None:
    browser.go(url(relay))
    wire = talk(relay)
    browser.until("document.querySelector('[aria-label=\"Drop connection 1\"]')")
    browser.tab_to("Drop connection 1", Keys.TAB)
    browser.press(Keys.ENTER)
    browser.until_text("#said", "Connection 1 was dropped.")
    browser.until("document.activeElement.id === 'connections-title'")
    with pytest.raises(ConnectionResetError):
        loop.run(wire.rest())
    browser.until_text(".arrow.ended", "ended: ")
    browser.tab_to("drain", Keys.TAB)
    browser.press(Keys.SPACE)
    browser.until(
        "document.querySelector('.state.draining') && document.getElementById('drain').ariaChecked === 'true'"
    )
    assert relay.controls.state()["status"] == "draining"
    browser.tab_to("by", Keys.TAB)
    browser.press(Keys.ENTER)
    browser.until_text("#clock", "+1 h")
    assert relay.controls.time()["ahead"] == 3600
    browser.tab_to("reset", Keys.TAB)
    browser.press(Keys.ENTER)
    browser.until(
        "document.querySelector('.state.serving') && document.getElementById('drain').ariaChecked === 'false'"
    )


HOSTILE = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"


def test_hostile_text_stays_text(browser: Browser, loop: Loop, relay: Simulator, talk: Talk) -> None:
    relay.controls.add_fault({"kind": "error", "code": HOSTILE, "when": {"nth": 4}})
    browser.go(url(relay))
    wire = talk(relay, tunnel(HOSTILE), tunnel("x"))
    loop.run(wire.ask(HELLO))
    browser.until("document.querySelectorAll('.arrow').length >= 10")
    browser.until_text("#connections", HOSTILE)
    browser.until_text("#faults", HOSTILE)
    for arrow in range(browser.js("document.querySelectorAll('.arrow').length")):
        browser.js("document.querySelectorAll('.arrow')[arguments[0]].click()", arrow)
    browser.js("document.querySelectorAll('.arrow')[5].click()")
    assert HOSTILE in browser.text("#raw")
    assert browser.js("document.querySelectorAll('img, body script').length") == 0
    assert browser.js("document.title") == "cbspec simulator"
    browser.js("document.querySelector('#faults li button:last-child').click()")
    browser.until_text("#said", "fault-1 was removed.")


def test_html_is_no_way_in(browser: Browser, relay: Simulator) -> None:
    browser.go(url(relay))
    said = browser.js("(() => { try { document.body.innerHTML = 'x'; } catch (error) { return error.name; } })()")
    assert said == "TypeError"
    assert any("TrustedHTML" in each for each in browser.complaints())


def test_it_asks_nobody_else(browser: Browser, loop: Loop, relay: Simulator, talk: Talk) -> None:
    browser.go(url(relay))
    talk(relay)
    browser.until("document.querySelectorAll('.arrow').length === 5")
    asked = browser.js("performance.getEntriesByType('resource').map((each) => each.name)")
    assert all(each.startswith(f"{url(relay)}/") for each in asked)
    assert {f"{url(relay)}{path}" for path in FILES} - {f"{url(relay)}/", f"{url(relay)}/page/icon.svg"} <= set(asked)


def test_memory_is_bounded(browser: Browser, loop: Loop, relay: Simulator, talk: Talk) -> None:
    relay.controls.add_fault({"kind": "oversize", "bytes": 50_000, "when": {"message": "tunnel_response"}})
    browser.go(url(relay))
    wire = talk(relay, tunnel("t"), *[BEAT] * 300)
    browser.until_text("#kept", "208 earlier ones left out")
    assert browser.js("document.querySelectorAll('.arrow').length") == 400
    browser.js("document.getElementById('clear').click()")
    loop.run(wire.ask(tunnel("u")))
    browser.until("document.querySelectorAll('.arrow').length === 3")
    browser.js("document.querySelectorAll('.arrow')[2].click()")
    assert len(browser.text("#raw")) < 5000
    assert browser.js(ARROWS)[2] == "tunnel_response … (50069 bytes)"


def test_it_pauses(browser: Browser, loop: Loop, relay: Simulator, talk: Talk) -> None:
    browser.go(url(relay))
    wire = talk(relay)
    browser.until("document.querySelectorAll('.arrow').length === 5")
    browser.js("document.getElementById('pause').click()")
    loop.run(wire.ask(BEAT))
    browser.until_text("#kept", "2 more came meanwhile")
    assert browser.js("document.querySelectorAll('.arrow').length") == 5
    browser.js("document.getElementById('pause').click()")
    browser.until("document.querySelectorAll('.arrow').length === 7")
    browser.js("document.getElementById('heartbeats').click()")
    browser.until("document.querySelectorAll('.arrow').length === 5")


def test_one_of_many_connections_is_chosen(browser: Browser, loop: Loop, relay: Simulator, talk: Talk) -> None:
    browser.go(url(relay))
    for number in range(7):
        talk(relay, tunnel(f"of-{number + 1}"))
    browser.until_text("#kept", "of other connections not shown")
    assert browser.js("[...document.querySelectorAll('#lanes strong')].map((each) => each.textContent)")[-1] == "#7"
    browser.until("document.querySelector('[aria-label=\"Show connection 2\"]')")
    browser.js("document.querySelector('[aria-label=\"Show connection 2\"]').click()")
    browser.until("document.querySelectorAll('#lanes strong').length === 1")
    assert browser.js(ARROWS)[5:] == ["tunnel_info of-2", "tunnel_response of-2"]


def test_a_relay_that_ends_and_comes_back(browser: Browser, loop: Loop, relay: Simulator, talk: Talk) -> None:
    browser.go(url(relay))
    talk(relay)
    browser.until("document.querySelectorAll('.arrow').length === 5")
    port = int(url(relay).rpartition(":")[2])
    loop.run(relay.close())
    browser.until_text("#state", "not reachable")
    browser.until_text("#said", "this page goes on as soon as it is back")
    again = Simulator(replace(relay.config, control=replace(relay.config.control, port=port)))
    loop.run(again.start())
    try:
        browser.until_text("#said", "Another relay began")
        browser.until_text("#state", "serving")
        talk(again, tunnel("anew"))
        browser.until("document.querySelectorAll('.arrow').length === 7")
        assert browser.js(ARROWS)[-1] == "tunnel_response anew"
        assert all("ERR_" in each for each in browser.complaints())  # the browser's own lines on a relay that is gone
        browser.leave()
    finally:
        loop.run(again.close())


def test_what_was_said_meanwhile_is_shown_when_the_link_is_back(
    browser: Browser, loop: Loop, relay: Simulator, talk: Talk
) -> None:
    async def serve(port: int) -> ControlServer:
        return ControlServer(relay.controls, "127.0.0.1", port, None)

    server = loop.run(serve(0))
    port = int(server.url.rpartition(":")[2])
    browser.go(server.url)
    wire = talk(relay)
    browser.until("document.querySelectorAll('.arrow').length === 5")
    loop.run(server.close())
    browser.until_text("#state", "not reachable")
    loop.run(wire.ask(BEAT))
    again = loop.run(serve(port))
    browser.until_text("#said", "The relay is back.")
    browser.until("document.querySelectorAll('.arrow').length === 7")
    loop.run(wire.ask(tunnel("t")))
    browser.until("document.querySelectorAll('.arrow').length === 9")
    assert browser.text("#kept") == ""
    assert all("ERR_" in each for each in browser.complaints())  # the browser's own lines on a relay that is gone
    browser.leave()
    loop.run(again.close())


def test_connections_that_never_spoke_leave_room_for_those_that_do(
    browser: Browser, relay: Simulator, talk: Talk
) -> None:
    talk(relay)
    relay.controls.add_fault({"kind": "reset", "when": {"direction": "connect", "times": 5}})
    for _ in range(5):
        with pytest.raises(ConnectionError):
            talk(relay)
    browser.go(url(relay))
    browser.until("document.querySelectorAll('.arrow.fault').length > 0")
    browser.until("document.querySelectorAll('.arrow.answer').length === 2")
    assert browser.text("#lanes strong") == "#1"
    assert browser.text(".lane-head:last-child .by") == "ended"


def test_a_token_is_asked_for_and_kept_in_the_tab(browser: Browser, loop: Loop, talk: Talk) -> None:
    simulator = Simulator(Config(listen=Listen(port=0), control=ControlRules(port=0, token="let-me-in")))
    loop.run(simulator.start())
    try:
        browser.go(url(simulator))
        browser.until("document.getElementById('ask').open")
        browser.press("wrong", Keys.ENTER)
        browser.until_text("#token-wrong", "That isn't the token.")
        browser.press(Keys.ESCAPE, "let-me-in", Keys.ENTER)
        browser.until("document.querySelector('.state.serving')")
        talk(simulator)
        browser.until("document.querySelectorAll('.arrow').length === 5")
        assert browser.js("Object.values(sessionStorage)") == ["let-me-in"]
        assert browser.js("[localStorage.length, document.cookie, location.href]") == [0, "", f"{url(simulator)}/"]
        assert "let-me-in" not in browser.js("document.documentElement.outerHTML")
        assert all("401" in each for each in browser.complaints())  # the browser's own lines, again
        browser.leave()
    finally:
        loop.run(simulator.close())

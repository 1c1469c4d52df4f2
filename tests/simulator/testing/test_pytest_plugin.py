"""The pytest plugin, in the project of a client's author."""

from __future__ import annotations

from collections.abc import Callable

import pytest

# Each run in this process forgets the modules that it imported, and cryptography can't be imported twice.
import cbspec_simulator.testing.relay  # noqa: F401

pytest_plugins = ("pytester",)

CLIENT = """
import pytest
from tests.support.client import RawClient
from tests.support.messages import HELLO


class Client(RawClient):
    def hello(self):
        return self.name(HELLO)


@pytest.fixture
def connect():
    clients = []
    yield lambda relay: clients.append(Client.to(relay)) or clients[-1]
    for client in clients:
        client.socket.close()


@pytest.fixture(scope="module")
def lasting(relay_module):
    with Client.to(relay_module) as client:
        yield client
"""


Run = Callable[..., str]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Return a function that runs tests in a client's project, checks their outcomes, and returns pytest's output."""
    pytester.makeconftest(CLIENT)
    pytester.makeini("[pytest]\naddopts = -p no:randomly -p no:cacheprovider\nfilterwarnings = error\n")

    def run(source: str, *options: str, asyncio: bool = False, **outcomes: int) -> str:
        pytester.makepyfile(source)
        plugin = ("-o", "asyncio_default_fixture_loop_scope=function") if asyncio else ("-p", "no:asyncio")
        done = pytester.runpytest_inprocess("--strict-markers", *plugin, *options)
        done.assert_outcomes(**outcomes)
        return "\n".join(done.outlines)

    return run


def test_each_test_or_the_whole_run_has_a_relay(run: Run) -> None:
    source = """
        seen = {}

        def test_one(relay, relay_session, connect):
            assert connect(relay).hello() == "hello_response"
            relay.drain()
            seen.update(own=relay.port, session=relay_session.port)

        def test_other(relay, relay_session, connect):
            assert connect(relay).hello() == "hello_response"
            assert relay.connections[0].number == 1
            assert (relay.port == seen["own"], relay_session.port == seen["session"]) == (False, True)
    """
    run(source, passed=2)


def test_a_mark_sets_up_the_relay(run: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "own.toml").write_text('[[tenants]]\nid = "mine"\n')
    run(
        """
        import pytest

        pytestmark = pytest.mark.relay(config="own.toml")

        def test_config(relay, connect):
            client = connect(relay)
            assert client.enter() == ["hello_response", "tenant_not_found"]
            assert client.enter("mine")[1] == "auth_response"

        @pytest.mark.relay("expired-token")
        def test_scenario_and_config(relay, connect):
            client = connect(relay)
            assert [client.enter("mine")[1] for _ in range(2)] == ["invalid_token", "auth_response"]

        @pytest.mark.relay(config={"relay": {"connection_limit": 0}})
        def test_the_nearest_mark_counts(relay, connect):
            assert connect(relay).hello() == "connection_limit_reached"

        @pytest.mark.relay(faults=[{"kind": "error", "code": "teapot"}])
        def test_faults(relay, connect):
            assert connect(relay).hello() == "teapot"

        @pytest.mark.relay(persona="hello-answered-by-auth-response")
        def test_persona(relay, connect):
            assert connect(relay).hello() != "hello_response"
        """,
        passed=5,
    )


def test_a_list_of_scenarios_runs_the_test_with_each(run: Run) -> None:
    output = run(
        """
        import pytest

        REFUSED = ["hello_response", "invalid_token"], ["server_unavailable", ""]

        @pytest.mark.relay(scenario=["expired-token", "unavailable-at-first"])
        @pytest.mark.parametrize("number", [1, 2])
        def test_it(relay, connect, number):
            assert connect(relay).enter() in REFUSED

        @pytest.mark.parametrize("relay", ["half-dead-connection"], indirect=True)
        def test_by_pytest_s_own_means(relay):
            assert relay.setup.scenario == "half-dead-connection"

        @pytest.mark.relay(["expired-token", "slow-relay"])
        def test_of_a_wider_scope(relay_module):
            assert relay_module.setup.scenario in ("expired-token", "slow-relay")

        class TestOwnFixture:
            @pytest.fixture
            def relay(self, relay):
                relay.drain()
                return relay

            @pytest.mark.relay(scenario=["slow-relay", "newer-relay"])
            def test_it(self, relay):
                assert relay.setup.scenario in ("slow-relay", "newer-relay")
        """,
        "-v",
        passed=9,
    )
    assert "test_it[expired-token-1] PASSED" in output or "test_it[1-expired-token] PASSED" in output


def test_a_shared_relay_is_reset_before_each_test(run: Run) -> None:
    run(
        """
        import pytest

        seen = {}

        def test_first(relay_module, lasting, connect):
            assert lasting.enter() == ["hello_response", "auth_response"]
            relay_module.fault("drop")
            relay_module.drain()
            seen["body"] = connect(relay_module)
            seen["port"] = relay_module.port

        def test_second(relay_module, lasting, connect):
            assert relay_module.port == seen["port"]
            assert list(relay_module.transcript) == []
            assert lasting.name({"type": "heartbeat"}) == "heartbeat_response"
            client = connect(relay_module)
            assert client.enter() == ["hello_response", "auth_response"]
            assert len(relay_module.connections) == 2

        @pytest.mark.relay(config={"relay": {"connection_limit": 1}})
        def test_by_a_mark_of_its_own(relay_module, lasting, connect):
            assert lasting.name({"type": "heartbeat"}) == "heartbeat_response"
            assert connect(relay_module).hello() == "connection_limit_reached"

        def test_without_the_mark(relay_module, connect):
            assert connect(relay_module).hello() == "hello_response"
        """,
        passed=4,
    )


def test_the_transcript_is_in_the_report_of_a_failure(run: Run) -> None:
    output = run(
        """
        import ssl

        import pytest

        from tests.support.client import RawClient

        def test_fails(relay, connect):
            connect(relay).hello()
            assert False

        def test_passes(relay, connect):
            connect(relay).hello()

        @pytest.fixture
        def broken(relay, connect):
            connect(relay).enter()
            raise RuntimeError

        def test_is_not_reached(broken):
            pass

        def test_fails_at_a_shared_one(relay_module, connect):
            connect(relay_module).name({"type": "heartbeat"})
            assert False

        def test_fails_in_the_handshake(relay):
            with RawClient(relay.address, trust=ssl.create_default_context()) as client:
                with pytest.raises(ssl.SSLError):
                    client.handshake()
            relay.transcript.wait_for("ended")
            (failed,) = relay.transcript.failed_handshakes()
            assert failed.type == "unknown_ca"
            assert False
        """,
        failed=3,
        passed=1,
        errors=1,
    )
    assert output.count("- transcript of relay -") == 3
    assert "!! no TLS: the client sent the alert unknown_ca; SNI localhost" in output
    assert output.count("- transcript of relay_module -") == 1
    assert output.count('<- {"type":"hello_response"') == 2
    assert '"token":"<token>"' in output


def test_the_summary_lists_faults_without_an_effect(run: Run) -> None:
    output = run(
        """
        import pytest

        @pytest.mark.relay("draining-relay", faults=[{"kind": "drop", "name": "lost", "when": {"message": "auth"}}])
        def test_passes(relay, connect):
            connect(relay).hello()
            relay.advance(15)

        def test_strikes(relay_module, connect):
            with relay_module.fault("delay", seconds=0.001):
                connect(relay_module).hello()

        def test_fails(relay_module):
            relay_module.fault("refuse", name="down", when={"begin": 60})
            assert False
        """,
        failed=1,
        passed=2,
    )
    down = "the fault down (refuse) never struck: nothing matched its condition"
    assert "- faults of relay_module without an effect -" in output
    listed = [line for line in output.splitlines() if line.startswith("test_") and "::" in line and ": the " in line]
    name = "test_the_summary_lists_faults_without_an_effect.py"
    assert listed == [
        f"{name}::test_passes: the fault lost (drop) never struck: nothing matched its condition",
        f"{name}::test_passes: the timeline's action drop, 20 s after ready, was never reached",
        f"{name}::test_passes: the timeline's action drain, 30 s after ready, was never reached",
        f"{name}::test_fails: {down}",
    ]


MISTAKES = {
    '"flaky"': "@pytest.mark.relay: scenario flaky: no such scenario and no such file; did you mean flaky-",
    'persona="hello-version-mising"': "persona hello-version-mising: no such persona; did you mean",
    'config={"seeed": 1}': "config: seeed: unknown key; did you mean seed?",
    'senario="x"': "@pytest.mark.relay takes no argument senario; its arguments are scenario, config, faults",
    '"a", "b"': "@pytest.mark.relay takes at most one positional argument, the scenario",
}


@pytest.mark.parametrize("fixture", ["relay", "relay_module"])
def test_a_mistake_in_a_mark_fails_only_its_test_and_shows_no_traceback(run: Run, fixture: str) -> None:
    tests = "".join(
        f"@pytest.mark.relay({mark})\ndef test_mistake_{number}({fixture}): pass\n"
        f"def test_good_{number}({fixture}): assert {fixture}.port\n"
        for number, mark in enumerate(MISTAKES)
    )
    output = run(f"import pytest\n{tests}", passed=len(MISTAKES), errors=len(MISTAKES))
    assert [message for message in MISTAKES.values() if message not in output] == []
    assert "Error" not in output.replace("ERROR", "")
    assert "cbspec_simulator/" not in output


def test_coroutines_are_served_under_asyncio_and_anyio(run: Run, pytester: pytest.Pytester) -> None:
    source = """
        import asyncio
        import json
        import pytest

        pytestmark = pytest.mark.{mark}

        async def test_it(relay):
            with relay.fault("hold", when={{"message": "hello_response"}}) as held:
                async with asyncio.timeout(20):
                    reader, writer = await asyncio.open_connection(*relay.address, ssl=relay.ssl_context())
                    writer.write(b'{{"type":"hello","version":"1.0","features":[]}}\\n')
                    await relay.transcript.async_wait_for("answer", "hello_response")
                    held.release()
                    assert json.loads(await reader.readline())["type"] == "hello_response"
                writer.transport.abort()
                await asyncio.sleep(0)
    """
    run(source.format(mark="asyncio"), asyncio=True, passed=1)
    with (pytester.path / "conftest.py").open("a") as conftest:
        conftest.write("\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n")
    run(source.format(mark="anyio"), passed=1)

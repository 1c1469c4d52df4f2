"""Tests of the client against the simulator, a child process: python -m pytest test_client.py."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

SIMULATE = ["cbspec", "simulate", "--port", "0", "--control", "0", "--json", "--exit-with-parent"]
CLIENT = [sys.executable, str(Path(__file__).with_name("client.py"))]
PATIENCE = 60  # seconds


@pytest.fixture(scope="module")
def relay():
    """Start the simulator; return the line of JSON that it prints when it is ready."""
    with subprocess.Popen(SIMULATE, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield json.loads(process.stdout.readline())
        # Here its standard input is closed, which ends it. The same happens if this process is killed.


def call(relay, method, path, body=None):
    """Call the control API, and return its answer."""
    data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(relay["control"] + path, data if body else None, headers, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def command(relay, token=None):
    return [*CLIENT, relay["host"], str(relay["port"]), relay["ca_file"], token or relay["tokens"]["tenant-001"]]


def failure(relay, token=None, heartbeat="0.01"):
    """Run a client that fails; return its message, which must not show the token."""
    environment = {**os.environ, "HEARTBEAT": heartbeat}
    done = subprocess.run(command(relay, token), env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert "eyJ" not in done.stdout + done.stderr
    return done.stderr


def test_it_stays_up_until_sigterm(relay):
    with subprocess.Popen(command(relay), stdout=subprocess.PIPE, text=True) as client:
        try:
            assert client.stdout.readline() == "tunnel_001 is up\n"
            client.send_signal(signal.SIGTERM)
            assert client.wait(PATIENCE) == 0
        finally:
            client.kill()


@pytest.mark.parametrize(
    ("message", "nth", "code"),
    [
        ("hello", 1, "rate_limit_exceeded"),
        ("auth", 1, "tenant_not_found"),
        ("tunnel_info", 1, "buffer_pool_exhausted"),
        ("heartbeat", 3, "server_unavailable"),
    ],
)
def test_it_shows_the_code_of_an_error(relay, message, nth, code):
    call(relay, "POST", "/faults", {"kind": "error", "code": code, "when": {"message": message, "nth": nth}})
    assert failure(relay) == f"client: {message}: the relay reports {code}\n"


def test_it_shows_that_its_token_is_refused(relay):
    expired = call(relay, "POST", "/tokens", {"bad": "expired-11-minutes"})["token"]
    assert failure(relay, expired) == "client: auth: the relay reports invalid_token\n"


def test_it_notices_an_unanswered_heartbeat(relay):
    call(relay, "POST", "/faults", {"kind": "drop", "when": {"message": "heartbeat_response", "times": 1}})
    assert failure(relay) == "client: heartbeat: no answer within 5 seconds\n"


def test_it_notices_the_end_of_the_connection_between_heartbeats(relay):
    call(relay, "POST", "/faults", {"kind": "close", "when": {"message": "tunnel_response", "times": 1}})
    assert failure(relay, heartbeat="1000") == "client: between heartbeats: the relay closed the connection\n"


def test_it_sends_no_token_to_a_relay_that_it_cannot_verify(relay):
    before = call(relay, "GET", "/health")["entries"]
    call(relay, "POST", "/faults", {"kind": "certificate-unknown-ca", "when": {"times": 1}})
    assert "certificate verify failed" in failure(relay)
    assert "auth" not in [entry.get("type") for entry in call(relay, "GET", f"/transcript?since={before}")]

"""`cbspec fault`: manage the faults of a simulator that runs with --control."""

from __future__ import annotations

import argparse
import http
import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any, Final

from cbspec.documents import meta
from cbspec.errors import CommandError, NothingToJudge
from cbspec.profile.http import fetch, why
from cbspec_simulator.app.options import CONTROL_PORT
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.when import CONDITIONS

_DEFAULT: Final = f"http://127.0.0.1:{CONTROL_PORT}"
_TIMEOUT: Final = 10.0
_OTHER_PORT: Final = "this is not the control port of a simulator; `cbspec simulate --control` prints its address"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec fault`."""
    url = f"address of the simulator's controls (default: $CBSPEC_CONTROL or {_DEFAULT})"
    parser.add_argument("--url", metavar="URL", default=os.environ.get("CBSPEC_CONTROL", _DEFAULT), help=url)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="add a fault")
    add.add_argument("kind", metavar="KIND", help="kind of the fault, or a complete fault as JSON")
    keys = "parameters of the kind, a name (name=...), and conditions: tenant=tenant-001 message=tunnel_info nth=3"
    add.add_argument("keys", nargs="*", metavar="KEY=VALUE", help=keys)
    actions.add_parser("list", help="list the faults and how often each has struck")
    actions.add_parser("remove", help="remove faults").add_argument("name", nargs="+", metavar="NAME")
    release = actions.add_parser("release", help="send the messages that a fault of the kind `hold` holds back")
    release.add_argument("name", nargs="+", metavar="NAME")
    actions.add_parser("reset", help="remove all faults, end draining, restore the configured limits")
    actions.add_parser("kinds", help="list the kinds of faults with their parameters and conditions")


def run(args: argparse.Namespace) -> int:
    """Carry out the action; return the exit code."""
    match args.action:
        case "kinds":
            print(_kinds())
        case "add":
            print(_summary(_call(args.url, "POST", "/faults", described(args.kind, args.keys))))
        case "list":
            found = _call(args.url, "GET", "/faults")
            print("\n".join(map(_summary, found)) or "no faults")
        case "reset":
            _call(args.url, "POST", "/reset")
        case "remove":
            for name in args.name:
                print(_summary(_call(args.url, "DELETE", f"/faults/{urllib.parse.quote(name, safe='')}")))
        case "release":
            for name in args.name:
                _call(args.url, "POST", f"/faults/{urllib.parse.quote(name, safe='')}/release")
    return 0


def described(kind: str, keys: Sequence[str]) -> dict[str, Any]:
    """Return the fault of a command line as JSON; the simulator validates it."""
    if kind.lstrip().startswith("{"):
        try:
            whole: dict[str, Any] = json.loads(kind)
        except ValueError as error:
            raise CommandError(f"the fault is not JSON: {error}") from None
        return whole
    fault: dict[str, Any] = {"kind": kind}
    params = KINDS[kind].params if kind in KINDS else {}
    for key in keys:
        name, equals, text = key.partition("=")
        if not equals:
            raise CommandError(f"{key}: must be written KEY=VALUE")
        condition = name.removeprefix("when.")
        if condition in CONDITIONS and (name.startswith("when.") or name not in params):
            fault.setdefault("when", {})[condition] = _value(text)
        else:
            fault[name] = _value(text)
    return fault


def _value(text: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text)
    except ValueError:
        return text


def _call(url: str, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - any JSON value
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("CBSPEC_CONTROL_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    if not url.startswith(("http://", "https://")):
        raise CommandError(f"--url {url}: must begin with http:// or https://")
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url.rstrip("/") + path, data, headers, method=method)  # noqa: S310 - checked above
    try:
        with fetch(request, _TIMEOUT) as answer:
            received = answer.read()
    except urllib.error.HTTPError as error:
        raise CommandError(_reason(error)) from None
    except (OSError, http.client.InvalidURL, ValueError) as error:
        failed = NothingToJudge if isinstance(error, OSError) else CommandError
        raise failed(
            f"{url}: no simulator answers ({why(error)}); start one with `cbspec simulate --control`, or give its --url"
        ) from None
    except http.client.HTTPException:  # its text shows the received bytes: a TLS alert, from the relay's port
        raise CommandError(f"{url}: {_OTHER_PORT}") from None
    try:
        return json.loads(received) if received else None
    except ValueError:
        raise CommandError(f"{url}: {_OTHER_PORT}") from None


def _reason(error: urllib.error.HTTPError) -> str:
    text = error.read().decode(errors="replace")
    try:
        reason = str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        reason = f"the simulator answers {error.code} {error.reason}"
    return f"{reason}; set CBSPEC_CONTROL_TOKEN" if error.code == http.HTTPStatus.UNAUTHORIZED else reason


def _summary(fault: dict[str, Any]) -> str:
    done = ("name", "kind", "sequence", "when", "direction", "matched", "strikes", "never_struck", "repeat")
    parts = [fault.get("kind") or " then ".join(part["kind"] for part in fault["sequence"])]
    parts += [f"{key}={json.dumps(value)}" for key, value in fault.items() if key not in done]
    when = fault.get("when", {})
    if when:
        parts.append("when " + " ".join(f"{key}={value}" for key, value in when.items()))
    struck = f"{fault['strikes']} strikes" if fault["strikes"] else "never struck:"
    return f"{fault['name']:<16} {' '.join(parts)}  ({struck} of {fault['matched']} matches)"


def _kinds() -> str:
    lines = []
    for kind in KINDS.values():
        lines.append(f"{kind.name:<26} {kind.layer}: {kind.sentence}")
        for name, param in kind.params.items():
            default = "required" if param.required else f"default {json.dumps(param.default)}"
            lines.append(f"{'':<26}   {name}: {param.meaning} ({default})")
    lines += ["", "when:", *(f"{'':<26}   {name}: {meta(hint, 'description')}" for name, hint in CONDITIONS.items())]
    return "\n".join(lines)

"""`cbspec fault`: the faults of a simulator that runs with --control, from the shell."""

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

from cbspec.errors import CommandError
from cbspec_simulator.app.options import CONTROL_PORT
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.when import CONDITIONS

_DEFAULT: Final = f"http://127.0.0.1:{CONTROL_PORT}"
_TIMEOUT: Final = 10.0
_ANOTHER: Final = "that is no simulator's control port; `cbspec simulate --control` says which one is"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec fault`."""
    parser.add_argument(
        "--url",
        default=os.environ.get("CBSPEC_CONTROL", _DEFAULT),
        help=f"where the simulator is controlled (default: $CBSPEC_CONTROL, or else {_DEFAULT})",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="let a fault strike from now on")
    add.add_argument("kind", help="the kind; or a whole fault as JSON")
    add.add_argument(
        "keys",
        nargs="*",
        metavar="KEY=VALUE",
        help="what the kind needs to know, name=..., and when it strikes: tenant=tenant-001 message=tunnel_info nth=3",
    )
    actions.add_parser("list", help="list the faults, and what they have done so far")
    remove = actions.add_parser("remove", help="take faults away")
    remove.add_argument("name", nargs="+")
    release = actions.add_parser("release", help="let go what a fault holds back")
    release.add_argument("name", nargs="+")
    actions.add_parser("reset", help="no faults, no draining, the configured limits")
    actions.add_parser("kinds", help="list the kinds of faults, what they need to know, and when they can strike")


def run(args: argparse.Namespace) -> int:
    """Do what is asked for; return the exit code."""
    match args.action:
        case "kinds":
            print(_kinds())
        case "add":
            print(_said(_call(args.url, "POST", "/faults", described(args.kind, args.keys))))
        case "list":
            found = _call(args.url, "GET", "/faults")
            print("\n".join(map(_said, found)) or "no faults")
        case "reset":
            _call(args.url, "POST", "/reset")
        case "remove":
            for name in args.name:
                print(_said(_call(args.url, "DELETE", f"/faults/{urllib.parse.quote(name, safe='')}")))
        case "release":
            for name in args.name:
                _call(args.url, "POST", f"/faults/{urllib.parse.quote(name, safe='')}/release")
    return 0


def described(kind: str, keys: Sequence[str]) -> dict[str, Any]:
    """Return the fault that a command line describes; the simulator says what is wrong with it."""
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
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 - as above
            said = answer.read()
    except urllib.error.HTTPError as error:
        raise CommandError(_reason(error)) from None
    except (OSError, http.client.InvalidURL, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise CommandError(
            f"{url}: no simulator answers ({reason}); start one with `cbspec simulate --control`, or name it by --url"
        ) from None
    except http.client.HTTPException:  # which shows what came: of the relay's own port, an alert of TLS
        raise CommandError(f"{url}: {_ANOTHER}") from None
    try:
        return json.loads(said) if said else None
    except ValueError:
        raise CommandError(f"{url}: {_ANOTHER}") from None


def _reason(error: urllib.error.HTTPError) -> str:
    text = error.read().decode(errors="replace")
    try:
        said = str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        said = f"the simulator answers {error.code} {error.reason}"
    return f"{said}; CBSPEC_CONTROL_TOKEN can hold it" if error.code == http.HTTPStatus.UNAUTHORIZED else said


def _said(fault: dict[str, Any]) -> str:
    done = ("name", "kind", "sequence", "when", "direction", "matched", "strikes", "repeat")
    parts = [fault.get("kind") or " then ".join(part["kind"] for part in fault["sequence"])]
    parts += [f"{key}={json.dumps(value)}" for key, value in fault.items() if key not in done]
    when = fault.get("when", {})
    if when:
        parts.append("when " + " ".join(f"{key}={value}" for key, value in when.items()))
    return f"{fault['name']:<16} {' '.join(parts)}  ({fault['strikes']} strikes of {fault['matched']} matches)"


def _kinds() -> str:
    lines = []
    for kind in KINDS.values():
        lines.append(f"{kind.name:<26} {kind.layer}: {kind.sentence}")
        for name, param in kind.params.items():
            default = "needed" if param.required else f"default {json.dumps(param.default)}"
            lines.append(f"{'':<26}   {name}: {param.value.meaning} ({default})")
    lines += ["", "when:", *(f"{'':<26}   {name}: {value.meaning}" for name, value in CONDITIONS.items())]
    return "\n".join(lines)

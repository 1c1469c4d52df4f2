"""The AsyncAPI document of the protocol, made of the schemas, their examples, the state table and the catalogue.

Source: AsyncAPI 3.1. The application is the relay: it receives requests and replies to each on the same connection.
"""

from __future__ import annotations

import json
from typing import Any, Final

from cbspec.catalogue.requirements import REQUIREMENTS, SPECIFICATION, Level
from cbspec.protocol.state import REQUESTS, SUCCESS_TYPES, TABLE, Refuse, State
from cbspec_schemas import CLIENT_TYPES, RELAY_TYPES, examples, load

_CHANNEL: Final = "#/channels/connection"
_CHAPTERS: Final = {"hello": "HEL", "auth": "AUT", "tunnel_info": "TUN", "heartbeat": "HBT"}
_ABOUT: Final = "A message is a JSON object. A client sends a request and waits for its one answer."
_ERROR: Final = "Refuses a request, or announces the end of the connection without one."

Document = dict[str, Any]


def asyncapi() -> Document:
    """Return the document."""
    names = (*CLIENT_TYPES, *RELAY_TYPES)
    return {
        "asyncapi": "3.1.0",
        "id": f"urn:cbspec:asyncapi:{SPECIFICATION}",
        "info": {
            "title": "CloudBridge Relay protocol",
            "version": SPECIFICATION,
            "description": "One JSON object a message, one answer a request, over TLS 1.3.\n\n"
            + _demands("MSG", "CMP"),
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": "relay"}],
        },
        "defaultContentType": "application/json",
        "servers": {
            "stream": _server(
                "tls", "A stream over TLS 1.3; deployed clients end each message with a line feed.", "TLS"
            ),
            "websocket": _server("wss", "A WebSocket over TLS 1.3; each of its text messages is one message.", "WSK"),
        },
        "channels": {
            "connection": {
                "address": "/",
                "title": "A connection",
                "description": "The address is the path of a WebSocket, and without meaning on a stream.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            }
        },
        "operations": {
            **{name: _operation(name) for name in CLIENT_TYPES},
            "error": {
                "action": "send",
                "channel": {"$ref": _CHANNEL},
                "title": "error",
                "summary": _ERROR,
                "description": _demands("ERR"),
                "messages": _messages("error"),
            },
        },
        "components": {
            "messages": {name: _message(name) for name in names},
            "schemas": {name: _schema(name) for name in names},
        },
    }


def _server(protocol: str, description: str, chapter: str) -> Document:
    text = f"{description}\n\n{_demands(chapter)}"
    return {"host": "relay.example:8080", "protocol": protocol, "description": text}


def _operation(name: str) -> Document:
    return {
        "action": "receive",
        "channel": {"$ref": _CHANNEL},
        "title": name,
        "summary": load(name)["description"],
        "description": f"{_order(name)}\n\n{_demands(_CHAPTERS[name])}",
        "messages": _messages(name),
        "reply": {"channel": {"$ref": _CHANNEL}, "messages": _messages(SUCCESS_TYPES[name], "error")},
    }


def _messages(*names: str) -> list[Document]:
    return [{"$ref": f"{_CHANNEL}/messages/{name}"} for name in names]


def _order(name: str) -> str:
    """Return a list of the state table's rules for a type of request."""
    (request,) = (each for each in REQUESTS if each.type == name)
    rules = {state: TABLE[state, request] for state in State if state is not State.CLOSED}
    lines = (
        f"- {state.value}: "
        + (f"error `{rule.code}`" if isinstance(rule, Refuse) else f"`{rule.answer.type}`, then {rule.then.value}")
        + f" ({rule.requirement})"
        for state, rule in rules.items()
    )
    return "By the state of the connection:\n\n" + "\n".join(lines)


def _demands(*chapters: str) -> str:
    rows = (row for row in REQUIREMENTS.values() if row.chapter in chapters and row.level is not Level.INFO)
    return "Requirements:\n\n" + "\n".join(f"- {row.id} ({row.level}): {row.demand}" for row in rows)


def _message(name: str) -> Document:
    shown = (each for each in examples() if each.schema == name and each.valid and "-white-space" not in each.name)
    return {
        "name": name,
        "title": load(name)["title"],
        "summary": load(name)["description"],
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "examples": [
            {"name": each.name, "summary": each.because, "payload": json.loads(each.text)}
            for each in shown
            if len(each.text) < 1000  # longer ones are for validators, not for readers
        ],
    }


def _schema(name: str) -> Document:
    """Return a schema without the members that AsyncAPI's dialect, an extension of draft 7, doesn't know."""
    return {key: value for key, value in load(name).items() if not key.startswith(("$schema", "$id"))}

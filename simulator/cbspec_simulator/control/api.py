"""The HTTP API of the controls, described by OpenAPI at /openapi.json; the web page at / uses it.

An error has the body {"error": "..."}, and the status 404 for an unknown object or 422 for invalid input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from cbspec.documents import json_schema, option_type, says
from cbspec_simulator.control.controls import ControlError, Controls
from cbspec_simulator.control.guard import Guard
from cbspec_simulator.control.openapi import Object, Operation, Parameter, description
from cbspec_simulator.control.page.routes import FILES, page_routes
from cbspec_simulator.control.streams import Streams
from cbspec_simulator.faults.kind import ConnectionEnd
from cbspec_simulator.observe.transcript import TranscriptEntry, lines

_NAME: Final = Parameter("name", str)
_TENANT: Final = Parameter("tenant_id", str)
_NUMBER: Final = Parameter("number", int)
_HOW: Final = Parameter("how", Annotated[ConnectionEnd, says("how it ends")], "reset")
_SINCE: Final = Parameter("since", Annotated[int, says("return only entries after this number", ge=0)], 0)
_AFTER: Final = Parameter("since", Annotated[int, says("begin with the entries after this number", ge=0)])

_JSON: Final = re.compile(r"application/([\w.+-]+\+)?json", re.IGNORECASE)


def _fault() -> Object:
    from cbspec_simulator.settings.schema import fault_schema

    third = {
        "kind": "error",
        "code": "buffer_pool_exhausted",
        "when": {"tenant": "tenant-001", "message": "tunnel_info", "nth": 3},
    }
    slow = {"kind": "latency", "seconds": 0.3, "jitter": 0.1}
    examples = {
        "third": {"summary": "The third tunnel_info of a tenant is refused", "value": third},
        "slow": {"summary": "All messages are delayed", "value": slow},
    }
    return {"schema": fault_schema(), "examples": examples}


def _token() -> Object:
    from cbspec_simulator.control.minting import TokenRequest

    valid = {"tenant": "tenant-001", "lifetime": 60}
    examples = {
        "valid": {"summary": "A token that is valid for a minute", "value": valid},
        "bad": {"summary": "A token that the relay must refuse", "value": {"bad": "expired-11-minutes"}},
    }
    return {"schema": json_schema(TokenRequest), "examples": examples}


def _such_as(**example: int) -> Callable[[], Object]:
    """Return a function that describes an object by an example."""
    return lambda: {"schema": {"type": "object"}, "example": example}


def make_api(controls: Controls, streams: Streams, token: str | None = None) -> Starlette:
    """Return the application.

    Arguments: `controls` and `streams` are the relay's; `token`, if not None, is required as `Authorization: Bearer`.
    """
    operations = (*_faults(controls), *_relay(controls), *_transcript(controls, streams))

    async def described(_: Request) -> Response:
        return JSONResponse(description(operations))

    return Starlette(
        routes=[
            *map(_route, operations),
            Route("/openapi.json", described, include_in_schema=False),
            *page_routes(),
        ],
        middleware=[Middleware(Guard, token=token, public=FILES)],
        exception_handlers={ControlError: _control_error, HTTPException: _unknown},
    )


def _faults(controls: Controls) -> tuple[Operation, ...]:
    """Return the operations on faults and tokens."""
    reset = "Remove all faults, end draining, restore the configured limits"
    unused = "The faults and actions without an effect so far"
    one, created, tag = "/faults/{name}", HTTPStatus.CREATED, "faults"
    return (
        Operation("GET", "/faults", tag, "The faults with their counts", controls.faults),
        Operation("POST", "/faults", tag, "Add a fault", controls.add_fault, (), _fault, created),
        Operation("GET", one, tag, "One fault", controls.fault, (_NAME,)),
        Operation("DELETE", one, tag, "Remove a fault, and release its messages", controls.remove_fault, (_NAME,)),
        Operation("POST", f"{one}/release", tag, "Release the messages that a fault holds", controls.release, (_NAME,)),
        Operation("GET", "/never-struck", tag, unused, controls.never_struck),
        Operation("POST", "/reset", tag, reset, controls.reset, status=HTTPStatus.NO_CONTENT),
        Operation("POST", "/tokens", "tokens", "Mint a valid or a bad token", controls.mint, (), _token, created),
    )


def _relay(controls: Controls) -> tuple[Operation, ...]:
    """Return the operations on the relay, its tenants, connections and clock."""
    empty, tag = HTTPStatus.NO_CONTENT, "relay"

    def health() -> Object:
        return {**controls.state(), "tasks": len(asyncio.all_tasks())}

    def serve() -> None:
        controls.drain(draining=False)

    def advance(by: Object) -> Object:
        if set(by) != {"seconds"}:
            raise ControlError('the body must be {"seconds": ...}')
        return controls.advance(by["seconds"])

    whole, changed = "Change limits of the whole relay (null: none)", "Change a tenant's limits (null: none)"
    return (
        Operation("GET", "/health", tag, "State and counts of the relay", health),
        Operation("PATCH", "/limits", tag, whole, controls.limit, (), _such_as(buffer_pool=2)),
        Operation("GET", "/tenants", tag, "The tenants with their limits and usage", controls.tenants),
        Operation(
            *("PATCH", "/tenants/{tenant_id}", tag, changed),
            controls.limit_tenant,
            (_TENANT,),
            _such_as(tunnel_limit=1),
        ),
        Operation("POST", "/drain", tag, "Refuse new work; open connections continue", controls.drain, status=empty),
        Operation("DELETE", "/drain", tag, "Accept new work again", serve, status=empty),
        Operation("GET", "/time", tag, "The time of the simulator's clock", controls.time),
        Operation("POST", "/time", tag, "Move the clock forward", advance, (), _such_as(seconds=3600)),
        Operation("GET", "/connections", "connections", "The open connections and their tunnels", controls.connections),
        Operation(
            *("DELETE", "/connections/{number}", "connections", "End one connection"),
            controls.drop,
            (_NUMBER, _HOW),
            status=empty,
        ),
    )


def _transcript(controls: Controls, streams: Streams) -> tuple[Operation, ...]:
    """Return the operations on the transcript."""

    def readable(since: int) -> Response:
        entries = map(TranscriptEntry.from_json, controls.transcript(since))
        return PlainTextResponse("".join(f"{line}\n" for line in lines(entries)))

    def events(since: int | None) -> Response:
        headers = {"Cache-Control": "no-store"}
        return StreamingResponse(streams.events(since), media_type=stream, headers=headers)

    tag, stream = "transcript", "text/event-stream"
    new = "New transcript entries (server-sent events)"
    return (
        Operation("GET", "/transcript", tag, "The transcript, without tokens", controls.transcript, (_SINCE,)),
        Operation("GET", "/transcript.txt", tag, "The transcript as text", readable, (_SINCE,), media="text/plain"),
        Operation("GET", "/events", tag, new, events, (_AFTER,), media=stream),
    )


def _route(operation: Operation) -> Route:
    async def serve(request: Request) -> Response:
        given: list[object] = list(_values(operation, {**request.query_params, **request.path_params}))
        if operation.body is not None:
            given.append(await _object(request))
        result = operation.act(*given)
        if isinstance(result, Response):
            return result
        if operation.status is HTTPStatus.NO_CONTENT:
            return Response(status_code=operation.status)
        return JSONResponse(result, operation.status)

    return Route(operation.path, serve, methods=[operation.method])


def _values(operation: Operation, given: Mapping[str, str]) -> Iterator[object]:
    """Yield the values of the parameters in their order; raises ControlError."""
    for parameter in operation.parameters:
        name, hint, default = parameter
        try:
            yield option_type(hint)(given[name]) if name in given else default
        except argparse.ArgumentTypeError as error:
            raise ControlError(f"{operation.place(parameter)}.{name}: {error}") from None


async def _object(request: Request) -> Object:
    """Return the body of a request; raises ControlError if it isn't a JSON object."""
    text = await request.body()
    if not _JSON.fullmatch(request.headers.get("content-type", "").partition(";")[0].strip()):
        # A page of another site can send any other content type without a preflight request.
        raise ControlError("the body must be sent as application/json (curl --json '...')", 415)
    try:
        body: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ControlError(f"body: must be JSON: {error}") from None
    if not isinstance(body, dict):
        raise ControlError("body: must be a JSON object")
    return body


async def _control_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ControlError)  # noqa: S101 - registered for it
    return JSONResponse({"error": str(error)}, error.status)


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    text = f"{request.method} {request.url.path}: {str(error.detail).lower()}; /openapi.json lists all operations"
    return JSONResponse({"error": text}, error.status_code, error.headers)

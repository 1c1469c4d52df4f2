"""The HTTP API of the controls, described by OpenAPI at /openapi.json; the web page at / uses it.

An error has the body {"error": "..."}, and the status 404 for an unknown object or 422 for invalid input.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Body, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.exceptions import HTTPException

from cbspec.documents import json_schema
from cbspec_simulator.control.controls import ControlError, Controls
from cbspec_simulator.control.guard import Guard
from cbspec_simulator.control.minting import TokenRequest
from cbspec_simulator.control.page.routes import FILES, add_page
from cbspec_simulator.control.streams import Streams
from cbspec_simulator.faults.kind import ConnectionEnd
from cbspec_simulator.observe.transcript import TranscriptEntry, lines
from cbspec_simulator.settings.schema import fault_schema

Object = dict[str, Any]

_EXAMPLES: Any = {
    "third": {
        "summary": "The third tunnel_info of a tenant is refused",
        "value": {
            "kind": "error",
            "code": "buffer_pool_exhausted",
            "when": {"tenant": "tenant-001", "message": "tunnel_info", "nth": 3},
        },
    },
    "slow": {"summary": "All messages are delayed", "value": {"kind": "latency", "seconds": 0.3, "jitter": 0.1}},
}

_TOKENS: Any = {
    "valid": {"summary": "A token that is valid for a minute", "value": {"tenant": "tenant-001", "lifetime": 60}},
    "bad": {"summary": "A token that the relay must refuse", "value": {"bad": "expired-11-minutes"}},
}

FaultBody = Annotated[Object, Body(openapi_examples=_EXAMPLES, json_schema_extra=fault_schema())]
TokenBody = Annotated[Object, Body(openapi_examples=_TOKENS, json_schema_extra=json_schema(TokenRequest))]
Limits = Annotated[Object, Body(examples=[{"buffer_pool": 2}])]
Changes = Annotated[Object, Body(examples=[{"tunnel_limit": 1}])]
By = Annotated[Object, Body(examples=[{"seconds": 3600}])]
How = Annotated[str, Query(description="how it ends", json_schema_extra={"enum": list(ConnectionEnd)})]
Since = Annotated[int, Query(ge=0, description="return only entries after this number")]
Remembered = Annotated[int | None, Query(ge=0, description="begin with the entries after this number")]


def make_api(controls: Controls, streams: Streams, token: str | None = None) -> FastAPI:
    """Return the application.

    Arguments: `controls` and `streams` are the relay's; `token`, if not None, is required as `Authorization: Bearer`.
    """
    api = FastAPI(
        title="cbspec simulator",
        version="1",
        description="The controls of a running relay.",
        docs_url=None,
        redoc_url=None,
    )
    api.add_middleware(Guard, token=token, public=FILES)
    api.exception_handler(ControlError)(_control_error)
    api.exception_handler(RequestValidationError)(_invalid)
    api.exception_handler(HTTPException)(_unknown)
    _add_simple(api, controls)
    _add_changes(api, controls)
    _add_transcript(api, controls, streams)
    add_page(api)
    return api


def _add_simple(api: FastAPI, controls: Controls) -> None:
    """Add the operations without a body or a query."""
    reset = "Remove all faults, end draining, restore the configured limits"
    for method, path, tag, control, summary in (
        ("GET", "/faults", "faults", controls.faults, "The faults with their counts"),
        ("GET", "/faults/{name}", "faults", controls.fault, "One fault"),
        ("GET", "/never-struck", "faults", controls.never_struck, "The faults and actions without an effect so far"),
        ("DELETE", "/faults/{name}", "faults", controls.remove_fault, "Remove a fault, and release its messages"),
        ("POST", "/faults/{name}/release", "faults", controls.release, "Release the messages that a fault holds"),
        ("POST", "/reset", "faults", controls.reset, reset),
        ("GET", "/tenants", "relay", controls.tenants, "The tenants with their limits and usage"),
        ("GET", "/time", "relay", controls.time, "The time of the simulator's clock"),
        ("GET", "/connections", "connections", controls.connections, "The open connections and their tunnels"),
    ):
        empty = control.__annotations__["return"] == "None"
        status = HTTPStatus.NO_CONTENT if empty else HTTPStatus.OK
        api.add_api_route(path, _in_loop(control), methods=[method], tags=[tag], summary=summary, status_code=status)


def _in_loop(control: Callable[..., object]) -> Callable[..., Awaitable[object]]:
    """Return a control as a coroutine function, since FastAPI calls plain functions in other threads."""

    @functools.wraps(control)
    async def call(**arguments: object) -> object:
        return control(**arguments)

    return call


def _add_changes(api: FastAPI, controls: Controls) -> None:
    """Add the other operations on faults, tokens, limits and the clock."""

    @api.post("/faults", status_code=201, tags=["faults"], summary="Add a fault")
    async def add_fault(data: FaultBody) -> Object:
        return controls.add_fault(data)

    @api.post("/tokens", status_code=201, tags=["tokens"], summary="Mint a valid or a bad token")
    async def mint(data: TokenBody) -> Object:
        return controls.mint(data)

    @api.get("/health", tags=["relay"], summary="State and counts of the relay")
    async def health() -> Object:
        return {**controls.state(), "tasks": len(asyncio.all_tasks())}

    @api.patch("/limits", tags=["relay"], summary="Change limits of the whole relay (null: none)")
    async def limit(limits: Limits) -> Object:
        return controls.limit(limits)

    @api.patch("/tenants/{tenant_id}", tags=["relay"], summary="Change a tenant's limits (null: none)")
    async def limit_tenant(tenant_id: str, changes: Changes) -> Object:
        return controls.limit_tenant(tenant_id, changes)

    @api.post("/drain", status_code=204, tags=["relay"], summary="Refuse new work; open connections continue")
    async def drain() -> None:
        controls.drain()

    @api.delete("/drain", status_code=204, tags=["relay"], summary="Accept new work again")
    async def serve() -> None:
        controls.drain(draining=False)

    @api.post("/time", tags=["relay"], summary="Move the clock forward")
    async def advance(by: By) -> Object:
        if set(by) != {"seconds"}:
            raise ControlError('the body must be {"seconds": ...}')
        return controls.advance(by["seconds"])

    @api.delete("/connections/{number}", status_code=204, tags=["connections"], summary="End one connection")
    async def drop(number: int, how: How = "reset") -> None:
        controls.drop(number, how)


def _add_transcript(api: FastAPI, controls: Controls, streams: Streams) -> None:
    @api.get("/transcript", tags=["transcript"], summary="The transcript, without tokens")
    async def transcript(since: Since = 0) -> list[Object]:
        return controls.transcript(since)

    @api.get("/transcript.txt", tags=["transcript"], summary="The transcript as text", response_class=PlainTextResponse)
    async def readable(since: Since = 0) -> str:
        entries = (TranscriptEntry.from_json(entry) for entry in controls.transcript(since))
        return "".join(f"{line}\n" for line in lines(entries))

    @api.get("/events", tags=["transcript"], summary="New transcript entries (server-sent events)")
    async def events(since: Remembered = None) -> StreamingResponse:
        return StreamingResponse(
            streams.events(since), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )


async def _control_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ControlError)  # noqa: S101 - registered for it
    return JSONResponse({"error": str(error)}, error.status)


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    text = f"{request.method} {request.url.path}: {str(error.detail).lower()}; /openapi.json lists all operations"
    return JSONResponse({"error": text}, error.status_code, error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    if "json" not in request.headers.get("content-type", "json"):
        # A page of another site can send any other content type without a preflight request.
        return JSONResponse({"error": "the body must be sent as application/json (curl --json '...')"}, 415)
    text = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return JSONResponse({"error": text}, 422)

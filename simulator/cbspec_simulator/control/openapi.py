"""The operations of the HTTP API as data, and their description. Source: OpenAPI 3.1."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from cbspec.documents import json_schema

Object = dict[str, Any]


class Parameter(NamedTuple):
    """A parameter of a path, or else of a query; `hint` is its type, and `default` the value if it is absent."""

    name: str
    hint: Any
    default: object = None


class Operation(NamedTuple):
    """One operation: `act` gets the values of the parameters, and then the body, a JSON object.

    `body` returns the body's media type object, as OpenAPI calls its schema and examples (None: there is no body).
    The result of `act` is the answer's JSON, or else a response of the type `media`.
    """

    method: str
    path: str
    tag: str
    summary: str
    act: Callable[..., object]
    parameters: tuple[Parameter, ...] = ()
    body: Callable[[], Object] | None = None
    status: HTTPStatus = HTTPStatus.OK
    media: str = "application/json"

    def place(self, parameter: Parameter) -> str:
        """Return "path" or "query"."""
        return "path" if f"{{{parameter.name}}}" in self.path else "query"


def description(operations: Sequence[Operation]) -> Object:
    """Return the OpenAPI description of operations."""
    paths: dict[str, Object] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    about = {"title": "cbspec simulator", "version": "1", "description": "The controls of a running relay."}
    return {"openapi": "3.1.0", "info": about, "paths": paths}


def _described(operation: Operation) -> Object:
    result: Object = {"description": HTTPStatus(operation.status).phrase}
    if operation.status is not HTTPStatus.NO_CONTENT:
        result["content"] = {operation.media: {}}
    error = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    described: Object = {
        "operationId": re.sub(r"\W+", "_", f"{operation.method.lower()}{operation.path}").rstrip("_"),
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": {
            str(int(operation.status)): result,
            "4XX": {"description": "Error", "content": {"application/json": {"schema": error}}},
        },
    }
    if operation.parameters:
        described["parameters"] = [_parameter(each, operation.place(each)) for each in operation.parameters]
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": operation.body()}}
    return described


def _parameter(parameter: Parameter, place: str) -> Object:
    schema = json_schema(parameter.hint)
    if parameter.default is not None:
        schema["default"] = parameter.default
    about = {"description": schema.pop("description")} if "description" in schema else {}
    return {"name": parameter.name, "in": place, "required": place == "path", "schema": schema, **about}

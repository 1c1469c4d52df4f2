"""An HTTPS API as large as the protocol, for schemathesis: an operation for each request, its body by our schema."""

from __future__ import annotations

import json
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import Body, FastAPI, HTTPException

import cbspec_schemas
from cbspec.profile.identity import development_ca


def app() -> FastAPI:
    """Return the API: what breaks the schema draws a 422, anything else the answer of the protocol."""
    api = FastAPI()
    for kind in cbspec_schemas.CLIENT_TYPES:
        _operation(api, kind)
    described = api.openapi()
    for path, item in described["paths"].items():
        schema = {key: value for key, value in cbspec_schemas.load(path[1:]).items() if not key.startswith("$")}
        item["post"]["requestBody"]["content"]["application/json"]["schema"] = schema
        item["post"]["responses"] = {"200": {"description": "the answer"}, "4XX": {"description": "a refusal"}}
    return api


def _operation(api: FastAPI, kind: str) -> None:
    answer = {"hello": "hello_response", "auth": "auth_response", "tunnel_info": "tunnel_response"}

    @api.post(f"/{kind}", name=kind)
    def serve(message: Any = Body()) -> dict[str, str]:  # noqa: ANN401, B008 - any JSON value
        if cbspec_schemas.violations("client", message):
            raise HTTPException(422)
        return {"type": answer.get(kind, "heartbeat_response")}


def main() -> None:
    """Serve on a free port of 127.0.0.1; say on which."""
    # Where the protocol isn't named asyncio leaves Nagle's algorithm on, which costs 40 ms an answer.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    chain, key = development_ca().issue("127.0.0.1", "localhost")
    file = Path(sys.argv[1])
    file.touch(mode=0o600)
    file.write_bytes(key + chain)
    config = uvicorn.Config(app(), ssl_certfile=str(file), ssl_version=ssl.PROTOCOL_TLS_SERVER, log_level="error")
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()

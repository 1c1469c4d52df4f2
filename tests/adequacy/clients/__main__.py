"""One client: `python -m tests.adequacy.clients HOST PORT CA TOKEN [--websocket] [--local-port N] [--with ID]...`.

Only what a client needs is imported, since the matrix starts thousands of them: the reference client's package without
its asyncio part.
"""

from __future__ import annotations

import importlib.util
import sys
import types

_PACKAGE = "cbspec_client"


def main(arguments: list[str]) -> int:
    """Run the client, and return its exit code."""
    host, port, ca, token, *options = arguments
    ids, local_port, websocket = [], 40001, False
    while options:
        option = options.pop(0)
        if option == "--websocket":
            websocket = True
        elif option == "--local-port":
            local_port = int(options.pop(0))
        elif option == "--with":
            ids.append(options.pop(0))
        else:
            raise SystemExit(f"unknown option {option}")
    _without_init()
    from tests.adequacy.clients.registry import combined

    return combined(ids)(host, int(port), ca, token, local_port=local_port, websocket=websocket).run()


def _without_init() -> None:
    """Make the modules of the reference client importable without its __init__, which imports asyncio."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is not None and found.submodule_search_locations is not None:
        package = types.ModuleType(_PACKAGE)
        package.__path__ = list(found.submodule_search_locations)
        sys.modules[_PACKAGE] = package


if __name__ == "__main__":
    code = main(sys.argv[1:])
    from tests.adequacy.clients.base import end

    end(code)

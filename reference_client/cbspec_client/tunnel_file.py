"""The tunnels of a TOML file.

[[tunnels]]
id = "rdp"
local_port = 3389
remote_host = "192.168.1.100"
remote_port = 3389
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from cbspec.documents import DocumentError, DocumentReader, Text, load_toml, says
from cbspec.errors import CommandError
from cbspec_client.reconnecting import TunnelWish

_Port = Annotated[int, Meta(ge=1, le=65535, title="a port from 1 to 65535")]


@dataclass(frozen=True, slots=True)
class TunnelTable:
    """A tunnel."""

    id: Annotated[Text, says("The tunnel_id.", "rdp")]
    local_port: Annotated[_Port, says("The port at the client's end.", 3389)]
    remote_host: Annotated[Text, says("The remote end.", "192.168.1.100")]
    remote_port: Annotated[_Port, says("Its port.", 3389)]


@dataclass(frozen=True, slots=True)
class TunnelDocument:
    """The file."""

    tunnels: Annotated[tuple[TunnelTable, ...], says("The tunnels.")] = ()


def read_tunnels(file: Path) -> list[TunnelWish]:
    """Return the tunnels of a file. Raises CommandError with a line for each mistake."""
    try:
        data = load_toml(file)
        try:
            document = DocumentReader(file.parent).read(data, TunnelDocument)
        except DocumentError as error:
            raise DocumentError(error.problems, str(file)) from None
    except DocumentError as error:
        raise CommandError(str(error)) from None
    return [TunnelWish(each.id, each.local_port, each.remote_host, each.remote_port) for each in document.tunnels]

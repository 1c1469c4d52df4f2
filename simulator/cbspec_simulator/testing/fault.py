"""A fault that a test added to a local relay."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from cbspec_simulator.control.controls import ControlError, Controls

T = TypeVar("T")
Do = Callable[[Callable[[Controls], T]], T]
"""Does something with a relay's controls in the relay's thread."""


class LocalFault:
    """A fault of a local relay, from when it was added until `remove`; used in a `with`, until the end of that."""

    def __init__(self, do: Callable[[Callable[[Controls], dict[str, Any]]], dict[str, Any]], data: object) -> None:
        self._do = do
        self._last = do(lambda controls: controls.add_fault(data))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def __repr__(self) -> str:
        return f"<fault {self.name}>"

    @property
    def name(self) -> str:
        """What the fault is called, in the transcript for example."""
        return str(self._last["name"])

    @property
    def strikes(self) -> int:
        """How often it struck so far."""
        return int(self._look()["strikes"])

    @property
    def matched(self) -> int:
        """How often what it is about came so far, whether it struck or not."""
        return int(self._look()["matched"])

    def release(self) -> None:
        """Let go what it holds back; it goes on holding back what comes."""
        self._do(lambda controls: controls.release(self.name))

    def remove(self) -> None:
        """Take it away, and let go what it holds back; nothing happens where it is gone already."""
        self._look(lambda controls: controls.remove_fault(self.name))

    def _look(self, act: Callable[[Controls], dict[str, Any]] | None = None) -> dict[str, Any]:
        try:
            self._last = self._do(act or (lambda controls: controls.fault(self.name)))
        except ControlError as error:
            if error.status != 404:
                raise
        return self._last

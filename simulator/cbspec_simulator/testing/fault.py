"""A fault that a test added to a local relay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

from cbspec_simulator.control.controls import ControlError, Controls

T = TypeVar("T")
Do = Callable[[Callable[[Controls], T]], T]
"""Calls a function with the relay's controls in the relay's thread."""


class LocalFault:
    """A fault of a local relay, active until `remove` or the end of its `with`."""

    def __init__(self, do: Callable[[Callable[[Controls], dict[str, Any]]], dict[str, Any]], data: object) -> None:
        self._do = do
        self._last = do(lambda controls: controls.add_fault(data))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def __repr__(self) -> str:
        return f"<fault {self.name}>"

    @property
    def name(self) -> str:
        """The name of the fault, as in the transcript."""
        return str(self._last["name"])

    @property
    def strikes(self) -> int:
        """The number of times that the fault struck."""
        return int(self._look()["strikes"])

    @property
    def matched(self) -> int:
        """The number of times that its condition matched, including those at which it did not strike."""
        return int(self._look()["matched"])

    def assert_struck(self, times: int | None = None) -> None:
        """Raise AssertionError unless the fault struck: at least once, or exactly so many times."""
        found = self._look()
        strikes, matched = int(found["strikes"]), int(found["matched"])
        if strikes and times in (None, strikes):
            return
        wanted = "at least once" if times is None else f"{times} times"
        raise AssertionError(f"the fault {self.name} struck {strikes} times, not {wanted}; it matched {matched} times")

    def release(self) -> None:
        """Send the messages that are held back; later messages are still held back."""
        self._do(lambda controls: controls.release(self.name))

    def remove(self) -> None:
        """Remove the fault, and send the messages that are held back; no effect if it was removed before."""
        self._look(lambda controls: controls.remove_fault(self.name))

    def _look(self, act: Callable[[Controls], dict[str, Any]] | None = None) -> dict[str, Any]:
        try:
            self._last = self._do(act or (lambda controls: controls.fault(self.name)))
        except ControlError as error:
            if error.status != 404:
                raise
        return self._last

"""The actions of one connection, performed in order, each when it is due."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cbspec_simulator.base.clock import Clock
from cbspec_simulator.edge.outbox import Outbox
from cbspec_simulator.edge.timer import Timer
from cbspec_simulator.relay.actions import Action
from cbspec_simulator.relay.behaviour import Writing

_BATCH = 256  # actions of one connection that are performed before other connections have their turn


class ActionQueue:
    """Performs actions.

    Arguments: `perform` performs one action; `wake` is called when the next one is due, and calls `run`. While
    `blocked` is set, the socket's write buffer is full, and nothing is performed.
    """

    __slots__ = ("_clock", "_outbox", "_perform", "_timer", "_wake", "blocked")

    def __init__(
        self, writing: Writing, clock: Clock, perform: Callable[[Action], None], wake: Callable[[], None]
    ) -> None:
        self._outbox = Outbox(writing)
        self._clock = clock
        self._perform = perform
        self._wake = wake
        self._timer = Timer()
        self.blocked = False

    def __bool__(self) -> bool:
        return bool(self._outbox)

    def add(self, actions: Sequence[Action]) -> None:
        """Perform actions after those in the queue."""
        for nth, action in enumerate(actions):
            if nth == _BATCH or self.blocked or not self._outbox.bypassed_by(action):
                self._outbox.put(actions[nth:], self._clock.monotonic())
                self.run()
                return
            self._perform(action)

    def run(self) -> None:
        """Perform the actions that are due, at most one batch."""
        for done, action in enumerate(self._outbox.due(self._clock.monotonic()), 1):
            self._perform(action)
            if self.blocked or done == _BATCH:
                break
        self._timer.cancel()
        due = self._outbox.next_due()
        if due is not None and not self.blocked:
            self._timer.start(max(0.0, due - self._clock.monotonic()), self._wake)

    def release(self, gate: str) -> None:
        """Open a gate for the actions that a fault holds back."""
        self._outbox.release(gate, self._clock.monotonic())

    def end(self) -> None:
        """Stop waiting for more actions: messages that wait for others are due."""
        self._outbox.end(self._clock.monotonic())
        self.run()

    def clear(self) -> None:
        """Drop all actions."""
        self._outbox.clear()
        self._timer.cancel()

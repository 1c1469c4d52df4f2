"""One case: its turn among others, and its repetitions if the relay had no room, paused, or was disturbed by others."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

from cbspec_conformance.judging.errors import Broken, Inconclusive, NeedsAlone, NeverWorks, NoRoom, RateLimited
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.tempo import retry
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.cost import Cost
from cbspec_conformance.runner.outcomes import TimeUp
from cbspec_conformance.runner.reservations import Needs
from cbspec_conformance.target.capacity import explained
from cbspec_conformance.target.life import STAYS_UP, Life
from cbspec_conformance.target.locks import Turns
from cbspec_conformance.target.relay import RelayUnderTest

_RELAYS: Final = (Broken, Inconclusive, Unreachable, HandshakeFailure)  # errors that a relay can cause


class Attempts:
    """The attempts at one case.

    Arguments: `life` knows whether the relay is up; `case` carries the case of the requirement `identifier` out.
    """

    def __init__(self, relay: RelayUnderTest, life: Life, identifier: str, case: Callable[[], object]) -> None:
        self._relay = relay
        self._life = life
        self._identifier = identifier
        self._case = case

    def in_turn(self, turns: Turns, needs: Needs) -> None:
        """Run the case next to those of other processes, and once more alone if it gets no verdict next to them.

        So what others cause can't spoil a verdict.
        """
        relay, processes = self._relay, self._relay.shared.processes
        shared = not needs.alone and processes > 1
        whole = relay.room.bound
        for turn in [turns.shared(needs.names)] * shared + [turns.alone(began=needs.alone)]:
            relay.room.shared, relay.room.reserved = shared, needs.names if shared else None
            relay.room.connections = whole // processes if shared and whole is not None else whole
            relay.room.patient = needs.alone or bool(needs.names) or relay.room.is_narrow
            with turn:
                try:
                    self.judge()
                except (NeedsAlone, Inconclusive) as error:
                    if not shared or (isinstance(error, Inconclusive) and self._is_certain(error)):
                        raise
                    relay.log.begin_again()
                    shared = False
                else:
                    return
                finally:
                    if not relay.room.shared:
                        relay.shared.silent_alone |= relay.waited_long_for
                    relay.close()

    def _is_certain(self, error: Inconclusive) -> bool:
        """Whether the case would end in the same way alone.

        It lacks an answer that never came then, or a request that never works; or it found that the relay went down.
        """
        relay, shared = self._relay, self._relay.shared
        known = shared.are_silent(relay.waited_long_for)
        silent = known and any(shared.are_silent({kind}) for kind in relay.waited_for)
        went_down = bool(self._life.gone) and relay.log.blames
        return silent or went_down or isinstance(error, NeverWorks)

    def judge(self) -> None:
        """Run the case, and repeat it as long as a repetition can bring a verdict."""
        relay = self._relay
        self._life.check_back(relay)
        try:
            self._unless_paused()
        except Exception as error:
            # A case of robustness expects that the relay may go down.
            spoiled = isinstance(error, _RELAYS) and "-ROB-" not in self._identifier
            if not self._life.look(relay) and spoiled:
                if relay.room.shared and not self._life.gone:
                    raise NeedsAlone("the relay was down for a while") from None
                raise Inconclusive(f"the relay went down in this case (see {STAYS_UP})") from None
            raise explained(relay, error, self._identifier) from None
        self._life.look(relay)

    def _unless_paused(self) -> None:
        """Run the case, and once more if it found something while the relay may have paused as a whole.

        A missing answer counts only if no other case may have delayed it.
        """
        relay, found = self._relay, None
        try:
            self._unless_limited()
        except _RELAYS as error:
            found = error
        blames = found is not None or relay.log.blames
        unproven = relay.room.shared and not relay.shared.are_silent(relay.waited_long_for)
        if blames and unproven and relay.resumes():  # a relay that is down for good has to be blamed now
            raise NeedsAlone("a long wait for nothing")
        if blames and relay.paused() and relay.resumes():
            relay.log.begin_again()
            self._unless_limited()
        elif found is not None:
            raise found

    def _unless_limited(self) -> None:
        """Run the case, and again after a pause if a rate limit refused a request."""
        relay, tempo = self._relay, self._relay.tempo
        for pause in (*tempo.rate_pauses, None):
            relay.last_try = pause is None
            try:
                until_room(relay, self._case)
            except RateLimited as limited:
                relay.close()
                if relay.room.shared:
                    raise NeedsAlone(str(limited)) from None
                if pause is None:
                    tempo.rate_struck += 1
                    raise Inconclusive(f"{limited}, repeatedly: declare tenants.rate in the profile") from None
                relay.clock.sleep(pause)
            else:
                return


def until_room(relay: RelayUnderTest, case: Callable[[], object]) -> None:
    """Run a case, and retry it while the relay has no capacity: for as long as the relay may take to release it.

    After two cases for which this did not help, a case is not retried.
    """

    def attempt() -> None:
        try:
            case()
        except NoRoom as full:
            relay.close()
            if relay.room.shared:
                raise NeedsAlone(str(full)) from None
            raise

    try:
        retry(attempt, (NoRoom,), 0.0 if relay.shared.ledger.lost else relay.tempo.room_again, relay.clock)
    except NoRoom:
        relay.tempo.roomless += 1
        raise


@contextlib.contextmanager
def measured(cost: Cost) -> Iterator[None]:
    """Add the time of the body, and that of the processor."""
    began, processor = time.monotonic(), time.process_time()
    try:
        yield
    finally:
        cost.add(Cost(processor=time.process_time() - processor, elapsed=time.monotonic() - began))


@contextlib.contextmanager
def time_limit(deadline: float) -> Iterator[None]:
    """Raise TimeUp in the body when the monotonic clock reaches `deadline`."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeUp
    rang = False

    def ring(number: int, frame: FrameType | None) -> None:
        nonlocal rang
        rang = True
        raise TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, remaining)
    try:
        yield
    except Exception:
        if rang:  # raised while Hypothesis drew values, it becomes an error of Hypothesis
            raise TimeUp from None
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

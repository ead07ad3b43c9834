"""One caller being looked after: the leg, the promise, the record. Closed exactly once, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from appliance.config.schema import Destination
from appliance.flows.ports import CallRecord, Cause, Direction, Ended, Kept, Leg, LegEvent, Party

if TYPE_CHECKING:
    from appliance.flows.house import House


#: a disk that takes longer over a promise lets the caller hear ringing meanwhile
SLOW_DISK_SECONDS = 0.3


class HungUp(Exception):
    """The caller is gone; the flow has nothing left to do."""


_KEPT = {
    "answered": Kept.ANSWERED,
    "message": Kept.MESSAGED,
    "forwarded": Kept.HANDED_ON,
    "abandoned": Kept.ABANDONED,
}


class Call:
    """See the module. ``record.path`` is the way through the house; ``outcome`` what became of it."""

    def __init__(self, house: House, leg: Leg, direction: str) -> None:
        self.house = house
        self.leg = leg
        self.caller = leg.far
        self.outcome = ""
        #: where to go when a transfer finds nobody: back to who transferred
        self.fallback: Destination | None = None
        #: destinations a forward has led through: no forward is followed twice
        self.forwarded: set[str] = set()
        self.with_ = ""
        self.record = CallRecord(leg.id, direction, leg.far, leg.dialed, house.clock.now(), line=leg.line)
        self._loop = asyncio.get_running_loop()
        self.started = self._loop.time()
        self._connected: float | None = None
        self._promised: asyncio.Task[str] | None = None
        #: the message on its way into the mailbox: the promise is not kept before it is there
        self.filing: asyncio.Task[None] | None = None
        self._ours = True

    @property
    def where(self) -> str:
        return self.record.path[-1] if self.record.path else ""

    def promise(self) -> None:
        """Begin to write the promise; nothing the caller could take for an answer happens before it is on disk."""
        self._promised = self.house.adopt(self.house.journal.promise(self.leg, self.leg.dialed), "promise")

    async def answer(self) -> None:
        """Answer the caller, once the promise is durable."""
        if self._promised is not None and not self._promised.done():
            # A journal that fails is told as a fault; it costs nobody their call.
            await asyncio.wait([self._promised], timeout=SLOW_DISK_SECONDS)
            if not self._promised.done():
                self.alert()
                await asyncio.wait([self._promised])
        await self.leg.answer()

    def alert(self) -> None:
        """Let the caller hear that somebody is rung. After the phones were rung, who are to be quick."""
        if self.leg.answered:
            self.leg.ringback()
        else:
            self.leg.ring()

    def at(self, where: str, **facts: int | str) -> None:
        """The caller is here now."""
        if where != self.where:
            self.record.path.append(where)
        self.note(where, **facts)

    def note(self, where: str, **facts: int | str) -> None:
        """Write a step to the journal, without making anybody wait."""
        if self._promised is not None:
            self.house.adopt(self._step(where, facts), "journal step")

    def connected(self, by: str) -> None:
        """A person talks with the caller."""
        self.outcome = "answered"
        self.with_ = by
        if self._connected is None:
            self._connected = self._loop.time()
            self.record.answered_at = self.house.clock.now()
            self.record.answered_by = by

    @property
    def waited(self) -> float:
        return (self._connected if self._connected is not None else self._loop.time()) - self.started

    def fresh(self, target: Destination) -> bool:
        """Whether no forward has led there in this call; marks it."""
        if str(target) in self.forwarded:
            return False
        self.forwarded.add(str(target))
        return True

    def nobody(self) -> Destination | None:
        """Nobody took it: back to who transferred, or to the operator. An outside caller is never just dropped."""
        back, self.fallback = self.fallback, None
        if back is not None:
            return back
        patient = self.record.direction in {"in", "transferred"}
        return self.house.operator if patient and self.fresh(self.house.operator) else None

    def let_go(self) -> None:
        """The leg goes on in another call: do not hang it up when this one is closed."""
        self._ours = False
        self.leg.served_by(None)

    async def event(self) -> LegEvent:
        """The caller's next event. Raises :class:`HungUp`."""
        event = await self.leg.event()
        if isinstance(event, Ended):
            raise HungUp
        return event

    def close(self) -> None:
        """End what is left: the leg, the promise, the record."""
        left = self.leg.ended is not None
        if self._ours:
            self.leg.served_by(None)
            self.leg.hang_up(self.refusal)
        record = self.record
        record.ended_at = self.house.clock.now()
        record.waited = self.waited
        record.talked = self._loop.time() - self._connected if self._connected is not None else 0.0
        record.outcome = self.outcome or ("abandoned" if left else "ended")
        self.house.calls.write(record)
        self.house.recent.append(record)
        if self._promised is not None:
            self.house.adopt(self._keep(_KEPT.get(record.outcome, Kept.NOTHING_OWED), record.answered_by), "promise kept")

    #: how an unanswered caller is refused
    refusal: Cause = Cause.NORMAL

    async def _step(self, where: str, facts: dict[str, int | str]) -> None:
        assert self._promised is not None
        await self.house.journal.step(await self._promised, where, **facts)

    async def _keep(self, how: Kept, by: str) -> None:
        assert self._promised is not None
        if self.filing is not None:
            await asyncio.shield(self.filing)
        await self.house.journal.keep(await self._promised, how, by)


@contextmanager
def opened(house: House, leg: Leg, direction: str) -> Iterator[Call]:
    """Look after a leg: whatever happens inside, the call is closed once."""
    call = Call(house, leg, direction)
    house.open_calls[leg.id] = call
    try:
        yield call
    except HungUp:
        pass
    finally:
        house.open_calls.pop(leg.id, None)
        call.close()
        house.nudge()


def person(leg: Leg) -> str:
    """Who is at this leg, for a record: the extension, the number dialled, or the number that called."""
    return leg.extension or (leg.far.number if leg.direction is Direction.IN else leg.dialed)


def place(leg: Leg) -> str:
    """The same as a step of a caller's way."""
    return f"extension:{leg.extension}" if leg.extension else f"number:{person(leg)}"


def display(caller: Party) -> str:
    """A caller in one short text for a screen."""
    number = caller.number or "withheld"
    return f"{caller.name} {number}" if caller.name else number

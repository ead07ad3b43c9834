"""Ringing phones: several at once, in turn, or more and more; the first to answer gets the call (REQ-G1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from appliance.flows.house import House
from appliance.flows.keys import playing
from appliance.flows.ports import Answered, Cause, Digit, Ended, Leg

#: an outside member has this long to press 1 after answering
ACCEPT_SECONDS = 12.0

Wave = Callable[[], Sequence[Leg]]
_News = tuple[Leg, Cause | None]


@dataclass(slots=True)
class Rung:
    """``winner`` is the answered leg; without one, ``causes`` tells why each leg ended."""

    winner: Leg | None = None
    causes: list[Cause] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        return bool(self.causes) and all(cause is Cause.BUSY for cause in self.causes)


class Ringing:
    """One ring, with the legs that ring now. Another phone may pick the call up (:meth:`take`)."""

    def __init__(self, house: House, *, confirm: Collection[str] = ()) -> None:
        """``confirm``: dialled numbers whose answer counts only with key 1 (a mobile's voicemail presses nothing)."""
        self._house = house
        self._confirm = confirm
        self._inbox: asyncio.Queue[_News] = asyncio.Queue()
        self._legs: dict[Leg, asyncio.Task[None]] = {}
        self.extensions: set[str] = set()
        self._done = False
        #: what phones are told whose ringing nobody needs any more
        self.unneeded = Cause.NO_ANSWER

    def take(self, leg: Leg) -> bool:
        """Give the call to this (answered) leg; ``False`` when it is too late."""
        if self._done:
            return False
        self._done = True
        self._inbox.put_nowait((leg, None))
        return True

    async def run(self, waves: Sequence[Wave], seconds: float, *, keep: bool = False) -> Rung:
        """Ring wave after wave, each for ``seconds``; ``keep`` lets the earlier waves ring on (escalation)."""
        rung = Rung()
        self._house.ringing.append(self)
        try:
            for wave in waves:
                for leg in wave():
                    self._legs[leg] = asyncio.create_task(self._follow(leg))
                    if leg.extension is not None:
                        self.extensions.add(leg.extension)
                await self._wave(rung, seconds)
                if rung.winner is not None:
                    break
                if not keep:
                    self._stop(None)
        finally:
            self._done = True
            self._house.ringing.remove(self)
            self._stop(rung.winner)
            self._late(rung.winner)
            self._house.nudge()
        return rung

    async def _wave(self, rung: Rung, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while self._legs or self._done:
                    leg, cause = await self._inbox.get()
                    if cause is None and leg.ended is not None:
                        # Answered, and gone in the same moment (a phone whose sound fails does that): nobody has the call.
                        self._done, cause = False, leg.ended
                    if cause is None:
                        rung.winner = leg
                        self._done = True
                        return
                    rung.causes.append(cause)
                    self._legs.pop(leg, None)
        except TimeoutError:
            pass

    async def _follow(self, leg: Leg) -> None:
        while True:
            event = await leg.event()
            if isinstance(event, Ended):
                self._inbox.put_nowait((leg, event.cause))
                return
            if isinstance(event, Answered):
                if leg.dialed in self._confirm and not await self._accepted(leg):
                    leg.hang_up()
                    continue
                self._inbox.put_nowait((leg, None))
                return

    async def _accepted(self, leg: Leg) -> bool:
        sound = self._house.prompts.phrase("group.accept")
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                while True:
                    async with playing(leg, sound), asyncio.timeout(sound.seconds + 1.0):
                        while True:
                            event = await leg.event()
                            if isinstance(event, Ended):
                                self._inbox.put_nowait((leg, event.cause))
                                return False
                            if isinstance(event, Digit):
                                return event.key == "1"
        except TimeoutError:
            return False

    def _stop(self, winner: Leg | None) -> None:
        """End every leg but the winner; they are told that the call was taken, so that no missed call is shown."""
        for leg, task in self._legs.items():
            task.cancel()
            if leg is not winner:
                leg.hang_up(Cause.ELSEWHERE if winner is not None else self.unneeded)
        self._legs.clear()

    def _late(self, winner: Leg | None) -> None:
        """Somebody answered in the same moment as the winner, or as the time ran out: theirs is over."""
        while not self._inbox.empty():
            leg, cause = self._inbox.get_nowait()
            if cause is None and leg is not winner:
                leg.hang_up(Cause.ELSEWHERE)

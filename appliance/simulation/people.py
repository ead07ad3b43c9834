"""People at the ends of simulated calls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from appliance.flows.ports import Cause
from appliance.simulation.town import FarEnd, SimLeg


def answers(after: float = 3.0, talks: float | None = None) -> FarEnd:
    """Lets it ring, picks up, and hangs up after ``talks`` seconds (``None``: never by themselves)."""

    async def life(leg: SimLeg) -> None:
        leg.far_ring()
        await asyncio.sleep(after)
        leg.far_answer()
        if talks is not None:
            await asyncio.sleep(talks)
            leg.far_hang_up()

    return life


def ignores() -> FarEnd:
    """Lets it ring for ever."""

    async def life(leg: SimLeg) -> None:
        leg.far_ring()

    return life


def rejects(cause: Cause = Cause.DECLINED, after: float = 1.0) -> FarEnd:
    async def life(leg: SimLeg) -> None:
        leg.far_ring()
        await asyncio.sleep(after)
        leg.far_hang_up(cause)

    return life


def robot(after: float = 2.0) -> FarEnd:
    """A mobile's voicemail: answers at once and presses nothing."""
    return answers(after, talks=60.0)


def accepts(after: float = 2.0, key: str = "1", talks: float | None = None) -> FarEnd:
    """An outside member who presses a key when asked to."""

    async def life(leg: SimLeg) -> None:
        leg.far_ring()
        await asyncio.sleep(after)
        leg.far_answer()
        await asyncio.sleep(2.0)
        leg.far_press(key)
        if talks is not None:
            await asyncio.sleep(talks)
            leg.far_hang_up()

    return life


@dataclass
class Desk:
    """A phone with one person at it: takes one call at a time, answers after a while, talks, hangs up.

    ``served`` lists the callers talked with, in order.
    """

    extension: str
    answers_after: float = 2.0
    talks: float = 60.0
    served: list[str] = field(default_factory=list)
    busy: bool = False

    async def __call__(self, leg: SimLeg) -> None:
        if self.busy:
            leg.far_hang_up(Cause.BUSY)
            return
        leg.far_ring()
        await asyncio.sleep(self.answers_after)
        if leg.ended is not None:
            return
        self.busy = True
        leg.far_answer()
        try:
            if await leg.far_until(lambda me: bool(me.joined)):
                self.served += [other.far.number for other in leg.joined]
                await asyncio.sleep(self.talks)
        finally:
            self.busy = False
            leg.far_hang_up()

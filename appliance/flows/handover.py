"""Legs that leave one call for another: a party that a phone of the house has transferred away."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from appliance.config.schema import Destination
from appliance.flows.call import Call, opened, person, place
from appliance.flows.ports import Leg

if TYPE_CHECKING:
    from appliance.flows.house import House

#: a leg that goes on in another call has a record for each
_numbers = itertools.count(2)


def give_away(house: House, leg: Leg, target: Destination, back: Destination | None) -> None:
    """Look after ``leg`` (answered) in a call of its own and lead it to ``target``; ``back`` when nobody is there."""
    house.adopt(_lead(house, leg, target, back), "transferred call")


def rejoin(house: House, leg: Leg, other: Leg, without: Leg) -> None:
    """Two parties whose phone has left both go on talking, in a call of their own. Of an outside party it is the call."""
    if leg.line is None and other.line is not None:
        leg, other = other, leg
    house.adopt(_talk(house, leg, other, without), "transferred call")


def goes_on(call: Call, parties: Sequence[Leg], without: Leg) -> None:
    """One has left a talk that goes on: an agent is free again, the record and the phones name who has whom now."""
    if without.extension is not None:
        call.house.agents.finished(without.extension, 0.0)
    if len(parties) != 2:
        return
    for one, other in (parties, reversed(parties)):
        if one.extension is not None:
            one.show(call.house.shows(other.far))
        if one is call.leg and person(other) != call.with_:
            call.at(place(other))
            call.with_ = person(other)


async def _lead(house: House, leg: Leg, target: Destination, back: Destination | None) -> None:
    # What a leg is led to may itself hand legs over: only here do the two know each other.
    from appliance.flows.destinations import lead_safely  # noqa: PLC0415

    with _continued(house, leg) as call:
        leg.served_by(asyncio.current_task())
        call.fallback = back
        await lead_safely(call, target)


async def _talk(house: House, leg: Leg, other: Leg, without: Leg) -> None:
    from appliance.flows.conversation import Conversation  # noqa: PLC0415

    with _continued(house, leg) as call:
        call.at(place(other))
        call.connected(person(other))
        goes_on(call, [leg, other], without)
        target = await Conversation(call, other).run()
        if target is not None:
            from appliance.flows.destinations import lead_safely  # noqa: PLC0415

            await lead_safely(call, target)


@contextmanager
def _continued(house: House, leg: Leg) -> Iterator[Call]:
    with opened(house, leg, "internal" if leg.line is None else "transferred") as call:
        call.record.id = f"{leg.id}-{next(_numbers)}"
        if leg.line is not None:
            call.promise()
        yield call

"""Parking a caller in a slot from which any phone can take them; nobody stays there for ever (REQ-Q7)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from appliance.config.schema import Destination
from appliance.flows.call import Call
from appliance.flows.conversation import talk
from appliance.flows.ports import Cause, Leg, Shown
from appliance.flows.ringing import Ringing


@dataclass(slots=True)
class Parked:
    """A parked caller; whoever dials the slot gives their leg to ``taken``."""

    call: Call
    since: float
    taken: asyncio.Future[Leg] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


async def park(call: Call, slot: str) -> Destination | None:
    """Park the caller in ``slot`` (``""``: the first free one). After the recall time the parker is rung, then the
    operator gets the caller; neither can be configured away."""
    house = call.house
    slots = [slot] if slot else list(house.clinic.dialing.park_slots)
    free = next((s for s in slots if s not in house.parked), None)
    back, call.fallback = call.fallback, None
    if free is None:
        return back or house.operator
    parked = Parked(call, asyncio.get_running_loop().time())
    house.parked[free] = parked
    call.at(f"park:{free}")
    call.leg.music("default")
    if back is not None:
        house.adopt(_tell_slot(call, back.name, free), "park slot told")
    try:
        leg = await _taken(parked, house.clinic.dialing.recall_seconds) or await _recall(parked, back, free)
    except BaseException:
        if parked.taken.done():
            parked.taken.result().hang_up()
        raise
    finally:
        del house.parked[free]
    if parked.taken.done() and leg is not (taker := parked.taken.result()):
        # They dialled the slot in the moment in which the recall was answered, or ran out.
        if leg is None:
            leg = taker
        else:
            taker.hang_up(Cause.ELSEWHERE)
    if leg is None:
        return house.operator
    return await talk(call, leg, leg.extension or leg.dialed)


async def retrieve(call: Call, slot: str) -> Destination | None:
    """A phone dials a slot: it gets the caller parked there, and the caller's own call goes on with it."""
    house = call.house
    await call.answer()
    parked = house.parked.get(slot)
    if parked is None or parked.taken.done():
        await call.leg.play(house.prompts.phrase("park.empty"))
        call.outcome = "nobody parked"
        return None
    call.outcome = "retrieved"
    call.let_go()
    parked.taken.set_result(call.leg)
    return None


async def _taken(parked: Parked, seconds: float) -> Leg | None:
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(parked.taken)
    except TimeoutError:
        return None


async def _recall(parked: Parked, back: Destination | None, slot: str) -> Leg | None:
    """Ring the phone that parked; somebody may still take the caller from the slot meanwhile."""
    house = parked.call.house
    if back is None:
        return None
    ringing = Ringing(house)
    parked.taken.add_done_callback(lambda taken: None if taken.cancelled() else ringing.take(taken.result()))
    shown = Shown(house.shows(parked.call.caller), via=f"Parked {slot}")
    seconds = house.clinic.phone_ring_seconds(back.name)
    rung = await ringing.run([lambda: house.switch.ring_phone(back.name, shown)], seconds)
    return rung.winner


async def _tell_slot(call: Call, extension: str, slot: str) -> None:
    """Call the parker's phone shortly and say the slot: it stands on the display and is heard."""
    house = call.house
    shown = Shown(house.shows(call.caller), via=f"Parked on {slot}", auto_answer=True)
    ringing = Ringing(house)
    ringing.unneeded = Cause.ELSEWHERE  # nobody was missed
    rung = await ringing.run([lambda: house.switch.ring_phone(extension, shown)], 8.0)
    if rung.winner is not None:
        await rung.winner.play(house.prompts.phrase("park.slot", slot=slot))
        rung.winner.hang_up()

"""Emergency calls (REQ-E1; 47 CFR 9.16): from every phone, always, over whatever line there is."""

from __future__ import annotations

import asyncio

from appliance.flows.call import Call, display
from appliance.flows.callerid import emergency_callback
from appliance.flows.conversation import talk
from appliance.flows.outgoing import dial
from appliance.flows.ports import Cause, Direction, Leg
from appliance.lines.choice import emergency_ways

#: between two rounds over all lines
PAUSE_SECONDS = 1.0
RING_SECONDS = 60.0
#: an ordinary call that gives way is gone within this time, or its line is dialled all the same
ROOM_SECONDS = 1.0


async def emergency(call: Call, code: str) -> None:
    """Dial ``code`` over one line after the other, in the order analog, LTE, SIP, round and round until somebody answers
    or the caller hangs up. When no line has room an ordinary call gives way."""
    house = call.house
    house.emergencies.add(call.leg.id)
    phone = house.clinic.phone(call.leg.extension or "")
    place = f"{phone.name}, {phone.location}" if phone is not None else "an unknown phone"
    house.alarm(f"{house.now():%H:%M} {code} was dialled from {place} (extension {call.leg.extension})")
    try:
        leg = await _reach(call, code)
        house.emergencies.add(leg.id)
        try:
            await talk(call, leg, code, features=False)
        finally:
            house.emergencies.discard(leg.id)
    finally:
        house.emergencies.discard(call.leg.id)


async def _reach(call: Call, code: str) -> Leg:
    house = call.house
    while True:
        for line in emergency_ways(house.switch.lines()):
            try:
                await _make_room(call, line)
                leg, _ = await dial(call, line, code, ring_seconds=RING_SECONDS, caller=emergency_callback(call, line))
            except Exception as error:
                # Whatever is wrong with this line: there may be another.
                house.fault(f"an emergency call over {line}", error)
                continue
            if leg is not None:
                return leg
        await asyncio.sleep(PAUSE_SECONDS)


async def _make_room(call: Call, line: str) -> None:
    """When the line is full, end one ordinary call on it: the most expendable.

    Lines with room are dialled before full ones, so this happens when there are none, or none of them leads out.
    """
    house = call.house
    if not any(state.name == line and state.in_use >= state.capacity for state in house.switch.lines()):
        return
    ordinary = [leg for leg in house.switch.legs() if leg.line == line and leg.id not in house.emergencies]
    if not ordinary:
        return
    # A call of our own making before a patient's; one that nobody has answered yet before a conversation.
    victim = min(ordinary, key=lambda leg: (leg.direction is Direction.IN, leg.answered))
    if victim.direction is Direction.IN:
        house.alarm(f"{house.now():%H:%M} {display(victim.far)} was cut off for an emergency call: call them back")
    victim.hang_up(Cause.CONGESTION)
    deadline = asyncio.get_running_loop().time() + ROOM_SECONDS
    while victim.ended is None and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - its events are others'
        await asyncio.sleep(0.01)


async def emergency_test(call: Call) -> None:
    """933: say what an emergency call from this phone would tell, and reach nobody."""
    house = call.house
    await call.answer()
    callback = emergency_callback(call, house.clinic.lines[0].name if house.clinic.lines else "").number
    phone = house.clinic.phone(call.leg.extension or "")
    sound = house.prompts.phrase("emergency.test", callback=callback)
    if phone is not None and phone.location:
        sound = sound + house.prompts.text(phone.location)
    call.outcome = "emergency test"
    await call.leg.play(sound)

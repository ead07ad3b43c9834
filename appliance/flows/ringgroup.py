"""A ring group (REQ-G1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from appliance.config.schema import Destination
from appliance.flows.call import Call
from appliance.flows.callerid import presented
from appliance.flows.conversation import talk
from appliance.flows.extension import do_not_disturb
from appliance.flows.ports import Leg, Shown
from appliance.flows.ringing import Ringing
from appliance.lines.choice import ways


async def group(call: Call, name: str) -> Destination | None:
    house = call.house
    rules = house.clinic.groups[name]
    shown = Shown(house.shows(call.caller), via=rules.label)
    members = [member for member in rules.members if member.startswith("+") or not do_not_disturb(call, member)]
    outside = {member for member in members if member.startswith("+")}
    ringing = Ringing(house, confirm=outside)
    if rules.strategy == "all":
        waves = [partial(_ring, call, members, shown)]
    else:
        waves = [partial(_ring, call, [member], shown) for member in members]
    rung = await ringing.run(waves, rules.ring_seconds, keep=rules.strategy == "escalate")
    if rung.winner is None:
        return rules.no_answer
    return await talk(call, rung.winner, rung.winner.extension or rung.winner.dialed)


def _ring(call: Call, members: Sequence[str], shown: Shown) -> list[Leg]:
    house = call.house
    legs: list[Leg] = []
    for member in members:
        if not member.startswith("+"):
            legs += house.switch.ring_phone(member, shown)
        elif lines := ways(house.switch.lines()):
            legs.append(house.switch.seize(lines[0], member, *presented(call, lines[0])))
    call.alert()
    return legs

"""Star codes dialled from a phone of the house: pickup, do-not-disturb, forwards, agents' log-in and pause."""

from __future__ import annotations

from appliance.config.dialing import Kind
from appliance.config.schema import Destination
from appliance.flows.call import Call
from appliance.flows.ringing import Ringing


async def feature(call: Call, name: str, argument: str) -> Destination | None:
    """Do what a star code says (names in `appliance.config.dialing.FEATURES`)."""
    house = call.house
    extension = call.leg.extension or ""
    if name in {"pickup", "group pickup"}:
        return await _pick_up(call, argument)
    if name == "voicemail":
        phone = house.clinic.phone(extension)
        return Destination("mailbox", phone.mailbox) if phone is not None and phone.mailbox else None
    agents = house.agents
    said = f"feature.{name.replace(' ', '_')}"
    match name:
        case "dnd on":
            house.memory.put(f"dnd/{extension}", True)
        case "dnd off":
            house.memory.put(f"dnd/{extension}", False)
        case "forward on":
            target = _forward_target(call, argument)
            if target is None:
                said = "feature.failed"
            else:
                house.memory.put(f"forward/{extension}", str(target))
        case "forward off":
            house.memory.put(f"forward/{extension}", None)
        case "login":
            agents.login(extension)
        case "logout":
            agents.logout(extension)
        case "pause":
            agents.pause(extension)
        case "unpause":
            agents.unpause(extension)
    house.nudge()
    call.outcome = "feature"
    await call.answer()
    await call.leg.play(house.prompts.phrase(said))
    return None


def _forward_target(call: Call, argument: str) -> Destination | None:
    understood = call.house.understand(argument)
    if understood.kind is Kind.EXTENSION and understood.number != call.leg.extension:
        return Destination("extension", understood.number)
    phone = call.house.clinic.phone(call.leg.extension or "")
    if understood.kind is Kind.OUTSIDE and phone is not None and phone.outside_calls:
        return Destination("number", understood.number)
    return None


async def _pick_up(call: Call, extension: str) -> Destination | None:
    """Take a call that rings at ``extension``, or (``""``) the one that has rung longest anywhere."""
    house = call.house
    ringing: Ringing | None = next((r for r in house.ringing if not extension or extension in r.extensions), None)
    await call.answer()
    if ringing is None or not ringing.take(call.leg):
        await call.leg.play(house.prompts.phrase("feature.failed"))
        call.outcome = "nothing to pick up"
        return None
    call.outcome = "picked up"
    call.let_go()
    return None

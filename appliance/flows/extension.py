"""A call to a phone of the house: all its devices ring; forwards, do-not-disturb, somebody always at the end."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.config.schema import Destination, Phone
from appliance.flows.call import Call
from appliance.flows.conversation import talk
from appliance.flows.ports import Cause, Leg, Shown
from appliance.flows.ringing import Ringing


async def extension(call: Call, number: str) -> Destination | None:
    house = call.house
    phone = house.clinic.phone(number)
    if phone is None:
        return _nobody(call, Cause.NOT_FOUND)
    always = _always(call, phone)
    if always is not None and call.fresh(always):
        return always
    if do_not_disturb(call, number):
        return _refused(call, phone, Cause.BUSY)
    if phone.forward_busy is not None and any(leg.answered for leg in house.legs_of(number)):
        return _refused(call, phone, Cause.BUSY)
    shown = Shown(house.shows(call.caller), via=_via(call))

    def wave() -> Sequence[Leg]:
        legs = house.switch.ring_phone(number, shown)
        call.alert()
        return legs

    rung = await Ringing(house).run([wave], phone.ring_seconds)
    if rung.winner is not None:
        return await talk(call, rung.winner, rung.winner.extension or number)
    return _refused(call, phone, Cause.BUSY if rung.busy else Cause.NO_ANSWER)


def do_not_disturb(call: Call, number: str) -> bool:
    return call.house.memory.get(f"dnd/{number}") is True


def _always(call: Call, phone: Phone) -> Destination | None:
    """The forward set at the phone goes before the configured one."""
    kept = call.house.memory.get(f"forward/{phone.extension}")
    return Destination.parse(kept) if isinstance(kept, str) else phone.forward_always


def _refused(call: Call, phone: Phone, cause: Cause) -> Destination | None:
    """The phone was busy, or nobody answered it: where the practice wants such callers, or somewhere that is safe."""
    busy = cause is Cause.BUSY
    wanted = [phone.forward_busy if busy else None, phone.forward_no_answer]
    if phone.mailbox is not None:
        wanted.append(Destination("mailbox", phone.mailbox))
    for target in wanted:
        if target is not None and call.fresh(target):
            return target
    return _nobody(call, cause)


def _nobody(call: Call, cause: Cause) -> Destination | None:
    target = call.nobody()
    if target is not None:
        return target
    call.refusal = cause
    call.outcome = "busy" if cause is Cause.BUSY else "no answer" if cause is Cause.NO_ANSWER else "not found"
    return None


def _via(call: Call) -> str:
    number = call.house.clinic.number(call.leg.dialed)
    return number.name if number is not None and call.leg.line is not None else ""

"""Leads a call from place to place: each flow returns where the caller goes next, or ``None`` when all is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from appliance.config.schema import Destination
from appliance.flows.attendant import menu
from appliance.flows.call import Call, HungUp
from appliance.flows.extension import extension
from appliance.flows.mailbox import mailbox
from appliance.flows.outgoing import number
from appliance.flows.park import park
from appliance.flows.queues import queue
from appliance.flows.ringgroup import group

#: a caller who was led so often goes in a circle that no check has seen
MOST_HOPS = 25


async def announce(call: Call, name: str) -> Destination | None:
    """Say a message of the configuration and end the call."""
    house = call.house
    await call.answer()
    call.outcome = "announced"
    await call.leg.play(house.prompts.text(house.clinic.messages[name].text) + house.prompts.phrase("goodbye"))
    return None


async def hangup(call: Call, name: str) -> Destination | None:
    """The configuration wants the call to end here."""
    return None


FLOWS: Mapping[str, Callable[[Call, str], Awaitable[Destination | None]]] = {
    "menu": menu,
    "queue": queue,
    "group": group,
    "extension": extension,
    "mailbox": mailbox,
    "number": number,
    "park": park,
    "announce": announce,
    "hangup": hangup,
}


async def lead(call: Call, target: Destination | None) -> None:
    """Lead the caller on until somebody has looked after them."""
    hops = 0
    while target is not None:
        hops += 1
        if hops > MOST_HOPS:
            call.house.alarm(f"a caller went in a circle: {' → '.join(call.record.path[-4:])}")
            return
        call.at(str(target))
        target = await FLOWS[target.kind](call, target.name)


async def lead_safely(call: Call, target: Destination | None) -> None:
    """The same for callers from outside: a fault of ours must not cost them a person."""
    try:
        await lead(call, target)
    except HungUp:
        raise
    except Exception as error:
        call.house.fault(f"a call at {call.where}", error)
        # The talk that failed may have taken their hang-up upon itself.
        call.leg.served_by(asyncio.current_task())
        await lead(call, call.house.operator)

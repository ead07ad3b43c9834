"""``*2`` and ``*3`` during a talk: the far party waits with music while the phone speaks with a third."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.config.schema import Destination
from appliance.flows.ports import Digit, Ended, Leg, Party, Shown
from appliance.flows.ringing import Ringing

if TYPE_CHECKING:
    from appliance.flows.conversation import Conversation


async def consult(talk: Conversation, leg: Leg) -> Destination | None:
    """Ask for an extension and connect ``leg`` with it. Hanging up then connects the other two; ``*3`` makes it a conference,
    ``*2`` goes back. Returns where the caller goes when the phone hung up before the third answered."""
    others = talk.peers(leg)
    if len(others) != 1:
        return None
    far, house = others[0], talk.house
    far.music("default")
    await leg.play(house.prompts.phrase("transfer.to"))
    target = talk.target_of(leg, await talk.dialed(leg))
    if target is None or target.kind != "extension":
        await leg.play(house.prompts.phrase("transfer.failed"))
        talk.connect()
        return None
    leg.ringback()
    shown = Shown(Party(leg.extension or "", ""), via="Consultation")
    seconds = house.clinic.phone_ring_seconds(target.name)
    rung = await Ringing(house).run([lambda: house.switch.ring_phone(target.name, shown)], seconds)
    if rung.winner is not None:
        await _three(talk, leg, far, rung.winner)
        return None
    if leg.ended is not None:
        talk.leave(leg)
        return _blind_after_all(talk, leg, far, target)
    await leg.play(house.prompts.phrase("transfer.failed"))
    talk.connect()
    return None


def _blind_after_all(talk: Conversation, leg: Leg, far: Leg, target: Destination) -> Destination | None:
    """The phone hung up while the third still rang."""
    if far not in talk.parties:
        return None  # another call has taken them over meanwhile
    return talk.send_on(far, target, leg)


async def _three(talk: Conversation, leg: Leg, far: Leg, third: Leg) -> None:
    """Until the phone decides, or somebody leaves; then all who are left hear one another."""
    talk.parties.append(third)
    talk.read(third)
    if leg.ended is None:
        talk.house.switch.join(leg, third)
        far.music("default")
    star = False
    while leg.ended is None and third.ended is None and far.ended is None:
        who, event = await talk.event()
        if isinstance(event, Ended):
            talk.again(who, event)
            break
        if who is leg and isinstance(event, Digit):
            if star and event.key == "3":
                break
            if star and event.key == "2":
                third.hang_up()
                break
            star = event.key == "*"
    talk.connect()

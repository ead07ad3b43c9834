"""Calls to the outside: the lines in order, the next at once when one does not work (REQ-B4)."""

from __future__ import annotations

import asyncio

from appliance.config.schema import Destination
from appliance.flows.call import Call
from appliance.flows.callerid import presented
from appliance.flows.conversation import talk
from appliance.flows.ports import Answered, Cause, EarlyMedia, Ended, Leg, LegEvent, Party, Ringing
from appliance.lines.choice import ways

#: a line that shows no sign of life in this time is left for the next
PROGRESS_SECONDS = 4.0
#: a network that has said that it works on the call may take so long to ring (mobile phones abroad do)
TRYING_SECONDS = 20.0
#: how long a far end may ring
RING_SECONDS = 120.0

#: causes that tell about the line, not about the person called: another line may do better
LINE_CAUSES = frozenset({Cause.CONGESTION, Cause.UNREACHABLE, Cause.FAILED, Cause.FORBIDDEN, Cause.INCOMPATIBLE})


async def number(call: Call, dialed: str) -> Destination | None:
    """Dial ``dialed`` (E.164) for this caller and let them talk."""
    house = call.house
    phone = house.clinic.phone(call.leg.extension or "")
    if phone is not None and not phone.outside_calls:
        call.refusal, call.outcome = Cause.FORBIDDEN, "not allowed"
        return None
    cause = Cause.CONGESTION
    for line in ways(house.switch.lines()):
        leg, cause = await dial(call, line, dialed)
        if leg is not None:
            return await talk(call, leg, dialed)
        if cause not in LINE_CAUSES:
            break
    target = call.nobody()
    if target is not None:
        return target
    call.refusal = cause
    call.outcome = {Cause.BUSY: "busy", Cause.NO_ANSWER: "no answer"}.get(cause, "failed")
    if call.leg.answered:
        await call.leg.play(house.prompts.phrase("call.no_line" if cause in LINE_CAUSES else "call.unknown"))
    return None


async def dial(
    call: Call, line: str, dialed: str, *, ring_seconds: float = RING_SECONDS, caller: Party | None = None
) -> tuple[Leg | None, Cause]:
    """Try one line: the answered leg, or ``None`` and why not. The caller hears ringing, or what the far end sends.

    ``caller``: whom the called party sees, in place of what the line's rules say.
    """
    if not any(state.name == line for state in call.house.switch.lines()):
        # A reload took it away while another was tried.
        return None, Cause.CONGESTION
    shown, headers = presented(call, line) if caller is None else (caller, {})
    leg = call.house.switch.seize(line, dialed, shown, headers)
    answered = rang = False
    try:
        event = await _sign_of_life(leg)
        async with asyncio.timeout(ring_seconds):
            while True:
                if isinstance(event, Ended):
                    return None, event.cause
                if isinstance(event, (Ringing, EarlyMedia)):
                    rang = True
                    _progress(call, leg, early=isinstance(event, EarlyMedia))
                if isinstance(event, Answered):
                    answered = True
                    call.record.line = call.record.line or line
                    return leg, Cause.NORMAL
                event = await leg.event()
    except TimeoutError:
        return None, Cause.NO_ANSWER if rang else Cause.UNREACHABLE
    finally:
        if not answered:
            leg.hang_up(Cause.NO_ANSWER)


async def _sign_of_life(leg: Leg) -> LegEvent:
    """The leg's first event. Raises ``TimeoutError`` when the line is silent, or a network that works on it takes too long."""
    try:
        async with asyncio.timeout(PROGRESS_SECONDS):
            return await leg.event()
    except TimeoutError:
        if not leg.trying:
            raise
    async with asyncio.timeout(TRYING_SECONDS):
        return await leg.event()


def _progress(call: Call, leg: Leg, *, early: bool) -> None:
    if early:
        call.house.switch.join(call.leg, leg)
    else:
        call.alert()

"""Taking a message (REQ-A2). Callers never get further than the operator from here."""

from __future__ import annotations

import asyncio
from pathlib import Path

from appliance.config.schema import Destination
from appliance.flows.call import Call, HungUp
from appliance.flows.keys import key_after
from appliance.flows.ports import Digit


async def mailbox(call: Call, name: str) -> Destination | None:
    """Greeting, tone, recording. ``#`` or hanging up ends it; ``0`` during the greeting is the operator."""
    house = call.house
    rules = house.clinic.mailboxes[name]
    await call.answer()
    prompts = house.prompts
    greeting = prompts.text(rules.greeting) if rules.greeting else prompts.phrase("mailbox.greeting")
    if await key_after(call, greeting, 0.1) == "0" and house.operator.kind != "mailbox":
        return house.operator
    await call.leg.play(prompts.phrase("beep"))
    call.leg.flush_digits()
    if not await _record(call, name, rules.limit_seconds):
        house.alarm(f"a message for {name} could not be recorded")
        return call.nobody()
    await call.leg.play(prompts.phrase("mailbox.stored") + prompts.phrase("goodbye"))
    return None


async def _record(call: Call, name: str, limit: float) -> bool:
    """Record until a key, the limit or the end; what was said is kept in every case. ``False``: nothing can be recorded."""
    house, loop = call.house, asyncio.get_running_loop()
    path = house.messages.begin(name, call.caller)
    started = loop.time()
    recorder = asyncio.create_task(call.leg.record(path, limit))
    await asyncio.sleep(0)
    if recorder.done():
        return False  # it has not even begun
    try:
        async with asyncio.timeout(limit):
            while True:
                event = await call.event()
                if isinstance(event, Digit) and event.key in "#*":
                    break
    except (TimeoutError, HungUp):
        pass
    finally:
        recorder.cancel()
        seconds = loop.time() - started
        if seconds >= 1.0:
            call.outcome = "message"
        call.filing = house.adopt(_file(call, name, path, seconds, recorder), "message")
    return True


async def _file(call: Call, name: str, path: Path, seconds: float, recorder: asyncio.Task[float]) -> None:
    """Put the recording into the mailbox once its file is closed."""
    await asyncio.wait([recorder])
    await call.house.messages.finish(name, call.caller, path, seconds)

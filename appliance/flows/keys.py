"""Asking a caller for keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appliance.flows.call import Call
from appliance.flows.ports import Digit, Leg, Sound


@asynccontextmanager
async def playing(leg: Leg, sound: Sound) -> AsyncIterator[None]:
    """Play while the body runs; leaving it stops the sound."""
    player = asyncio.create_task(leg.play(sound))
    try:
        yield
    finally:
        player.cancel()


async def key_after(call: Call, sound: Sound, wait: float) -> str | None:
    """Play, and return the first key pressed meanwhile or within ``wait`` seconds after; ``None`` when none was.

    A key stops the sound at once (barge-in); keys pressed ahead count.
    """
    try:
        async with asyncio.timeout(sound.seconds + wait), playing(call.leg, sound):
            while True:
                event = await call.event()
                if isinstance(event, Digit):
                    return event.key
    except TimeoutError:
        return None


async def more_keys(call: Call, first: str, pause: float, most: int = 20) -> str:
    """Keys that follow the first, until ``#``, a pause, or ``most`` of them."""
    keys = first
    while len(keys) < most:
        try:
            async with asyncio.timeout(pause):
                event = await call.event()
        except TimeoutError:
            break
        if isinstance(event, Digit):
            if event.key == "#":
                break
            keys += event.key
    return keys

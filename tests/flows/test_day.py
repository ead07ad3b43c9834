"""A whole Monday in virtual time: four hundred calls, seven phones, and nobody forgotten."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from flows.scene import play

from appliance.simulation.office import Office
from appliance.simulation.people import Desk
from appliance.simulation.town import SimLeg

#: calls an hour, from 8 to 17
RUSH = (100, 90, 50, 40, 30, 25, 30, 25, 20)
KEYS = "1111111122334505"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_monday(seed: int) -> None:
    chance = random.Random(seed)

    async def patient(office: Office) -> None:
        leg = office.call_in(f"+1217555{chance.randrange(10_000):04d}")
        await asyncio.sleep(chance.uniform(1, 15))
        leg.far_press(chance.choice(KEYS))
        await _until_over(leg, chance.expovariate(1 / 600))

    async def scene(office: Office) -> None:
        for extension in ("101", "102", "103", "110", "111", "120", "130"):
            office.phone(extension, Desk(extension, answers_after=chance.uniform(1, 6), talks=chance.uniform(60, 200)))
        for calls in RUSH:
            for _ in range(calls):
                office.town.live(patient(office))
                await asyncio.sleep(chance.expovariate(calls / 3600))
        await asyncio.sleep(3600)

    office = play(scene, start="2026-11-30T08:00")
    outcomes = Counter(record.outcome for record in office.log.records)
    assert outcomes.total() == sum(RUSH), "every call has its record"
    assert set(outcomes) <= {"answered", "message", "abandoned"}, outcomes
    assert outcomes["answered"] > 150
    messages = [record for record in office.log.records if record.outcome == "message"]
    assert len(office.messages.left) == len(messages), "every message is in a mailbox"
    kept = Counter(promise.kept for promise in office.journal.promises.values())
    assert None not in kept, "every promise is closed"


async def _until_over(leg: SimLeg, patience: float) -> None:
    """The patient leaves a message, is served, or gives up when patience ends before anybody talks."""
    try:
        async with asyncio.timeout(patience):
            await leg.far_until(lambda me: me.talked_at is not None or "name" in me.hears)
    except TimeoutError:
        leg.far_hang_up()
        return
    if leg.talked_at is None:
        await asyncio.sleep(25)
        leg.far_hang_up()
    else:
        await leg.far_until(lambda me: me.ended is not None)

"""Scenes in virtual time: an office, people, and what must hold when they have gone home."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from appliance.config.schema import Clinic
from appliance.lines.choice import LineState
from appliance.simulation.office import Office, demo_clinic
from appliance.simulation.people import answers
from appliance.simulation.time import run
from appliance.simulation.town import SimLeg

Scene = Callable[[Office], Awaitable[None]]


#: a scene that is not over after so many (virtual) seconds hangs
LONGEST = 200_000.0


def play(
    scene: Scene,
    start: str = "2026-11-30T09:00",
    clinic: Clinic | None = None,
    lines: Sequence[LineState] | None = None,
    settle: float = 120,
) -> Office:
    """Play a scene in an office; ``settle`` seconds afterwards nothing may be left over."""

    async def main() -> Office:
        office = Office(clinic, start, lines)
        async with asyncio.timeout(LONGEST):
            await scene(office)
        await asyncio.sleep(settle)
        assert office.town.living == {}, "a leg was left behind"
        assert office.house.open_calls == {}
        assert office.house.faults == 0, office.house.last_fault
        assert office.journal.open() == [], "a promise is still open"
        return office

    return run(main())


async def hears(leg: SimLeg, words: str) -> None:
    assert await leg.far_until(lambda me: words in me.hears), f"never heard {words!r}: {leg.transcript}"


def together(a: SimLeg, b: SimLeg) -> bool:
    return a.hears_leg(b) and b.hears_leg(a)


def phone_legs(office: Office, extension: str) -> list[SimLeg]:
    return [leg for leg in office.town.history if leg.extension == extension and leg.dialed == extension]


async def ended(leg: SimLeg, seconds: float = 600) -> None:
    """Wait until the leg is gone."""
    async with asyncio.timeout(seconds):
        await leg.far_until(lambda me: me.ended is not None)


async def talks(leg: SimLeg, seconds: float = 600) -> set[str]:
    """Wait until the leg is joined with somebody; their extensions or numbers."""
    async with asyncio.timeout(seconds):
        assert await leg.far_until(lambda me: bool(me.joined)), f"the leg ended ({leg.ended}): {leg.transcript}"
    return {other.extension or other.far.number for other in leg.joined}


async def connected(office: Office, extension: str = "101") -> tuple[SimLeg, SimLeg]:
    """A patient who talks with a phone; the patient's leg and the phone's."""
    office.phone(extension, answers(after=1))
    patient = office.call_in("+12175559001")
    await talks(patient)
    (phone,) = patient.joined
    return patient, phone


def changed(**parts: dict[str, Any]) -> Clinic:
    """The demo clinic with values changed in its tables, e.g. ``changed(queues={"frontdesk": {"max_length": 2}})``."""
    data = demo_clinic().model_dump(mode="json", by_alias=True)
    for part, entries in parts.items():
        for name, values in entries.items():
            if isinstance(values, dict):
                data[part][name] = {**data[part].get(name, {}), **values}
            else:
                data[part][name] = values
    return Clinic.model_validate(data)


def straight_to(destination: str) -> Clinic:
    """The demo clinic whose main number leads to one place at any hour."""
    data = demo_clinic().model_dump(mode="json", by_alias=True)
    data["numbers"] = [{"number": "+12175550100", "open": destination}]
    return Clinic.model_validate(data)

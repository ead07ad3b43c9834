"""911 leaves (REQ-E1; 47 CFR 9.16): from every phone, whatever is configured, busy or broken."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from flows.scene import ended, hears, play, talks
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config.schema import Clinic
from appliance.flows.ports import Party
from appliance.lines.choice import LineState
from appliance.simulation.office import Office, demo_clinic
from appliance.simulation.people import answers, rejects
from appliance.simulation.town import SimLeg

DISPATCHER = answers(after=2)


def line(name: str, kind: str = "sip", capacity: int = 2, *, up: bool = True) -> LineState:
    return LineState(name, kind, up, 0, capacity)


@pytest.mark.parametrize("dialed", ["911", "9911", "+1911", "9 1 1"])
def test_analog_then_lte_then_sip(dialed: str) -> None:
    async def scene(office: Office) -> None:
        office.town.outside["911"] = DISPATCHER
        caller = office.dial("110", dialed)
        await talks(caller)
        (far,) = caller.joined
        assert far.line == "copper"
        assert any("Corridor, room 5" in alarm for alarm in office.house.alarms)
        caller.far_hang_up()
        await ended(far)

    play(scene, lines=[line("sip"), line("mobile", "lte"), line("copper", "analog", 1)])


def test_a_line_that_does_not_work_is_left_for_the_next_within_seconds() -> None:
    async def scene(office: Office) -> None:
        async def dead_on_copper(leg: SimLeg) -> None:
            if leg.line != "copper":
                await DISPATCHER(leg)

        office.town.outside["911"] = dead_on_copper
        caller = office.dial("110", "911")
        await talks(caller, seconds=10)
        assert {leg.line for leg in caller.joined} == {"mobile"}
        caller.far_hang_up()

    play(scene, lines=[line("mobile", "lte"), line("copper", "analog", 1)])


def test_a_refusal_is_not_the_end() -> None:
    """A provider that refuses every call is asked again and again, beside all the others."""

    async def scene(office: Office) -> None:
        office.town.outside["911"] = rejects()
        caller = office.dial("110", "911")
        await asyncio.sleep(20)
        office.town.outside["911"] = DISPATCHER
        await talks(caller, seconds=30)
        caller.far_hang_up()

    play(scene, lines=[line("sip"), line("other")])


def test_an_ordinary_call_gives_way_and_an_emergency_never_does() -> None:
    async def scene(office: Office) -> None:
        office.town.outside["911"] = DISPATCHER
        office.town.outside["+12175551111"] = answers(after=1)
        ordinary = office.dial("101", "92175551111")
        await talks(ordinary)
        (outside,) = ordinary.joined
        first = office.dial("110", "911")
        await talks(first)
        assert outside.ended is not None, "the ordinary call made room"
        second = office.dial("111", "911")
        await asyncio.sleep(20)
        assert first.joined, "an emergency call never gives way"
        assert second.ended is None, "and the second is tried on"
        first.far_hang_up()
        await talks(second)
        second.far_hang_up()
        await ended(ordinary)

    play(scene, lines=[line("copper", "analog", 1)])


def test_933_reads_the_location_back_and_reaches_nobody() -> None:
    async def scene(office: Office) -> None:
        caller = office.dial("110", "933")
        await hears(caller, "Corridor, room 5")
        await ended(caller)
        assert not [leg for leg in office.town.history if leg.line]

    play(scene)


prefixes = st.sampled_from(["", "0", "1", "8", "9"])
extensions = st.from_regex(r"[0-9]{2,6}", fullmatch=True).filter(lambda e: e not in {"911", "933", "9911"})
line_states = st.lists(
    st.tuples(st.sampled_from(["analog", "lte", "sip"]), st.booleans(), st.integers(1, 3), st.integers(0, 3)),
    min_size=0,
    max_size=4,
)


@given(
    prefix=prefixes,
    phones=st.lists(extensions, min_size=1, max_size=6, unique=True),
    rules=st.fixed_dictionaries(
        {
            "outside_calls": st.booleans(),
            "forward_always": st.sampled_from([None, "hangup", "mailbox:urgent"]),
            "srtp": st.sampled_from(["off", "optional", "required"]),
        }
    ),
    hour=st.integers(0, 24 * 400),
    others=line_states,
    working=st.sampled_from(["analog", "lte", "sip"]),
    dnd=st.booleans(),
    data=st.data(),
)
@settings(max_examples=120, deadline=None)
def test_911_always_leaves(
    prefix: str,
    phones: list[str],
    rules: dict[str, Any],
    hour: int,
    others: list[tuple[str, bool, int, int]],
    working: str,
    dnd: bool,
    data: st.DataObject,
) -> None:
    """For any clinic, phone, hour and set of lines of which one works: 911 is answered."""
    clinic = demo_clinic().model_dump(mode="json", by_alias=True)
    clinic["phones"] = [{"extension": e, "name": f"Phone {e}", "location": "Room 1", **rules} for e in phones]
    clinic["dialing"] = {**clinic["dialing"], "outside_prefix": prefix, "park_slots": []}
    clinic["queues"], clinic["groups"], clinic["menus"] = {}, {}, {}
    clinic["numbers"] = [{"number": "+12175550100", "open": "mailbox:urgent"}]
    clinic["clinic"]["operator"] = "mailbox:urgent"
    dialed = data.draw(st.sampled_from(["911", "9911", f"{prefix}911", "+1911", "+911"]))
    lines = [LineState(f"l{n}", kind, up, 0, capacity) for n, (kind, up, capacity, _) in enumerate(others)]
    lines.insert(data.draw(st.integers(0, len(lines))), LineState("works", working, True, 0, 1))
    start = datetime(2026, 1, 1) + timedelta(hours=hour)

    async def scene(office: Office) -> None:
        async def network(leg: SimLeg) -> None:
            # A line that is "up" may still be dead: nothing comes back from it.
            if leg.line == "works":
                await DISPATCHER(leg)

        office.town.outside["911"] = network
        # Ordinary calls fill the lines, the one that works among them.
        for n, (*_, busy) in enumerate(others):
            for _ in range(busy):
                office.reception.incoming(office.town.call_in(f"l{n}", "+12175550100", Party("+12175559999")))
        office.reception.incoming(office.town.call_in("works", "+12175550100", Party("+12175559998")))
        phone = data.draw(st.sampled_from(phones))
        if dnd:
            office.memory.put(f"dnd/{phone}", True)
        caller = office.dial(phone, dialed)
        await talks(caller, seconds=60)
        assert {leg.line for leg in caller.joined} == {"works"}
        for leg in list(office.town.living.values()):
            leg.far_hang_up()

    play(scene, start=start.isoformat(), clinic=Clinic.model_validate(clinic), lines=lines)

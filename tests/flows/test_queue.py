"""The queue (REQ-Q1 to Q7) in virtual time: what callers are told, who serves them, where they go when nobody can."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from flows.scene import changed, ended, hears, phone_legs, play, straight_to, talks

from appliance.config.schema import Clinic
from appliance.flows.ports import Cause
from appliance.simulation.office import Office
from appliance.simulation.people import Desk, answers, ignores, rejects
from appliance.simulation.town import SimLeg

QUEUE = straight_to("queue:frontdesk")


def queue_with(**rules: object) -> Clinic:
    """The main number leads to the queue, whose rules are changed."""
    return changed(queues={"frontdesk": rules}).model_copy(update={"numbers": QUEUE.numbers})


async def patients(office: Office, count: int) -> list[SimLeg]:
    """Patients who call one after another, half a second apart."""
    legs = []
    for number in range(1, count + 1):
        legs.append(office.call_in(f"+1217555900{number}"))
        await asyncio.sleep(0.5)
    return legs


def test_the_place_in_line_is_told_and_told_again_as_it_changes() -> None:
    async def scene(office: Office) -> None:
        desk = Desk("101", talks=90)
        office.phone("101", desk)
        first, second, third = await patients(office, 3)
        await hears(third, "caller number three")
        await hears(third, "estimated hold time")
        await hears(third, "music:default")
        await talks(first)
        await hears(third, "caller number two")
        await talks(second)
        await hears(third, "first in line")
        await talks(third)
        await ended(third)
        assert desk.served == [leg.far.number for leg in (first, second, third)]

    office = play(scene, clinic=QUEUE)
    told = {record.caller.number: record.told_wait for record in office.log.records}
    assert told["+12175559003"] is not None, "the figure told stands in the record"


def test_hold_messages_take_turns_and_never_play_twice_running() -> None:
    async def scene(office: Office) -> None:
        office.phone("101", ignores())
        (patient,) = await patients(office, 1)
        await asyncio.sleep(900)
        patient.far_hang_up()

    office = play(scene, clinic=QUEUE)
    (patient,) = [leg for leg in office.town.history if leg.line]
    texts = {message.text for message in office.clinic.messages.values()}
    played = [words for _, words in patient.transcript if words in texts]
    assert set(played) == texts
    assert all(one != next_ for one, next_ in pairwise(played))


def test_a_message_is_played_on_its_dates_only() -> None:
    async def scene(office: Office) -> None:
        office.phone("101", ignores())
        (patient,) = await patients(office, 1)
        await asyncio.sleep(900)
        assert not any("Flu shots" in words for _, words in patient.transcript)
        patient.far_hang_up()

    play(scene, start="2026-06-15T09:00", clinic=QUEUE)


def test_a_full_queue_and_a_long_wait_lead_to_the_mailbox() -> None:
    async def scene(office: Office) -> None:
        office.phone("101", ignores())
        first, second, third = await patients(office, 3)
        await hears(third, "Please leave your name")
        assert not first.hears.startswith("Please leave")
        third.far_hang_up()
        await hears(first, "Please leave your name")
        first.far_hang_up()
        second.far_hang_up()

    clinic = queue_with(max_length=2, max_wait_seconds=100)
    office = play(scene, clinic=clinic)
    assert {record.path[-1] for record in office.log.records} >= {"mailbox:frontdesk"}


def test_a_queue_that_nobody_serves_is_left_at_once_and_when_the_last_agent_goes() -> None:
    async def scene(office: Office) -> None:
        alone = office.call_in("+12175559001")
        await hears(alone, "Please leave your name")
        alone.far_hang_up()
        office.phone("101", ignores())
        waiting = office.call_in("+12175559002")
        await hears(waiting, "music:default")
        await ended(office.dial("101", "*46"))
        await hears(waiting, "Please leave your name")
        waiting.far_hang_up()

    play(scene, clinic=QUEUE)


def test_an_agent_who_rejects_is_left_alone_for_a_while_and_another_rings() -> None:
    async def scene(office: Office) -> None:
        office.phone("101", rejects(Cause.BUSY))
        office.phone("102", Desk("102", answers_after=40, talks=30))
        (patient,) = await patients(office, 1)
        await asyncio.sleep(20)
        assert len(phone_legs(office, "101")) == 1
        assert len(phone_legs(office, "102")) == 1, "the next agent rings"
        await asyncio.sleep(20)
        assert len(phone_legs(office, "101")) == 2, "after its rest the phone is tried again"
        patient.far_hang_up()

    play(scene, clinic=QUEUE)


def test_wrap_up_is_kept_free_and_a_pause_too() -> None:
    async def scene(office: Office) -> None:
        office.phone("101", Desk("101", talks=10))
        first, second = await patients(office, 2)
        await ended(first)
        over = asyncio.get_running_loop().time()
        await talks(second)
        rests = asyncio.get_running_loop().time() - over
        assert rests >= office.clinic.queues["frontdesk"].wrap_up_seconds
        await ended(second)
        await ended(office.dial("101", "*47"))
        office.phone("102", Desk("102", talks=10))
        third = office.call_in("+12175559003")
        assert await talks(third) == {"102"}
        await ended(third)
        await ended(office.dial("101", "*48"))
        await asyncio.sleep(60)
        office.town.phones.pop("102")
        assert await talks(office.call_in("+12175559004")) == {"101"}

    play(scene, clinic=QUEUE)


def test_the_phone_shows_the_queue_and_the_caller_it_really_gets() -> None:
    async def scene(office: Office) -> None:
        office.phone("101", Desk("101", answers_after=10, talks=10))
        first, second = await patients(office, 2)
        await asyncio.sleep(5)
        (rung,) = phone_legs(office, "101")
        assert rung.shown is not None
        assert (rung.shown.caller.number, rung.shown.via) == (first.far.number, "Front desk")
        first.far_hang_up()
        await talks(second)
        assert rung.shown.caller.number == second.far.number
        await ended(second)

    play(scene, clinic=QUEUE)


def test_a_caller_who_leaves_as_the_agent_answers_frees_the_agent_for_the_next() -> None:
    async def scene(office: Office) -> None:
        first = office.call_in("+12175559001")

        async def picks_up_too_late(leg: SimLeg) -> None:
            leg.far_ring()
            await asyncio.sleep(3)
            leg.far_answer()
            first.far_hang_up()

        office.phone("101", picks_up_too_late)
        await asyncio.sleep(1)
        second = office.call_in("+12175559002")
        assert await talks(second) == {"101"}
        second.far_hang_up()

    # the phone is there before the caller is
    async def with_phone(office: Office) -> None:
        office.phone("101", ignores())
        await scene(office)

    play(with_phone, clinic=QUEUE)


def test_nobody_rings_for_a_caller_who_is_gone() -> None:
    async def scene(office: Office) -> None:
        office.phone("101", ignores())
        (patient,) = await patients(office, 1)
        await asyncio.sleep(5)
        patient.far_hang_up()
        await asyncio.sleep(2)
        (rung,) = phone_legs(office, "101")
        assert rung.ended is Cause.ELSEWHERE, "no missed call is shown for it"

    play(scene, clinic=QUEUE)


def test_ring_all_stops_the_other_phones() -> None:
    async def scene(office: Office) -> None:
        for extension, after in (("101", 9.0), ("102", 3.0), ("103", 9.0)):
            office.phone(extension, answers(after=after))
        (patient,) = await patients(office, 1)
        assert await talks(patient) == {"102"}
        await asyncio.sleep(1)
        assert {leg.ended for leg in phone_legs(office, "101") + phone_legs(office, "103")} == {Cause.ELSEWHERE}
        patient.far_hang_up()

    play(scene, clinic=queue_with(strategy="ring_all"))

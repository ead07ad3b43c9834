"""The everyday calls of a clinic, in virtual time: who hears what, who talks with whom, what the record says."""

from __future__ import annotations

import asyncio

from flows.scene import hears, phone_legs, play, together

from appliance.flows.ports import Cause
from appliance.simulation.office import Office
from appliance.simulation.people import accepts, answers, ignores, rejects, robot


def test_a_patient_reaches_the_front_desk() -> None:
    async def scene(office: Office) -> None:
        office.phone("101", answers(after=3))
        patient = office.call_in("+12175559999")
        await hears(patient, "Thank you for calling Maple Street")
        patient.far_press("1")
        assert await patient.far_until(lambda me: bool(me.joined))
        (desk,) = phone_legs(office, "101")
        assert together(patient, desk)
        assert desk.shown is not None
        assert (desk.shown.caller.number, desk.shown.via) == ("+12175559999", "Front desk")
        await asyncio.sleep(60)
        patient.far_hang_up()

    office = play(scene)
    (record,) = office.log.records
    assert record.outcome == "answered"
    assert record.answered_by == "101"
    assert record.path == ["menu:day", "queue:frontdesk"]
    assert 59 <= record.talked <= 62


def test_night_and_lunch_have_their_own_greeting() -> None:
    async def scene(office: Office) -> None:
        patient = office.call_in("+12175559999")
        await hears(patient, "We are closed")
        await hears(patient, "Please leave your name")
        await asyncio.sleep(40)
        patient.far_hang_up()

    office = play(scene, start="2026-11-30T22:00")
    assert office.log.records[0].outcome == "message"
    assert office.messages.left[0][0] == "frontdesk"

    async def noon(office: Office) -> None:
        patient = office.call_in("+12175559999")
        await hears(patient, "front desk is at lunch")
        patient.far_hang_up()

    play(noon, start="2026-11-30T12:10")


def test_keys_cut_the_greeting_short_and_an_extension_can_be_dialled() -> None:
    async def scene(office: Office) -> None:
        office.phone("130", answers(after=1, talks=30))
        patient = office.call_in("+12175559999")
        await hears(patient, "Thank you for calling")
        started = asyncio.get_running_loop().time()
        patient.far_press("130")
        assert await patient.far_until(lambda me: bool(me.joined))
        assert asyncio.get_running_loop().time() - started < 5

    office = play(scene)
    assert office.log.records[0].answered_by == "130"


def test_a_wrong_key_is_told_and_silence_leads_to_the_front_desk() -> None:
    async def scene(office: Office) -> None:
        office.phone("101", answers(after=3, talks=10))
        patient = office.call_in("+12175559999")
        await hears(patient, "Thank you for calling")
        patient.far_press("9")
        await hears(patient, "not a valid extension")
        await patient.far_until(lambda me: bool(me.joined))

    office = play(scene)
    assert office.log.records[0].path[-1] == "queue:frontdesk"


def test_zero_is_the_operator() -> None:
    async def scene(office: Office) -> None:
        office.phone("102", answers(after=1, talks=5))
        patient = office.call_in("+12175559999")
        await hears(patient, "Thank you for calling")
        patient.far_press("0")
        await patient.far_until(lambda me: bool(me.joined))

    assert play(scene).log.records[0].answered_by == "102"


def test_a_group_rings_all_and_the_first_to_answer_gets_the_call() -> None:
    async def scene(office: Office) -> None:
        office.phone("110", answers(after=4))
        office.phone("111", answers(after=2, talks=20))
        patient = office.call_in("+12175559999")
        await hears(patient, "Thank you for calling")
        patient.far_press("4")
        await patient.far_until(lambda me: bool(me.joined))
        (loser,) = phone_legs(office, "110")
        await asyncio.sleep(1)
        assert loser.ended is Cause.ELSEWHERE, "the other phone must not show a missed call"

    assert play(scene).log.records[0].answered_by == "111"


def test_a_mobiles_voicemail_never_answers_for_a_person() -> None:
    async def scene(office: Office) -> None:
        office.phone("130", ignores())
        office.town.outside["+12175550177"] = robot()
        patient = office.call_in("+12175559999")
        await hears(patient, "We are closed")
        patient.far_press("1")
        await hears(patient, "on-call provider is told at once")
        await asyncio.sleep(30)
        patient.far_hang_up()

    assert play(scene, start="2026-11-30T22:00").log.records[0].outcome == "message"


def test_an_outside_member_who_presses_one_gets_the_call() -> None:
    async def scene(office: Office) -> None:
        office.phone("130", rejects())
        office.town.outside["+12175550177"] = accepts(talks=30)
        patient = office.call_in("+12175559999")
        await hears(patient, "We are closed")
        patient.far_press("1")
        await patient.far_until(lambda me: bool(me.joined))

    assert play(scene, start="2026-11-30T22:00").log.records[0].answered_by == "+12175550177"


def test_busy_and_no_answer_go_to_the_mailbox() -> None:
    async def scene(office: Office) -> None:
        office.phone("120", rejects(Cause.BUSY))
        patient = office.call_in("+12175559999", "+12175550101")
        await hears(patient, "account number")
        patient.far_hang_up()

    play(scene)


def test_extension_to_extension_and_an_honest_busy() -> None:
    async def scene(office: Office) -> None:
        office.phone("110", answers(after=2))
        caller = office.dial("101", "110")
        await caller.far_until(lambda me: bool(me.joined))
        assert caller.answered
        caller.far_hang_up()
        await asyncio.sleep(1)
        office.phone("102", rejects(Cause.BUSY))
        second = office.dial("101", "102")
        await second.far_until(lambda me: me.ended is not None)
        assert second.ended is Cause.BUSY

    office = play(scene)
    assert [record.outcome for record in office.log.records] == ["answered", "busy"]


def test_do_not_disturb_and_forwards_are_set_by_star_codes() -> None:
    async def scene(office: Office) -> None:
        office.phone("110", answers(after=1, talks=5))
        office.phone("111", answers(after=1, talks=5))
        code = office.dial("110", "*72111")
        await hears(code, "Call forwarding")
        await code.far_until(lambda me: me.ended is not None)
        caller = office.dial("101", "110")
        await caller.far_until(lambda me: bool(me.joined))
        assert {leg.extension for leg in caller.joined} == {"111"}
        await caller.far_until(lambda me: me.ended is not None)
        await office.dial("110", "*73").far_until(lambda me: me.ended is not None)
        await office.dial("110", "*78").far_until(lambda me: me.ended is not None)
        assert not [leg for leg in phone_legs(office, "110") if leg.ended is None]
        third = office.dial("101", "110")
        await third.far_until(lambda me: bool(me.joined))
        assert {leg.extension for leg in third.joined} != {"110"}, "do not disturb was not kept"
        third.far_hang_up()

    play(scene)


def test_outgoing_calls_try_the_next_line_but_not_after_busy() -> None:
    async def scene(office: Office) -> None:
        office.town.outside["+12175551111"] = answers(after=2, talks=10)
        office.town.outside["+12175552222"] = rejects(Cause.BUSY)
        office.town.set_line("main", up=False)
        caller = office.dial("101", "92175551111")
        await caller.far_until(lambda me: bool(me.joined))
        (far,) = caller.joined
        assert far.line == "backup"
        assert far.shown is not None
        assert far.shown.caller.number == "+12175550101", "each line shows its own number"
        await caller.far_until(lambda me: me.ended is not None)
        office.town.set_line("main", up=True)
        busy = office.dial("101", "92175552222")
        await busy.far_until(lambda me: me.ended is not None)
        assert busy.ended is Cause.BUSY
        assert len([leg for leg in office.town.history if leg.dialed == "+12175552222"]) == 1

    play(scene)

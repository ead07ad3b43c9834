"""Hold, transfer, consult, conference, park and pickup (REQ-Q7), by REFER and by star code, in virtual time."""

from __future__ import annotations

import asyncio

import pytest
from flows.scene import connected, ended, hears, phone_legs, play, straight_to, talks, together

from appliance.flows.ports import Cause
from appliance.simulation.office import Office
from appliance.simulation.people import answers, ignores

DESK = straight_to("extension:101")


def test_a_held_patient_hears_music_and_comes_back() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        phone.far_hold()
        await hears(patient, "music:default")
        phone.far_hold(False)
        assert await talks(patient) == {"101"}
        patient.far_hang_up()

    play(scene, clinic=DESK)


def test_a_held_patient_is_never_forgotten() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        phone.far_hold()
        await asyncio.sleep(office.clinic.dialing.recall_seconds + 5)
        again = phone_legs(office, "101")[-1]
        assert again is not phone
        assert again.shown is not None
        assert again.shown.via == "On hold"
        assert together(patient, again), "the recall was answered"
        patient.far_hang_up()

    play(scene, clinic=DESK)


def test_a_recall_that_nobody_answers_ends_at_the_operator() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("101", ignores())
        phone.far_hold()
        await hears(patient, "Please leave your name")
        patient.far_hang_up()

    office = play(scene, clinic=DESK)
    assert "queue:frontdesk" in office.log.records[0].path


def test_taking_a_held_patient_back_stops_the_recall() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("101", ignores())
        phone.far_hold()
        await asyncio.sleep(office.clinic.dialing.recall_seconds + 2)
        recall = phone_legs(office, "101")[-1]
        phone.far_hold(False)
        assert await talks(patient) == {"101"}
        await ended(recall, 5)
        patient.far_hang_up()

    play(scene, clinic=DESK)


@pytest.mark.parametrize("way", ["refer", "star code"])
def test_a_blind_transfer(way: str) -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("110", answers(after=4, talks=20))
        if way == "refer":
            phone.far_refer("110")
        else:
            phone.far_press("*1")
            await hears(phone, "Transfer")
            phone.far_press("110")
        await hears(patient, "ringback")
        assert await talks(patient) == {"110"}
        await ended(phone)
        assert phone.transfers in ([], [Cause.NORMAL])
        await ended(patient)

    office = play(scene, clinic=DESK)
    assert office.log.records[0].path[-1] == "extension:110"


def test_a_blind_transfer_that_finds_nobody_comes_back() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("102", ignores())
        phone.far_refer("102")
        await ended(phone)
        assert await talks(patient) == {"101"}
        patient.far_hang_up()

    play(scene, clinic=DESK)


def test_a_transfer_to_nowhere_is_refused_and_the_talk_goes_on() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        phone.far_refer("999999")
        await asyncio.sleep(1)
        assert phone.transfers == [Cause.NOT_FOUND]
        assert together(patient, phone)
        patient.far_refer("110")
        await asyncio.sleep(1)
        assert patient.transfers == [Cause.FORBIDDEN], "an outside party sends nobody anywhere"
        patient.far_hang_up()

    play(scene, clinic=DESK)


def test_an_attended_transfer_connects_patient_and_nurse() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("110", answers(after=2))
        phone.far_hold()
        await hears(patient, "music")
        second = office.dial("101", "110")
        await talks(second)
        (nurse,) = second.joined
        phone.far_refer("110", consulted=second)
        await ended(second)
        await ended(phone)
        assert together(patient, nurse)
        assert phone.transfers == [Cause.NORMAL]
        patient.far_hang_up()
        await ended(nurse)

    play(scene, clinic=DESK)


def test_an_attended_transfer_the_other_way_round() -> None:
    """The phone sends the REFER in the call with the nurse, naming the patient's."""

    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("110", answers(after=2))
        phone.far_hold()
        second = office.dial("101", "110")
        await talks(second)
        (nurse,) = second.joined
        second.far_refer("101", consulted=phone)
        await ended(second)
        await ended(phone)
        assert together(patient, nurse)
        nurse.far_hang_up()
        await ended(patient)

    play(scene, clinic=DESK)


def test_consulting_by_star_code_then_hanging_up_connects_the_two() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("110", answers(after=2))
        phone.far_press("*2")
        await hears(phone, "Transfer")
        phone.far_press("110")
        assert await talks(phone) == {"110"}
        assert patient.hears == "music:default"
        (nurse,) = phone.joined
        phone.far_hang_up()
        await asyncio.sleep(1)
        assert together(patient, nurse)
        patient.far_hang_up()

    play(scene, clinic=DESK)


def test_hanging_up_before_the_third_answers_is_a_blind_transfer() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("110", answers(after=6))
        phone.far_press("*2")
        await hears(phone, "Transfer")
        phone.far_press("110")
        await hears(phone, "ringback")
        phone.far_hang_up()
        assert await talks(patient) == {"110"}
        patient.far_hang_up()

    play(scene, clinic=DESK)


def test_a_consultation_can_be_left_and_nobody_home_leads_back() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("110", answers(after=2))
        phone.far_press("*2")
        await hears(phone, "Transfer")
        phone.far_press("110")
        assert await talks(phone) == {"110"}
        phone.far_press("*2")
        await asyncio.sleep(1)
        assert together(patient, phone)
        office.phone("110", ignores())
        phone.far_press("*2")
        await hears(phone, "Transfer")
        phone.far_press("110")
        await hears(phone, "did not succeed")
        assert await talks(phone) == {patient.far.number}
        patient.far_hang_up()

    play(scene, clinic=DESK)


def test_a_conference_of_three() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("110", answers(after=2))
        phone.far_press("*3")
        await hears(phone, "Transfer")
        phone.far_press("110")
        assert await talks(phone) == {"110"}
        (nurse,) = phone.joined
        phone.far_press("*3")
        await asyncio.sleep(1)
        assert together(patient, phone)
        assert together(patient, nurse)
        assert together(phone, nurse)
        phone.far_hang_up()
        await asyncio.sleep(1)
        assert together(patient, nurse), "the other two go on"
        patient.far_hang_up()

    play(scene, clinic=DESK)


def test_park_tells_the_slot_and_any_phone_takes_the_patient_back() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        phone.far_press("*4")
        await ended(phone)
        told = phone_legs(office, "101")[-1]
        await hears(told, "seven zero one")
        assert patient.hears == "music:default"
        taker = office.dial("103", "701")
        await talks(taker)
        assert together(patient, taker)
        assert office.dial("102", "701").ended is None
        patient.far_hang_up()

    play(scene, clinic=DESK)


def test_an_empty_slot_is_told() -> None:
    async def scene(office: Office) -> None:
        leg = office.dial("103", "702")
        await hears(leg, "no call parked")
        await ended(leg)

    play(scene, clinic=DESK)


def test_a_parked_patient_is_recalled_then_goes_to_the_operator() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        phone.far_refer("701")
        await ended(phone)
        await asyncio.sleep(20)
        assert patient.hears == "music:default"
        assert await talks(patient) == {"101"}, "the parker is rung and answers"
        back = phone_legs(office, "101")[-1]
        office.phone("101", ignores())
        back.far_refer("701")
        await hears(patient, "Please leave your name")
        patient.far_hang_up()

    office = play(scene, clinic=DESK)
    assert "queue:frontdesk" in office.log.records[-1].path + office.log.records[0].path


@pytest.mark.parametrize("code", ["**101", "*8"])
def test_a_ringing_phone_can_be_picked_up_from_another(code: str) -> None:
    async def scene(office: Office) -> None:
        office.phone("101", ignores())
        patient = office.call_in("+12175559001")
        await asyncio.sleep(3)
        other = office.dial("103", code)
        await talks(other)
        assert together(patient, other)
        (rung,) = phone_legs(office, "101")
        await ended(rung, 2)
        assert rung.ended is Cause.ELSEWHERE
        patient.far_hang_up()

    office = play(scene, clinic=DESK)
    assert {record.outcome for record in office.log.records} == {"answered", "picked up"}


def test_a_phone_that_is_away_hands_its_calls_on() -> None:
    async def scene(office: Office) -> None:
        # nobody is registered at 101, which has no forward and no mailbox: the operator's queue, then its mailbox
        patient = office.call_in("+12175559001")
        await hears(patient, "Please leave your name")
        patient.far_hang_up()

    play(scene, clinic=DESK)

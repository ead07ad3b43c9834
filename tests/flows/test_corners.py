"""Moments in which callers are lost: two things at once, people who leave in the middle (REQ-Q7)."""

from __future__ import annotations

import asyncio

import pytest
from flows.scene import connected, ended, hears, phone_legs, play, straight_to, talks, together

from appliance.config.schema import Clinic
from appliance.flows.ports import Cause
from appliance.simulation.office import Office
from appliance.simulation.people import answers, ignores, rejects
from appliance.simulation.town import SimLeg

DESK = straight_to("extension:101")
QUEUE = straight_to("queue:frontdesk")
MOBILE = "+12175550177"


def with_phone(extension: str, number: str = "extension:101", **values: object) -> Clinic:
    """The demo clinic with one phone changed, and where its main number leads."""
    data = straight_to(number).model_dump(mode="json", by_alias=True)
    data["phones"] = [{**phone, **values} if phone["extension"] == extension else phone for phone in data["phones"]]
    return Clinic.model_validate(data)


async def consulting(office: Office, phone: SimLeg) -> SimLeg:
    """The phone asks 110 by star code; the nurse's leg."""
    office.phone("110", answers(after=2))
    phone.far_press("*2")
    await hears(phone, "Transfer")
    phone.far_press("110")
    assert await talks(phone) == {"110"}
    (nurse,) = phone.joined
    return nurse


# --- hold ---


@pytest.mark.parametrize("who", ["patient", "phone"])
def test_a_hang_up_while_the_recall_rings_ends_the_recall(who: str) -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("101", answers(after=5))
        phone.far_hold()
        await asyncio.sleep(office.clinic.dialing.recall_seconds + 2)
        recall = phone_legs(office, "101")[-1]
        assert recall is not phone
        (patient if who == "patient" else phone).far_hang_up()
        await ended(recall, 1)

    play(scene, clinic=DESK)


def test_a_recall_answered_as_the_patient_hangs_up_is_not_left_up() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("101", ignores())
        phone.far_hold()
        await asyncio.sleep(office.clinic.dialing.recall_seconds + 2)
        recall = phone_legs(office, "101")[-1]
        patient.far_hang_up()
        recall.far_answer()
        await ended(recall, 1)

    play(scene, clinic=DESK)


def test_whoever_takes_the_other_back_still_hears_the_others_hold() -> None:
    async def scene(office: Office) -> None:
        office.phone("110", answers(after=1))
        one = office.dial("101", "110")
        await talks(one)
        (two,) = one.joined
        one.far_hold()
        await hears(two, "music:default")
        two.far_hold()
        one.far_hold(False)
        await hears(one, "music:default")
        two.far_hold(False)
        assert await talks(one) == {"110"}
        one.far_hang_up()

    play(scene, clinic=DESK)


def test_a_hold_taken_during_a_consultation_is_remembered() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        nurse = await consulting(office, phone)
        phone.far_hold()
        await asyncio.sleep(1)
        nurse.far_hang_up()
        await hears(patient, "music:default")
        await asyncio.sleep(office.clinic.dialing.recall_seconds + 5)
        again = phone_legs(office, "101")[-1]
        assert again is not phone, "the phone is reminded"
        assert together(patient, again)
        patient.far_hang_up()

    play(scene, clinic=DESK)


# --- transfers ---


def test_who_dials_a_transfer_and_hangs_up_at_once_has_transferred() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.town.outside[MOBILE] = answers(after=2)
        phone.far_press("*1")
        await hears(phone, "Transfer")
        phone.far_press("2175550177")
        phone.far_hang_up()
        assert await talks(patient) == {MOBILE}
        patient.far_hang_up()

    play(scene, clinic=DESK)


def test_a_consultation_left_early_that_finds_nobody_comes_back() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("102", ignores())
        phone.far_press("*2")
        await hears(phone, "Transfer")
        phone.far_press("102")
        await hears(phone, "ringback")
        phone.far_hang_up()
        await asyncio.sleep(40)
        assert await talks(patient) == {"101"}
        patient.far_hang_up()

    play(scene, clinic=DESK)


def test_a_patient_who_leaves_while_a_consultation_rings_leaves_nobody_behind() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("110", answers(after=6, talks=30))
        phone.far_press("*2")
        await hears(phone, "Transfer")
        phone.far_press("110")
        await hears(phone, "ringback")
        patient.far_hang_up()
        assert await talks(phone) == {"110"}
        await ended(phone)

    office = play(scene, clinic=DESK)
    assert [record.outcome for record in office.log.records] == ["answered"]


def test_a_refer_during_a_consultation_is_answered() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        await consulting(office, phone)
        phone.far_refer("102")
        await asyncio.sleep(1)
        assert phone.transfers == [Cause.FORBIDDEN]
        patient.far_hang_up()
        phone.far_hang_up()

    play(scene, clinic=DESK)


def test_a_phone_that_may_not_call_out_sends_nobody_out() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        phone.far_refer("2175550177")
        await asyncio.sleep(1)
        assert phone.transfers == [Cause.NOT_FOUND]
        assert together(patient, phone)
        patient.far_hang_up()
        await ended(office.dial("101", "*722175550177"))
        assert office.memory.get("forward/101") is None

    play(scene, clinic=with_phone("101", outside_calls=False))


def test_an_agent_who_consulted_and_left_is_asked_again() -> None:
    async def scene(office: Office) -> None:
        first, agent = await connected(office)
        nurse = await consulting(office, agent)
        agent.far_hang_up()
        await asyncio.sleep(1)
        assert together(first, nurse)
        assert nurse.shown is not None
        assert nurse.shown.caller.number == "+12175559001", "the nurse sees the patient, not who transferred"
        second = office.call_in("+12175559002")
        assert await talks(second, 60) == {"101"}
        assert together(first, nurse), "the first still talks"
        first.far_hang_up()
        second.far_hang_up()

    office = play(scene, clinic=QUEUE)
    record = next(record for record in office.log.records if record.caller.number == "+12175559001")
    assert (record.path[-1], record.answered_by) == ("extension:110", "101")


def test_a_patient_handed_to_another_call_keeps_a_record_a_promise_and_a_way_on() -> None:
    async def scene(office: Office) -> None:
        patient, phone = await connected(office)
        office.phone("110", answers(after=2))
        phone.far_hold()
        second = office.dial("101", "110")
        await talks(second)
        (nurse,) = second.joined
        second.far_refer("101", consulted=phone)
        await ended(phone)
        office.town.phones.clear()
        assert len(office.journal.open()) == 1, "the patient is still owed something"
        nurse.far_refer("102")
        await hears(patient, "Please leave your name")
        patient.far_hang_up()

    office = play(scene, clinic=DESK)
    of_patient = [record for record in office.log.records if record.caller.number == "+12175559001"]
    assert len({record.id for record in of_patient}) == len(of_patient) == 2
    assert of_patient[-1].path[0] == "extension:110"
    assert of_patient[-1].path[-1] == "mailbox:nurses"


def test_someone_we_called_and_transferred_to_nobody_reaches_the_operator() -> None:
    async def scene(office: Office) -> None:
        office.town.outside[MOBILE] = answers(after=2)
        phone = office.dial("101", MOBILE)
        await talks(phone)
        (patient,) = phone.joined
        phone.far_refer("102")
        await hears(patient, "Please leave your name")
        patient.far_hang_up()

    office = play(scene)
    first = next(record for record in office.log.records if record.direction == "out")
    assert first.line == "main"


@pytest.mark.parametrize("cause", [Cause.BUSY, Cause.NOT_FOUND, Cause.CONGESTION])
def test_a_forward_that_fails_outside_does_not_drop_the_patient(cause: Cause) -> None:
    async def scene(office: Office) -> None:
        office.town.outside[MOBILE] = rejects(cause)
        patient = office.call_in("+12175559001")
        await hears(patient, "Please leave your name")
        patient.far_hang_up()

    play(scene, clinic=with_phone("101", forward_no_answer=f"number:{MOBILE}"))


# --- park, pickup ---


async def parked(office: Office) -> SimLeg:
    patient, phone = await connected(office)
    phone.far_refer("701")
    await hears(patient, "music:default")
    return patient


def test_a_slot_dialled_as_its_caller_hangs_up_is_empty() -> None:
    async def scene(office: Office) -> None:
        patient = await parked(office)
        taker = office.dial("103", "701")
        await asyncio.sleep(0.01)
        patient.far_hang_up()
        await hears(taker, "no call parked")
        await ended(taker, 10)

    play(scene, clinic=DESK)


@pytest.mark.parametrize("offset", [-0.03, -0.021, -0.02, -0.019, -0.01, 0.0, 0.01])
def test_a_slot_dialled_as_the_recall_is_answered_leaves_nobody_in_silence(offset: float) -> None:
    async def scene(office: Office) -> None:
        patient = await parked(office)
        office.phone("101", ignores())
        await asyncio.sleep(office.clinic.dialing.recall_seconds + 5)
        recall = phone_legs(office, "101")[-1]
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, recall.far_answer)
        await asyncio.sleep(0.1 + offset)
        taker = office.dial("103", "701")
        await asyncio.sleep(10)
        assert together(patient, taker) or taker.ended is not None
        assert patient.joined
        patient.far_hang_up()

    play(scene, clinic=DESK)


@pytest.mark.parametrize("way", ["pickup", "park"])
def test_who_takes_a_caller_by_a_code_sees_whom(way: str) -> None:
    async def scene(office: Office) -> None:
        if way == "park":
            patient = await parked(office)
        else:
            office.phone("101", ignores())
            patient = office.call_in("+12175559001")
            await asyncio.sleep(2)
        taker = office.dial("103", "701" if way == "park" else "**101")
        await talks(taker)
        assert taker.shown is not None
        assert taker.shown.caller.number == "+12175559001"
        patient.far_hang_up()

    play(scene, clinic=DESK)


# --- queue ---


def test_keys_pressed_while_waiting_are_not_for_who_answers() -> None:
    async def scene(office: Office) -> None:
        office.phone("101", answers(after=10))
        patient = office.call_in("+12175559001")
        await asyncio.sleep(5)
        patient.far_press("1*4#")
        await talks(patient)
        (agent,) = patient.joined
        await asyncio.sleep(3)
        assert agent.digits_sent == ""
        patient.far_press("7")
        await asyncio.sleep(1)
        assert agent.digits_sent == "7"
        patient.far_hang_up()

    play(scene, clinic=QUEUE)


@pytest.mark.parametrize("place", [QUEUE, DESK], ids=["queue", "phone"])
def test_a_phone_that_answers_and_is_gone_drops_nobody(place: Clinic) -> None:
    async def scene(office: Office) -> None:
        office.phone("101", answers(after=2, talks=0))
        office.phone("102", answers(after=2))
        patient = office.call_in("+12175559001")
        assert await talks(patient, 30) == {"102"}
        patient.far_hang_up()

    play(scene, clinic=place)


def test_an_agent_who_is_not_to_be_disturbed_is_not_rung() -> None:
    async def scene(office: Office) -> None:
        office.phone("101", answers(after=1))
        office.phone("102", answers(after=1))
        await ended(office.dial("101", "*78"))
        patient = office.call_in("+12175559001")
        assert await talks(patient, 30) == {"102"}
        patient.far_hang_up()
        await ended(office.dial("101", "*79"))
        await ended(office.dial("102", "*46"))
        second = office.call_in("+12175559002")
        assert await talks(second, 30) == {"101"}
        second.far_hang_up()

    play(scene, clinic=QUEUE)

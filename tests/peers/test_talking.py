"""Calls between people on real SIP and real sound: hold, transfer, consultation, conference, park, pickup."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from peers.box import Box
from peers.conftest import Patient
from peers.marks import DOCTOR, FRONT_DESK, NURSE, PATIENT, heard, sounding, unheard

from appliance.simulation.phones import Phones, Telephone

STAFF = {"101": FRONT_DESK, "110": NURSE, "130": DOCTOR}
TO_101 = pytest.mark.clinic(lambda text: text.replace('open = "menu:day"', 'open = "extension:101"'))

Talk = Callable[[], Awaitable[tuple[Telephone, Telephone]]]


@pytest.fixture
async def staff(box: Box, desk: Phones) -> Phones:
    """The phones 101, 110 and 130, each with its own mark, in one process."""
    for extension, mark in STAFF.items():
        await box.register(desk, extension, mark=mark)
    return desk


@pytest.fixture
def talk(staff: Phones, patient: Patient) -> Talk:
    """A patient who talks with 101: the patient's telephone and the phone's call."""

    async def begin() -> tuple[Telephone, Telephone]:
        call = patient()
        phone = await answers(staff, "101")
        await together((call, PATIENT), (phone, FRONT_DESK))
        return call, phone

    return begin


async def answers(phones: Phones, extension: str) -> Telephone:
    account, call = await phones.incoming()
    assert account == extension
    call.answer()
    await call.reaches("answered")
    return call


async def together(*people: tuple[Telephone, int]) -> None:
    """Each hears all the others, and not themselves."""
    for listener, own in people:
        for _, mark in people:
            if mark != own:
                await heard(listener.record, mark)
        await unheard(listener.record, own)


async def test_one_extension_calls_another(box: Box, staff: Phones) -> None:
    caller = staff.call("101", f"sip:110@{box.address}")
    nurse = await answers(staff, "110")
    assert "Front desk 1" in nurse.by
    await caller.reaches("answered")
    await together((caller, FRONT_DESK), (nurse, NURSE))
    nurse.hang_up()
    await caller.reaches("ended")
    record = await box.record("101")
    assert (record["direction"], record["outcome"], record["answered_by"]) == ("internal", "answered", "110")


@TO_101
async def test_hold_plays_music_and_resume_brings_both_back(talk: Talk) -> None:
    call, phone = await talk()
    phone.do("hold")
    await unheard(call.record, FRONT_DESK)
    await sounding(call.record)
    phone.do("resume")
    await together((call, PATIENT), (phone, FRONT_DESK))
    call.hang_up()
    await phone.reaches("ended")


@TO_101
async def test_blind_transfer_by_refer(box: Box, staff: Phones, talk: Talk) -> None:
    call, phone = await talk()
    phone.do("refer", to=f"sip:110@{box.address}")
    nurse = await answers(staff, "110")
    await phone.reaches("ended")
    await together((call, PATIENT), (nurse, NURSE))
    await unheard(call.record, FRONT_DESK)
    call.hang_up()
    record = await box.record("+12175559001")
    assert record["path"] == ["extension:101", "extension:110"]


@TO_101
async def test_attended_transfer_by_refer_with_replaces(box: Box, staff: Phones, talk: Talk) -> None:
    call, phone = await talk()
    phone.do("hold")
    second = staff.call("101", f"sip:110@{box.address}")
    nurse = await answers(staff, "110")
    await together((second, FRONT_DESK), (nurse, NURSE))
    await unheard(nurse.record, PATIENT)
    phone.do("replace", **{"with": second.id})
    await together((call, PATIENT), (nurse, NURSE))
    await phone.reaches("ended")
    await second.reaches("ended")
    nurse.hang_up()
    await call.reaches("ended")


@TO_101
@pytest.mark.parametrize("method", ["rfc4733", "info"])
async def test_blind_transfer_by_star_code(staff: Phones, talk: Talk, method: str) -> None:
    call, phone = await talk()
    phone.do("keys", keys="*1", method=method)
    await unheard(phone.record, PATIENT)
    phone.do("keys", keys="110", method=method)
    nurse = await answers(staff, "110")
    await together((call, PATIENT), (nurse, NURSE))
    await phone.reaches("ended")
    call.hang_up()
    await nurse.reaches("ended")


@TO_101
async def test_a_conference_of_three(staff: Phones, talk: Talk) -> None:
    call, phone = await talk()
    phone.do("keys", keys="*3")
    await unheard(phone.record, PATIENT)
    phone.do("keys", keys="110")
    nurse = await answers(staff, "110")
    await together((phone, FRONT_DESK), (nurse, NURSE))
    phone.do("keys", keys="*3")
    await together((call, PATIENT), (phone, FRONT_DESK), (nurse, NURSE))
    phone.hang_up()
    await together((call, PATIENT), (nurse, NURSE))
    call.hang_up()
    await nurse.reaches("ended")


@TO_101
async def test_park_and_retrieve(box: Box, staff: Phones, talk: Talk) -> None:
    call, phone = await talk()
    phone.do("keys", keys="*4")
    await phone.reaches("ended")
    status = await box.until(lambda s: bool(s["parked"]))
    slot = status["parked"][0]["slot"]
    told = await answers(staff, "101")
    await sounding(told.record)
    doctor = staff.call("130", f"sip:{slot}@{box.address}")
    await together((call, PATIENT), (doctor, DOCTOR))
    call.hang_up()
    await doctor.reaches("ended")


@TO_101
async def test_a_ringing_phone_is_picked_up_from_another(box: Box, staff: Phones, patient: Patient) -> None:
    call = patient()
    account, rung = await staff.incoming()
    assert account == "101"
    rung.do("ring")
    doctor = staff.call("130", f"sip:**101@{box.address}")
    await together((call, PATIENT), (doctor, DOCTOR))
    await rung.reaches("ended")
    call.hang_up()
    await doctor.reaches("ended")


async def test_of_a_group_one_answers_and_the_others_log_no_missed_call(
    box: Box, desk: Phones, patient: Patient, stranger: Callable[..., Awaitable[object]]
) -> None:
    await box.register(desk, "110", mark=NURSE)
    await box.register(desk, "111", mark=DOCTOR)
    call = patient()
    await call.reaches("answered")
    call.do("keys", keys="4")
    rung = dict([await desk.incoming(), await desk.incoming()])
    assert set(rung) == {"110", "111"}
    rung["111"].answer()
    await heard(call.record, DOCTOR)
    await rung["110"].reaches("ended")
    call.hang_up()
    await rung["111"].reaches("ended")
    assert (await box.record("+12175559001"))["answered_by"] == "111"


async def test_do_not_disturb_sends_callers_on(box: Box, staff: Phones) -> None:
    code = staff.call("110", f"sip:*78@{box.address}")
    await code.reaches("ended")
    caller = staff.call("101", f"sip:110@{box.address}")
    # 110's forward is the nurses' group, whose other phone is away: the mailbox answers
    await caller.reaches("answered")
    await sounding(caller.record)
    caller.hang_up()
    with pytest.raises(TimeoutError):
        await staff.incoming(0.5)


async def test_a_message_is_recorded_and_the_lamp_is_lit(box: Box, desk: Phones, patient: Patient) -> None:
    call = patient()
    await call.reaches("answered")
    call.do("keys", keys="2")
    await box.until(lambda s: s["calls"][0]["where"] == "mailbox:refills")
    # a key cuts the greeting short; the recording begins after the tone
    call.do("keys", keys="5")
    folder = box.state / "records" / "messages"
    await box.until(lambda _: any(folder.glob("*.wav")))
    (message,) = folder.glob("*.wav")
    await heard(message, PATIENT)
    # longer than a second: less is no message
    await box.until(lambda _: message.stat().st_size > 3 * 8000)
    call.do("keys", keys="#")
    await call.reaches("ended", 15)
    assert (await box.record("+12175559001"))["outcome"] == "message"
    assert message.stat().st_mode & 0o077 == 0, "nobody but the box may read it"

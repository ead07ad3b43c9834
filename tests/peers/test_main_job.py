"""The main job on real SIP and real audio: a patient, the attendant, the queue, a receptionist, the record."""

from __future__ import annotations

from peers.box import Box
from peers.conftest import Patient
from peers.marks import FRONT_DESK, PATIENT, heard, sounding, unheard

from appliance.simulation.phones import Phones


async def test_a_patient_talks_with_the_front_desk(box: Box, desk: Phones, patient: Patient) -> None:
    await box.register(desk, "101", mark=FRONT_DESK)
    call = patient()
    await call.reaches("answered")
    await sounding(call.record)
    call.do("keys", keys="1")
    account, phone = await desk.incoming()
    assert account == "101"
    assert "Pat Doe" in phone.by
    assert "Front desk" in phone.by, "the phone shows caller and queue"
    phone.answer()
    await phone.reaches("answered")
    await heard(call.record, FRONT_DESK)
    await heard(phone.record, PATIENT)
    await unheard(phone.record, FRONT_DESK)
    status = await box.status()
    assert status["calls"][0]["with"] == "101"
    call.hang_up()
    await phone.reaches("ended")
    record = await box.record("+12175559001")
    assert (record["outcome"], record["answered_by"]) == ("answered", "101")
    assert record["path"] == ["menu:day", "queue:frontdesk"]

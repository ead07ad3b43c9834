"""Every codec of the house, plain and encrypted, between a patient on G.711 and a phone that speaks something else."""

from __future__ import annotations

import pytest
from peers.box import Box
from peers.conftest import MakePhones, Patient
from peers.marks import FRONT_DESK, PATIENT, heard, unheard

TO_101 = pytest.mark.clinic(lambda text: text.replace('open = "menu:day"', 'open = "extension:101"'))
SRTP_REQUIRED = pytest.mark.clinic(
    lambda text: text.replace('open = "menu:day"', 'open = "extension:101"').replace('srtp = "optional"', 'srtp = "required"')
)


@TO_101
@pytest.mark.parametrize("codec", ["PCMU", "PCMA", "G722", "opus"])
async def test_both_hear_each_other(box: Box, softphones: MakePhones, patient: Patient, codec: str) -> None:
    phones = await softphones(5070, codec)
    await box.register(phones, "101", mark=FRONT_DESK)
    call = patient()
    _, phone = await phones.incoming()
    phone.answer()
    await phone.until(lambda me: bool(me.codec))
    assert phone.codec.lower() == codec.lower()
    await heard(call.record, FRONT_DESK)
    await heard(phone.record, PATIENT)
    await unheard(call.record, PATIENT)
    call.hang_up()
    await phone.reaches("ended")


@SRTP_REQUIRED
async def test_a_phone_that_must_encrypt(box: Box, softphones: MakePhones, patient: Patient) -> None:
    phones = await softphones(5070)
    await box.register(phones, "101", mark=FRONT_DESK, srtp="required")
    call = patient()
    _, phone = await phones.incoming()
    phone.answer()
    await heard(call.record, FRONT_DESK)
    await heard(phone.record, PATIENT)
    call.hang_up()
    await phone.reaches("ended")


@SRTP_REQUIRED
async def test_a_phone_that_cannot_encrypt_gets_no_call_in_the_clear(
    box: Box, softphones: MakePhones, patient: Patient
) -> None:
    phones = await softphones(5070)
    await box.register(phones, "101", mark=FRONT_DESK, srtp="off")
    caller = phones.call("101", f"sip:110@{box.address}")
    await caller.reaches("ended")
    assert caller.code == 488

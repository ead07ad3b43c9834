"""A hundred patients at once: the hundred and first reaches the front desk like the first."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from peers.box import Box
from peers.conftest import Patient
from peers.marks import FRONT_DESK, PATIENT, heard
from peers.test_sipp import Sipp

from appliance.simulation.phones import Phones

CALLERS = 130


@pytest.mark.clinic(lambda text: text.replace("capacity = 4", "capacity = 200"))
async def test_the_front_desk_is_reached_while_the_house_is_full(
    box: Box, desk: Phones, patient: Patient, tmp_path: Path
) -> None:
    """Every caller holds a pair of ports; the phone's call must find one beyond them all."""
    await box.register(desk, "101", mark=FRONT_DESK)
    crowd = asyncio.create_task(Sipp(box, tmp_path).run("linger", port=5092, calls=CALLERS, rate=60))
    await box.until(lambda s: len(s["calls"]) == CALLERS, 20)
    call = patient()
    await call.reaches("answered")
    call.do("keys", keys="101")
    _, phone = await desk.incoming()
    phone.answer()
    await heard(call.record, FRONT_DESK)
    await heard(phone.record, PATIENT)
    call.hang_up()
    await phone.reaches("ended")
    await crowd

"""Outside lines on real SIP: which way calls leave, what the called party sees, what happens when a way is dead."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator

import pytest
from peers.box import Box
from peers.conftest import MakePhones, Patient
from peers.marks import FRONT_DESK, OTHER, PATIENT, heard, sounding

from appliance.simulation.phones import Phones


@pytest.fixture
async def backup(box: Box, softphones: MakePhones) -> Phones:
    """The far end of the second line."""
    phones = await softphones(5092)
    await phones.account("backup", mark=OTHER)
    await box.until(lambda status: status["lines"][1]["up"], 30)
    return phones


async def test_a_call_leaves_by_the_first_line_and_shows_its_number(box: Box, desk: Phones, provider: Phones) -> None:
    await box.register(desk, "101", mark=FRONT_DESK)
    call = desk.call("101", f"sip:92175551111@{box.address}")
    _, far = await provider.incoming()
    assert "+12175550100" in far.by
    assert "Maple Street" in far.by
    far.do("ring")
    await call.reaches("ringing")
    far.answer()
    await heard(call.record, PATIENT)
    await heard(far.record, FRONT_DESK)
    call.hang_up()
    await far.reaches("ended")
    record = await box.record("101")
    assert (record["direction"], record["path"], record["outcome"]) == ("out", ["number:+12175551111"], "answered")


async def test_early_media_is_heard_before_the_answer(box: Box, desk: Phones, provider: Phones) -> None:
    await box.register(desk, "101", mark=FRONT_DESK)
    call = desk.call("101", f"sip:92175551111@{box.address}")
    _, far = await provider.incoming()
    far.do("ring", code=183)
    await heard(call.record, PATIENT)
    assert call.state != "answered"
    far.do("reject", code=486)
    await call.reaches("ended")
    assert call.code == 486


async def test_a_dead_line_is_left_for_the_next_and_busy_is_not(
    box: Box, desk: Phones, backup: Phones, provider: Phones
) -> None:
    await box.register(desk, "101", mark=FRONT_DESK)
    call = desk.call("101", f"sip:92175551111@{box.address}")
    _, refused = await provider.incoming()
    refused.do("reject", code=503)
    _, far = await backup.incoming()
    assert "+12175550101" in far.by
    far.answer()
    await heard(call.record, OTHER)
    call.hang_up()
    await far.reaches("ended")
    second = desk.call("101", f"sip:92175552222@{box.address}")
    _, busy = await provider.incoming()
    busy.do("reject", code=486)
    await second.reaches("ended")
    assert second.code == 486
    with pytest.raises(TimeoutError):
        await backup.incoming(0.5)


async def test_a_silent_line_is_left_within_five_seconds(box: Box, desk: Phones, backup: Phones) -> None:
    """Nothing listens where the first line should be (a cut cable answers no better)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hole:
        hole.bind((box.address, 5090))
        await box.register(desk, "101", mark=FRONT_DESK)
        began = time.monotonic()
        call = desk.call("101", f"sip:92175551111@{box.address}")
        _, far = await backup.incoming(10)
        assert time.monotonic() - began < 5
        far.answer()
        await heard(call.record, OTHER)
        call.hang_up()
        await far.reaches("ended")


@pytest.mark.clinic(lambda text: text.replace('name = "Nurse station"', 'name = "Nurse station"\noutside_calls = false'))
async def test_911_leaves_from_a_phone_that_may_not_call_outside(box: Box, desk: Phones, provider: Phones) -> None:
    await box.register(desk, "110", mark=FRONT_DESK)
    call = desk.call("110", f"sip:9911@{box.address}")
    _, far = await provider.incoming()
    far.answer()
    await heard(call.record, PATIENT)
    status = await box.status()
    assert any("911" in alarm and "Corridor, room 5" in alarm for alarm in status["alarms"])
    call.hang_up()
    await far.reaches("ended")
    refused = desk.call("110", f"sip:92175551111@{box.address}")
    await refused.reaches("ended")
    assert refused.code == 403


@pytest.fixture
async def carrier(tmp_path_factory: pytest.TempPathFactory, box: Box) -> AsyncIterator[Box]:
    """Another box, to which the first signs in as its extension 130: a provider that asks for a password."""
    address = box.address.rpartition(".")[0] + ".200"
    other = Box(tmp_path_factory.mktemp("carrier"), address, lambda text: text.replace("clinic.local", "carrier.test"))
    await other.start()
    yield other
    await other.stop()


async def test_a_line_that_signs_in(box: Box, carrier: Box, desk: Phones, softphones: MakePhones) -> None:
    """Registration with digest, calls out and in over it, and its number in the record."""
    await box.kill()
    text = box.config.read_text()
    main = f'server = "{box.trunk}"       # known by its address; register = true signs in with a username instead'
    assert main in text
    text = text.replace(main, f'server = "{carrier.address}:5060"', 1).replace(
        "register = false", 'register = true\nusername = "130"\nidentity = "asserted"', 1
    )
    box.config.write_text(text)
    box.set_trunk("main", carrier.secret("130"))
    await box.start()
    await box.until(lambda s: s["lines"][0]["registered"] is True)
    await carrier.until(lambda s: any(p["extension"] == "130" and p["registered"] for p in s["phones"]))
    town = await softphones(5090, address=carrier.address)
    await town.account("world", mark=OTHER)
    await carrier.register(town, "101", mark=PATIENT, domain="carrier.test")
    await carrier.until(lambda s: bool(s["lines"][0]["up"]), 30)
    await box.register(desk, "101", mark=FRONT_DESK)
    call = desk.call("101", f"sip:92175551111@{box.address}")
    account, far = await town.incoming()
    assert account == "world"
    far.answer()
    await heard(call.record, OTHER)
    await heard(far.record, FRONT_DESK)
    call.hang_up()
    await far.reaches("ended")
    patient = town.call("101", f"sip:130@{carrier.address}")
    await patient.reaches("answered")
    await sounding(patient.record)
    assert (await box.status())["calls"][0]["line"] == "main"
    patient.hang_up()


@pytest.mark.clinic(lambda text: text.replace('server = "127.0.0.1:5092"', 'server = "sip.provider.invalid"'))
async def test_no_call_waits_for_a_name_server_that_never_answers(box: Box, desk: Phones, patient: Patient) -> None:
    """The day the internet is down, DNS is too: patients on the other line must not notice."""
    await box.kill()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hole:
        hole.bind((box.address, 53))
        box.environment["CLINICPBX_DNS"] = box.address
        await box.start()
        await box.register(desk, "101", mark=FRONT_DESK)
        slowest = 0.0
        for _ in range(20):
            began = time.monotonic()
            call = patient()
            await call.reaches("answered")
            slowest = max(slowest, time.monotonic() - began)
            call.hang_up()
            await call.reaches("ended")
        assert slowest < 0.5

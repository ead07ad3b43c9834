"""What must outlive a power cut, a bad edit, a reload: callers, calls, the last good clinic file."""

from __future__ import annotations

import json

import pytest
from peers.box import Box
from peers.conftest import Patient
from peers.marks import FRONT_DESK, heard, sounding

from appliance.simulation.phones import Phones


async def test_a_caller_cut_off_by_a_power_cut_is_listed_with_place_and_number(
    box: Box, desk: Phones, patient: Patient
) -> None:
    await box.register(desk, "101", mark=FRONT_DESK)
    first, second = patient("+12175559001"), patient("+12175559002")
    for call in (first, second):
        await call.reaches("answered")
        call.do("keys", keys="1")
    _, phone = await desk.incoming()
    phone.do("ring")
    await box.until(lambda s: len(s["queues"][0]["waiting"]) == 2)
    await box.until(lambda s: all(c["where"] == "queue:frontdesk" for c in s["calls"]) and s["promises"]["open"] == 2)
    waiting = (await box.status())["queues"][0]["waiting"]
    await box.kill()
    await box.start()
    status = await box.status()
    assert any("cut off" in alarm for alarm in status["alarms"])
    cut = {caller["caller"]: caller for caller in status["interrupted"]}
    assert set(cut) == {"+12175559001", "+12175559002"}
    for entry in waiting:
        number = entry["caller"].split()[-1]
        assert (cut[number]["where"], cut[number]["position"]) == ("queue:frontdesk", entry["position"])
    # another power cut changes nothing: they are owed a call until somebody settles it
    await box.kill()
    await box.start()
    assert {caller["caller"] for caller in (await box.status())["interrupted"]} == set(cut)
    assert await box.command("settle", "+12175559001") == 0
    assert await box.command("settle", "+12175550000") == 1, "nobody of this number was cut off"
    await box.stop()
    await box.start()
    assert [caller["caller"] for caller in (await box.status())["interrupted"]] == ["+12175559002"]


async def test_phones_and_finished_calls_are_there_after_a_power_cut(box: Box, desk: Phones, patient: Patient) -> None:
    await box.register(desk, "101", mark=FRONT_DESK)
    call = patient()
    await call.reaches("answered")
    call.hang_up()
    await box.record("+12175559001")
    await box.kill()
    await box.start()
    status = await box.status()
    assert [phone["extension"] for phone in status["phones"] if phone["registered"]] == ["101"]
    again = patient()
    await again.reaches("answered")
    again.do("keys", keys="1")
    _, phone = await desk.incoming()
    phone.answer()
    await heard(again.record, FRONT_DESK)
    again.hang_up()
    await phone.reaches("ended")
    assert len(await box.records()) >= 1


async def test_a_reload_drops_no_call_and_a_bad_file_changes_nothing(box: Box, desk: Phones, patient: Patient) -> None:
    await box.register(desk, "101", mark=FRONT_DESK)
    call = patient()
    await call.reaches("answered")
    call.do("keys", keys="1")
    _, phone = await desk.incoming()
    phone.answer()
    await heard(call.record, FRONT_DESK)
    good = box.config.read_text()
    box.config.write_text(good.replace('1 = "queue:frontdesk"', '1 = "queue:frontdsk"'))
    refused = await box.reload()
    assert refused.status_code == 422
    problem = refused.json()["problems"][0]
    assert problem["where"] == "menus.day.keys.1"
    assert "queue:frontdesk" in problem["mend"]
    assert any("clinic file" in alarm for alarm in (await box.status())["alarms"])
    box.config.write_text(good.replace('label = "Front desk"\nagents', 'label = "Reception"\nagents'))
    assert (await box.reload()).status_code == 200
    status = await box.status()
    assert status["queues"][0]["label"] == "Reception"
    assert not any("clinic file" in alarm for alarm in status["alarms"])
    await heard(call.record, FRONT_DESK)
    call.hang_up()
    await phone.reaches("ended")


async def test_a_bad_file_at_start_leaves_the_last_good_one_in_use(box: Box, patient: Patient) -> None:
    await box.kill()
    box.config.write_text("[clinic\nname = 1")
    await box.start()
    status = await box.status()
    assert status["config"]["last_good_in_use"]
    assert any("last good one is in use" in alarm for alarm in status["alarms"])
    call = patient()
    await call.reaches("answered")
    await sounding(call.record)
    call.hang_up()


async def test_status_as_json_is_whole(box: Box) -> None:
    status = await box.status()
    assert json.loads(json.dumps(status)) == status
    for key in ("calls", "queues", "lines", "phones", "alarms", "bans", "promises", "interrupted", "engine", "config"):
        assert key in status


@pytest.mark.clinic(lambda text: text.replace("dial_extension = true", "dial_extension = false", 1))
async def test_it_ends_in_order_while_calls_are_up(box: Box, desk: Phones, patient: Patient) -> None:
    """SIGTERM: every caller hears the end, every record is written, the exit status is 0."""
    await box.register(desk, "101", mark=FRONT_DESK)
    calls = [patient(f"+1217555900{n}") for n in range(4)]
    for call in calls:
        await call.reaches("answered")
    calls[0].do("keys", keys="1")
    _, phone = await desk.incoming()
    phone.answer()
    await heard(calls[0].record, FRONT_DESK)
    await box.stop()
    for call in (*calls, phone):
        await call.reaches("ended")
    assert {row["caller_number"] for row in await box.records()} == {f"+1217555900{n}" for n in range(4)}

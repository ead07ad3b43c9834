"""Ten thousand calls later the box is as it was: PJSIP's objects, ours, file descriptors, memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from peers.box import Box, Status
from peers.conftest import Strangers
from peers.test_sipp import Sipp

#: half of the calls hear the attendant, half talk with a phone
MENU, PHONE = "+12175550100", "+12175550101"
RATE = 40
#: RSS may move by this much: the allocator's own slack, half a kilobyte a call
SLACK_KB = 3_500


async def quiet(box: Box) -> Status:
    """The engine's census when nothing goes on any more; a transaction lives on for half a minute (RFC 3261 timer J)."""
    status = await box.until(lambda s: s["engine"]["calls"] == 0 and s["engine"]["transactions"] <= 4, 90)
    tidied = status["engine"]["tidied"]
    status = await box.until(lambda s: s["engine"]["tidied"] > tidied + 1, 20)
    engine: Status = status["engine"]
    return engine


@pytest.mark.timeout(420)
@pytest.mark.clinic(lambda text: text.replace("capacity = 24", "capacity = 200").replace("extension:120", "extension:111"))
async def test_ten_thousand_calls_leave_nothing_behind(box: Box, tmp_path: Path, stranger: Strangers) -> None:
    sipp = Sipp(box, tmp_path)
    peer = await stranger(box, own=box.address, port=5071)
    assert (await peer.register(box.secret("111"), user="111")).code == 200
    peer.close()

    async def play(calls: int) -> None:
        """So many calls, half of each kind."""
        phone = asyncio.create_task(sipp.run("phone", port=5071, calls=calls // 2))
        await asyncio.gather(
            sipp.run("short", port=5090, to=MENU, calls=calls // 2, rate=RATE),
            sipp.run("short", port=5092, to=PHONE, calls=calls // 2, rate=RATE),
        )
        await phone

    # what caches hold (SQLite's page cache, the allocator's arenas) is full after this many
    await play(3000)
    before = await quiet(box)
    for _ in range(2):
        await play(3500)
    after = await quiet(box)
    assert after["faults"] == 0
    for what in ("calls", "conference_ports", "dialogs", "kept", "descriptors"):
        assert after[what] <= before[what], f"{what} grew from {before[what]} to {after[what]}"
    assert after["pools"] <= before["pools"] + 3, f"PJSIP's pools grew from {before['pools']} to {after['pools']}"
    assert after["rss_kb"] <= before["rss_kb"] + SLACK_KB, f"memory grew from {before['rss_kb']} to {after['rss_kb']} kB"
    status = await box.status()
    assert status["today"]["incoming"] == 10_000
    assert status["promises"]["open"] == 0
    outcomes = {row["outcome"] for row in await box.records()}
    assert outcomes <= {"answered", "abandoned"}

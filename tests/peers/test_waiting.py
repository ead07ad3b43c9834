"""Waiting in line on real sound: every prompt carries a mark of its own, and each caller hears the right ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from peers.box import Box
from peers.conftest import Patient
from peers.marks import FRONT_DESK, RATE, heard

from appliance.prompts.formats import write
from appliance.simulation.phones import Phones

#: Hz; what each phrase is replaced by
NEXT, POSITION, WAIT, MUSIC = 700, 850, 1500, 2050

QUEUE = pytest.mark.clinic(
    lambda text: text.replace('open = "menu:day"', 'open = "queue:frontdesk"').replace(
        "announce_seconds = 45", "announce_seconds = 15"
    )
)


def tone(path: Path, frequency: int, seconds: float = 2.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, 0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE))


@pytest.fixture
async def marked(box: Box) -> Box:
    """The box with prompts and music of the practice's own, taken over by a reload."""
    sounds = box.state / "sounds"
    for phrase, mark in (("next", NEXT), ("position", POSITION), ("wait", WAIT), ("wait_less", WAIT)):
        tone(sounds / f"queue.{phrase}.wav", mark)
    tone(sounds / "music" / "default" / "own.wav", MUSIC, 4.0)
    assert (await box.reload()).status_code == 200
    return box


@QUEUE
async def test_each_hears_their_place_the_wait_the_music_and_then_a_person(marked: Box, desk: Phones, patient: Patient) -> None:
    await marked.register(desk, "101", mark=FRONT_DESK)
    first = patient("+12175559001")
    await heard(first.record, NEXT)
    await heard(first.record, MUSIC)
    _, phone = await desk.incoming()
    assert "Pat Doe" in phone.by
    second = patient("+12175559002")
    await heard(second.record, POSITION)
    await heard(second.record, WAIT)
    await heard(second.record, MUSIC)
    phone.answer()
    await heard(first.record, FRONT_DESK)
    await heard(second.record, NEXT, 25)
    phone.hang_up()
    await first.reaches("ended")
    _, phone = await desk.incoming(30)
    phone.answer()
    await heard(second.record, FRONT_DESK)
    second.hang_up()
    assert (await marked.record("+12175559002"))["told_wait"] >= 60


@QUEUE
async def test_the_next_in_line_gets_the_agent_when_the_first_hangs_up(marked: Box, desk: Phones, patient: Patient) -> None:
    await marked.register(desk, "101", mark=FRONT_DESK)
    first = patient("+12175559001")
    _, phone = await desk.incoming()
    second = patient("+12175559002")
    await marked.until(lambda s: len(s["queues"][0]["waiting"]) == 2)
    first.hang_up()
    await marked.until(lambda s: len(s["queues"][0]["waiting"]) == 1)
    phone.answer()
    await heard(second.record, FRONT_DESK)
    assert (await marked.status())["calls"][0]["with"] == "101"
    second.hang_up()
    await phone.reaches("ended")

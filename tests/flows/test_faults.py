"""What is broken costs nobody their call: lines, phones, disks (REQ-E1, REQ-Z1)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from flows.scene import changed, connected, hears, phone_legs, play, straight_to, talks, together

from appliance.flows.ports import Cause, Leg, Party
from appliance.lines.choice import LineState
from appliance.simulation.books import SimJournal, SimMessages
from appliance.simulation.office import Office
from appliance.simulation.people import answers, ignores
from appliance.simulation.town import SimLeg

DESK = straight_to("extension:101")
QUEUE = straight_to("queue:frontdesk")
MOBILE = "+12175550177"


def forgive(office: Office) -> None:
    """The scene is about a fault, and it was told."""
    assert office.house.faults > 0
    office.house.faults = 0


def test_a_phone_that_cannot_be_rung_does_not_stand_in_the_way_of_the_next() -> None:
    async def scene(office: Office) -> None:
        office.town.phones["101"] = 1  # type: ignore[assignment]  # there, and not to be rung
        office.phone("102", answers(after=1))
        patient = office.call_in("+12175559001")
        assert await talks(patient, 20) == {"102"}
        patient.far_hang_up()
        forgive(office)

    clinic = changed(queues={"frontdesk": {"strategy": "linear"}})
    play(scene, clinic=clinic.model_copy(update={"numbers": QUEUE.numbers}))


@pytest.mark.parametrize("dialed", ["911", MOBILE])
def test_a_line_that_a_reload_takes_away_costs_no_call(dialed: str) -> None:
    async def scene(office: Office) -> None:
        # The first line is dead; the second goes while it is tried, the third answers.
        async def far_end(leg: SimLeg) -> None:
            if leg.line == "third":
                await answers(after=1)(leg)

        office.town.outside[dialed] = far_end
        phone = office.dial("101", dialed)
        await asyncio.sleep(2)
        office.town.remove_line("second")
        assert await talks(phone, 60) == {dialed}
        phone.far_hang_up()

    play(scene, lines=[LineState(name, "sip", True, 0, 4) for name in ("first", "second", "third")])


def test_a_patient_cut_off_for_an_emergency_is_to_be_called_back() -> None:
    async def scene(office: Office) -> None:
        office.town.outside["911"] = answers(after=1)
        patient, _ = await connected(office)
        phone = office.dial("102", "911")
        assert await talks(phone) == {"911"}
        assert patient.ended is Cause.CONGESTION
        assert any("+12175559001" in alarm for alarm in office.house.alarms)
        phone.far_hang_up()

    play(scene, clinic=DESK, lines=[LineState("main", "sip", True, 0, 1)])


def test_an_emergency_call_on_hold_is_not_led_to_the_queue() -> None:
    async def scene(office: Office) -> None:
        office.town.outside["911"] = answers(after=1)
        office.phone("101", ignores())
        phone = office.dial("101", "911")
        await talks(phone)
        (centre,) = phone.joined
        phone.far_hold()
        await asyncio.sleep(1000)
        assert phone.ended is None
        phone.far_hold(False)
        await asyncio.sleep(1)
        assert together(phone, centre)
        phone.far_hang_up()

    play(scene)


class FullJournal(SimJournal):
    """A journal on a disk that takes no more."""

    async def promise(self, leg: Leg, to: str) -> str:
        await asyncio.sleep(5)
        raise OSError(28, "No space left on device")


def test_a_journal_that_fails_costs_nobody_their_call() -> None:
    async def scene(office: Office) -> None:
        office.house.journal = FullJournal()
        patient, _ = await connected(office)
        assert len(phone_legs(office, "101")) == 1
        patient.far_hang_up()
        await asyncio.sleep(5)
        forgive(office)

    play(scene, clinic=DESK)


class FullMessages(SimMessages):
    """Mailboxes on a disk that takes no more."""

    async def finish(self, mailbox: str, caller: Party, path: Path, seconds: float) -> None:
        raise OSError(28, "No space left on device")


def test_a_message_that_could_not_be_kept_keeps_no_promise() -> None:
    async def scene(office: Office) -> None:
        office.house.messages = FullMessages()
        patient = office.call_in("+12175559001")
        await hears(patient, "Please leave your name")
        await asyncio.sleep(30)
        patient.far_hang_up()
        await asyncio.sleep(1)
        forgive(office)
        assert len(office.journal.open()) == 1
        office.journal.promises.clear()

    play(scene, clinic=straight_to("mailbox:frontdesk"))

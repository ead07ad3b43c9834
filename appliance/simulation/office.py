"""A whole clinic in virtual time: the flows of the box, unchanged, on the simulated town."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from appliance.config.schema import Clinic
from appliance.flows.house import House
from appliance.flows.ports import Party
from appliance.flows.reception import Reception
from appliance.lines.choice import LineState
from appliance.prompts.spoken import SpokenPrompts
from appliance.simulation.books import SimCallLog, SimJournal, SimMemory, SimMessages
from appliance.simulation.time import VirtualClock
from appliance.simulation.town import FarEnd, SimLeg, Town

DEMO = Path(__file__).with_name("demo.toml")


def demo_clinic() -> Clinic:
    """The demo clinic, without the checks across the file."""
    with DEMO.open("rb") as file:
        return Clinic.model_validate(tomllib.load(file))


class Office:
    """One clinic and its town. ``start`` is local time, ISO, e.g. ``2026-11-30T08:00``; ``lines`` replaces the clinic's own.
    Make it inside the virtual loop."""

    def __init__(
        self, clinic: Clinic | None = None, start: str = "2026-11-30T09:00", lines: Sequence[LineState] | None = None
    ) -> None:
        self.clinic = clinic or demo_clinic()
        self.town = Town(lines or [LineState(line.name, line.kind, True, 0, line.capacity) for line in self.clinic.lines])
        self.journal = SimJournal()
        self.log = SimCallLog()
        self.memory = SimMemory()
        self.messages = SimMessages()
        self.clock = VirtualClock(datetime.fromisoformat(start).replace(tzinfo=self.clinic.zone))
        self.house = House(
            self.clinic,
            switch=self.town,
            clock=self.clock,
            journal=self.journal,
            calls=self.log,
            memory=self.memory,
            messages=self.messages,
            prompts=SpokenPrompts(),
        )
        self.reception = Reception(self.house)

    def phone(self, extension: str, *people: FarEnd) -> None:
        """Put people at the devices of an extension."""
        self.town.phones[extension] = list(people)

    def call_in(self, caller: str, number: str = "+12175550100", line: str = "main") -> SimLeg:
        """A patient calls."""
        leg = self.town.call_in(line, number, Party(caller))
        self.reception.incoming(leg)
        return leg

    def dial(self, extension: str, dialed: str) -> SimLeg:
        """Somebody picks up a phone of the house and dials."""
        leg = self.town.call_from_phone(extension, dialed)
        self.reception.incoming(leg)
        return leg

    def outcome(self, leg: SimLeg) -> str:
        """What became of a call; ``""`` while it lasts."""
        return next((record.outcome for record in self.log.records if record.id == leg.id), "")

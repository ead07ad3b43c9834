"""Callers and clocks for tests of the records."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from appliance.flows.ports import CallRecord, Leg, Party
from appliance.records.store import Records


@dataclass
class Caller:
    """As much of a leg as the journal looks at."""

    far: Party

    @classmethod
    def leg(cls, number: str, name: str = "") -> Leg:
        return cast(Leg, cls(Party(number, name)))


@dataclass
class Wall:
    """A wall clock that can be set."""

    at: datetime = field(default_factory=lambda: datetime(2026, 11, 30, 8, 0, tzinfo=UTC))

    def now(self) -> datetime:
        return self.at

    def turn(self, by: timedelta) -> None:
        self.at += by


def record(id: str, at: datetime, outcome: str = "answered", caller: str = "+12175559999") -> CallRecord:
    return CallRecord(id, "in", Party(caller, "Pat Doe"), "+12175550100", at, path=["menu:day"], outcome=outcome)


def opened(folder: Path, wall: Wall | None = None, deaths: list[str] | None = None) -> Records:
    return Records(folder, wall or Wall(), (deaths if deaths is not None else []).append)

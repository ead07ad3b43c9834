"""Records of the simulated box: the ports Journal, CallLog, Memory and Messages in memory, with the same promises."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appliance.flows.ports import CallRecord, Kept, Leg, Party


@dataclass(slots=True)
class Promised:
    """One promise: whom, what was called, the steps in order, and how it ended."""

    caller: Party
    to: str
    steps: list[tuple[str, dict[str, int | str]]] = field(default_factory=list)
    kept: Kept | None = None


class SimJournal:
    """A disk takes a moment: each write costs ``sync_seconds``."""

    def __init__(self, sync_seconds: float = 0.004) -> None:
        self.promises: dict[str, Promised] = {}
        self._sync = sync_seconds
        self._numbers = itertools.count(1)

    async def promise(self, leg: Leg, to: str) -> str:
        id = f"p{next(self._numbers)}"
        await asyncio.sleep(self._sync)
        self.promises[id] = Promised(leg.far, to)
        return id

    async def step(self, promise: str, where: str, **facts: int | str) -> None:
        await asyncio.sleep(self._sync)
        if promise in self.promises:
            self.promises[promise].steps.append((where, dict(facts)))

    async def keep(self, promise: str, how: Kept, by: str = "") -> None:
        await asyncio.sleep(self._sync)
        if promise in self.promises and self.promises[promise].kept is None:
            self.promises[promise].kept = how

    def open(self) -> list[Promised]:
        return [promise for promise in self.promises.values() if promise.kept is None]


class SimCallLog:
    def __init__(self) -> None:
        self.records: list[CallRecord] = []

    def write(self, record: CallRecord) -> None:
        self.records.append(record)


class SimMemory:
    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    def get(self, key: str) -> object | None:
        return self.values.get(key)

    def put(self, key: str, value: object) -> None:
        self.values[key] = value

    def items(self, prefix: str) -> Mapping[str, object]:
        return {key: value for key, value in self.values.items() if key.startswith(prefix)}


class SimMessages:
    """``left``: mailbox, caller and seconds of each message kept."""

    def __init__(self) -> None:
        self.left: list[tuple[str, Party, float]] = []
        self._numbers = itertools.count(1)

    def begin(self, mailbox: str, caller: Party) -> Path:
        return Path(f"/simulated/{mailbox}-{next(self._numbers)}.wav")

    async def finish(self, mailbox: str, caller: Party, path: Path, seconds: float) -> None:
        if seconds >= 1.0:
            self.left.append((mailbox, caller, seconds))

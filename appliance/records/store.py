"""The box's records behind one door: the promise journal, the call log, small facts, callers' messages."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path

from appliance.flows.ports import CallRecord, Clock, Party
from appliance.records.database import Database
from appliance.records.journal import DiskJournal
from appliance.records.writer import Sink, Writer

#: a caller who hangs up at the beep has left no message
SHORTEST_MESSAGE = 1.0
#: with less free space than this an alarm is shown
LITTLE_SPACE = 200_000_000


class DiskCallLog:
    """Implements :class:`appliance.flows.ports.CallLog`. What the disk refuses is kept and tried again with the next."""

    def __init__(self, database: Database, writer: Writer, clock: Clock) -> None:
        self._database = database
        self._writer = writer
        self._clock = clock
        self._unwritten: deque[CallRecord] = deque(maxlen=10_000)
        self._day: date | None = None
        self.today: Counter[str] = Counter()

    def write(self, record: CallRecord) -> None:
        day = self._clock.now().date()
        if day != self._day:
            self._day = day
            self.today.clear()
        self.today[record.direction] += 1
        self.today[f"{record.direction} {record.outcome}"] += 1
        self._writer.later(partial(self._add, record))

    def _add(self, record: CallRecord) -> Sink:
        self._unwritten.append(record)
        return self

    def commit(self) -> None:
        for record in self._unwritten:
            self._database.add_call(record)
        self._database.commit()
        self._unwritten.clear()


class DiskMemory:
    """Implements :class:`appliance.flows.ports.Memory`: reads from memory, writes behind. ``None`` is nothing: it forgets."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer
        self._unwritten: dict[str, str | None] = {}
        self._texts: dict[str, str] = database.memory()
        self._values: dict[str, object] = {key: json.loads(text) for key, text in self._texts.items()}

    def get(self, key: str) -> object | None:
        return self._values.get(key)

    def put(self, key: str, value: object) -> None:
        text = None if value is None else json.dumps(value)
        if self._texts.get(key) == text:
            return
        if text is None:
            del self._texts[key], self._values[key]
        else:
            self._texts[key], self._values[key] = text, value
        self._writer.later(partial(self._set, key, text))

    def items(self, prefix: str) -> Mapping[str, object]:
        return {key: value for key, value in self._values.items() if key.startswith(prefix)}

    def _set(self, key: str, text: str | None) -> Sink:
        self._unwritten[key] = text
        return self

    def commit(self) -> None:
        for key, text in self._unwritten.items():
            self._database.put(key, text)
        self._database.commit()
        self._unwritten.clear()


class DiskMessages:
    """Implements :class:`appliance.flows.ports.Messages`: WAV files and their index. ``on_change(mailbox, new, old)``."""

    def __init__(self, folder: Path, database: Database, index: Database, writer: Writer, clock: Clock) -> None:
        """``index`` is a second connection, for reading: the loop must not wait for the writer's commit."""
        self._folder = folder
        self._database = database
        self._index = index
        self._writer = writer
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._unwritten: list[tuple[str, str, Party, datetime, float]] = []
        self.on_change: Callable[[str, int, int], None] = lambda mailbox, new, old: None
        folder.mkdir(mode=0o700, exist_ok=True)

    def begin(self, mailbox: str, caller: Party) -> Path:
        return self._folder / f"{uuid.uuid4().hex}.wav"

    async def finish(self, mailbox: str, caller: Party, path: Path, seconds: float) -> None:
        if seconds < SHORTEST_MESSAGE:
            self._writer.later(partial(self._drop, path))
            return
        await self._writer.durable(partial(self._file, mailbox, caller, path, seconds))

    def count(self, mailbox: str) -> tuple[int, int]:
        """New and heard messages."""
        return self._index.messages(mailbox)

    def _file(self, mailbox: str, caller: Party, path: Path, seconds: float) -> Sink:
        path.chmod(0o600)
        self._unwritten.append((mailbox, path.name, caller, self._clock.now(), seconds))
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return self

    def commit(self) -> None:
        for message in self._unwritten:
            self._database.add_message(*message)
        self._database.commit()
        changed = dict.fromkeys(mailbox for mailbox, *_ in self._unwritten)
        self._unwritten.clear()
        self._loop.call_soon_threadsafe(self._changed, list(changed))

    def _changed(self, mailboxes: Sequence[str]) -> None:
        for mailbox in mailboxes:
            self.on_change(mailbox, *self.count(mailbox))

    @staticmethod
    def _drop(path: Path) -> None:
        path.unlink(missing_ok=True)


class Records:
    """Opened once per process. ``on_death`` is called when the writing thread dies: the box cannot go on then."""

    def __init__(self, folder: Path, clock: Clock, on_death: Callable[[str], None]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._writer = Writer(on_death)
        self._database = Database(folder / "records.db")
        self._index = Database(folder / "records.db", read_only=True)
        self.journal = DiskJournal(folder / "journal", self._writer, clock)
        self.calls = DiskCallLog(self._database, self._writer, clock)
        self.memory = DiskMemory(self._database, self._writer)
        self.messages = DiskMessages(folder / "messages", self._database, self._index, self._writer, clock)

    def health(self) -> dict[str, object]:
        """For ``status``: free space, what waits to be written, what failed."""
        free = shutil.disk_usage(self._folder).free
        return {
            "free_bytes": free,
            "little_space": free < LITTLE_SPACE,
            "waiting": self._writer.pending,
            "failed": self._writer.failed,
            "last_error": self._writer.last_error,
            "damaged_lines": self.journal.damaged,
        }

    async def close(self) -> None:
        await self._writer.close()
        self.journal.close()
        self._index.close()
        self._database.close()

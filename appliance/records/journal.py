"""The promise ledger (REQ-Z1): each caller is a promise, written and synced before the box acts; replayed at start.

A file of lines ``crc32 json``; a line torn by a power cut or damaged on disk is known by its sum and skipped. At start the
open promises are read: these callers were cut off. The file is then written anew with nothing in it but what still matters.
"""

from __future__ import annotations

import itertools
import json
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from appliance.flows.ports import Clock, Kept, Leg
from appliance.records.writer import Sink, Writer


@dataclass(slots=True)
class Promise:
    """A caller who is owed something. ``facts`` are those of the last step, e.g. ``{"position": 3}``."""

    id: str
    caller: str
    name: str
    to: str
    since: str
    where: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "caller": self.caller,
            "name": self.name,
            "dialed": self.to,
            "since": self.since,
            "where": self.where,
            **self.facts,
        }


def encode(record: dict[str, Any]) -> bytes:
    """One line with its sum."""
    body = json.dumps(record, separators=(",", ":"), ensure_ascii=True).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode(data: bytes) -> Iterator[dict[str, Any] | None]:
    """The records of a file in order; ``None`` for each line that is damaged."""
    for line in data.split(b"\n"):
        if not line:
            continue
        head, _, body = line.partition(b" ")
        try:
            if len(head) != 8 or int(head, 16) != zlib.crc32(body):
                yield None
                continue
            record = json.loads(body)
        except (ValueError, RecursionError):
            yield None
            continue
        yield record if isinstance(record, dict) else None


def replay(data: bytes) -> tuple[dict[str, Promise], int]:
    """Open promises in a journal's bytes, and how many lines were damaged. Never raises."""
    open_: dict[str, Promise] = {}
    damaged = 0
    for record in decode(data):
        if record is None:
            damaged += 1
            continue
        match record.get("op"):
            case "promise":
                id, caller, name, to, at = (str(record.get(k, "")) for k in ("id", "caller", "name", "to", "at"))
                promise = Promise(id, caller, name, to, at)
                open_[promise.id] = promise
            case "step" if (known := open_.get(str(record.get("id")))) is not None:
                known.where = str(record.get("where", ""))
                facts = record.get("facts")
                known.facts = facts if isinstance(facts, dict) else {}
            case "keep":
                open_.pop(str(record.get("id")), None)
    return open_, damaged


#: what a full disk refuses is kept up to this size
UNWRITTEN_BYTES = 4_000_000


class LedgerFile:
    """The file under the journal; all methods are for the writer's thread, but :meth:`open`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._buffer: list[bytes] = []
        self.size = 0

    def open(self) -> tuple[dict[str, Promise], int]:
        """Read what is open, and begin a fresh file with it (atomically: a crash at any moment loses nothing)."""
        data = self._path.read_bytes() if self._path.exists() else b""
        found, damaged = replay(data)
        self._begin([record for promise in found.values() for record in _records(promise)])
        return found, damaged

    def append(self, record: dict[str, Any]) -> LedgerFile:
        self._buffer.append(encode(record))
        return self

    def commit(self) -> None:
        data, self._buffer = b"".join(self._buffer), []
        try:
            _write(self._descriptor, data)
            os.fdatasync(self._descriptor)
        except OSError:
            # A full disk: keep it for the next commit, on a line of its own after what may have been torn.
            self._buffer = [b"\n", data[-UNWRITTEN_BYTES:]]
            raise
        self.size += len(data)

    def rewrite(self, records: list[dict[str, Any]]) -> None:
        """Begin a new file with these records; what was appended before is in them."""
        self._buffer.clear()
        self._begin(records)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _begin(self, records: list[dict[str, Any]]) -> None:
        part = self._path.with_name(self._path.name + ".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        data = b"".join(encode(record) for record in records)
        try:
            _write(descriptor, data)
            os.fsync(descriptor)
            part.replace(self._path)
        except OSError:
            os.close(descriptor)
            raise
        folder = os.open(self._path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        self.close()
        self._descriptor, self.size = descriptor, len(data)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


#: a journal larger than this is rewritten with its open promises only
COMPACT_BYTES = 8_000_000


class DiskJournal:
    """Implements :class:`appliance.flows.ports.Journal`."""

    def __init__(self, path: Path, writer: Writer, clock: Clock) -> None:
        self._file = LedgerFile(path)
        self._writer = writer
        self._clock = clock
        interrupted, self.damaged = self._file.open()
        #: callers whom a crash or power cut broke off, to be called back
        self.interrupted: dict[str, Promise] = interrupted
        self.open: dict[str, Promise] = {}
        self.broken = 0
        self._run = f"{time.time_ns():x}"
        self._numbers = itertools.count(1)
        self._compacting = False

    async def promise(self, leg: Leg, to: str) -> str:
        id = f"{self._run}-{next(self._numbers)}"
        promise = Promise(id, leg.far.number, leg.far.name, to, self._now().isoformat(timespec="seconds"))
        self.open[id] = promise
        await self._writer.durable(partial(self._file.append, _opening(promise)))
        return id

    async def step(self, promise: str, where: str, **facts: int | str) -> None:
        known = self.open.get(promise)
        if known is None:
            return
        known.where, known.facts = where, dict(facts)
        await self._writer.durable(partial(self._file.append, {"op": "step", "id": promise, "where": where, "facts": facts}))

    async def keep(self, promise: str, how: Kept, by: str = "") -> None:
        if self.open.pop(promise, None) is None:
            return
        record = {"op": "keep", "id": promise, "how": how.value, "by": by, "at": self._now().isoformat()}
        await self._writer.durable(partial(self._file.append, record))
        if self._file.size > COMPACT_BYTES and not self._compacting:
            self._compacting = True
            owed = [*self.interrupted.values(), *self.open.values()]
            self._writer.later(partial(self._compact, [record for promise in owed for record in _records(promise)]))

    def settle(self, promise: str) -> bool:
        """An interrupted caller has been called back or looked after; ``False`` when there is none of this id."""
        if self.interrupted.pop(promise, None) is None:
            return False
        record = {"op": "keep", "id": promise, "how": Kept.CALLED_BACK.value, "by": "", "at": self._now().isoformat()}
        self._writer.later(partial(self._file.append, record))
        return True

    def close(self) -> None:
        self._file.close()

    def _compact(self, records: list[dict[str, Any]]) -> Sink | None:
        try:
            self._file.commit()
            self._file.rewrite(records)
        finally:
            self._compacting = False
        return None

    def _now(self) -> datetime:
        return self._clock.now()


def _records(promise: Promise) -> list[dict[str, Any]]:
    """What a fresh file holds of a promise."""
    return [_opening(promise), {"op": "step", "id": promise.id, "where": promise.where, "facts": dict(promise.facts)}]


def _opening(promise: Promise) -> dict[str, Any]:
    return {
        "op": "promise",
        "id": promise.id,
        "caller": promise.caller,
        "name": promise.name,
        "to": promise.to,
        "at": promise.since,
    }

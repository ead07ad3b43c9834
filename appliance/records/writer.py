"""The one thread that writes to disk: many callers share one commit, nobody on the event loop waits for a disk.

Work handed over while a commit runs is done together in the next one (group commit): a hundred promises in one fsync.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

log = structlog.get_logger("records")


class Sink(Protocol):
    """Something durable: takes what was handed over and makes it so with one commit."""

    def commit(self) -> None:
        """Make durable all that was done since the last commit. Raises ``OSError`` or ``sqlite3.Error``."""


#: what a disk has refused is tried again after this
RETRY_SECONDS = 5.0
#: the least time between two commits: a promise waits for its own at most this much longer, before the caller is answered
GATHER_SECONDS = 0.005

Work = Callable[[], Sink | None]
_Item = tuple[Work, asyncio.Future[None] | None]


class Writer:
    """Runs work in order on its own thread. ``on_death`` is called (on the loop) when the thread ends unexpectedly."""

    def __init__(self, on_death: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._on_death = on_death
        #: how many records are not on disk yet because it refused them, and why
        self.failed = 0
        self.last_error = ""
        self.pending = 0
        self._refused: dict[Sink, None] = {}
        self._committed = 0.0
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)
        self._thread.start()

    async def durable(self, work: Work) -> bool:
        """Do the work; returns when it is on disk. ``False`` when the disk refused: told in :attr:`last_error`, never raised,
        since no call may end because a disk is full."""
        future: asyncio.Future[None] = self._loop.create_future()
        self.pending += 1
        self._queue.put((work, future))
        try:
            await asyncio.shield(future)
        except OSError:
            return False
        return True

    def later(self, work: Work) -> None:
        """Do the work some time soon, in order; returns at once."""
        self.pending += 1
        self._queue.put((work, None))

    async def close(self) -> None:
        """Finish all that was handed over."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            while not self._turn():
                pass
        except BaseException as error:  # whatever it was: the box must not go on without records
            log.exception("the records thread died")
            self._loop.call_soon_threadsafe(self._on_death, f"the records thread died: {error}")

    def _turn(self) -> bool:
        """Wait for work and do all there is; whether it was the last."""
        batch: list[_Item] = []
        try:
            item = self._queue.get(timeout=RETRY_SECONDS if self._refused else None)
            # One commit may follow another at once, many may not: in a rush of calls more of them share each.
            early = self._committed + GATHER_SECONDS - time.monotonic()
            if item is not None and early > 0:
                time.sleep(early)
            while item is not None:
                batch.append(item)
                item = self._queue.get_nowait()
        except queue.Empty:
            self._commit(batch)
            return False
        self._commit(batch)
        return True

    def _commit(self, batch: list[_Item]) -> None:
        # A sink keeps what was refused: the next commit tries all of it.
        touched, self._refused = self._refused, {}
        outcome: list[tuple[asyncio.Future[None] | None, Exception | None]] = []
        for work, future in batch:
            error: Exception | None = None
            try:
                sink = work()
                if sink is not None:
                    touched[sink] = None
            except Exception as failure:
                error = failure
            outcome.append((future, error))
        refusal: Exception | None = None
        for sink in touched:
            try:
                sink.commit()
            except Exception as failure:
                refusal = failure
                self._refused[sink] = None
        self._committed = time.monotonic()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, outcome, refusal)

    def _tell(self, outcome: list[tuple[asyncio.Future[None] | None, Exception | None]], refusal: Exception | None) -> None:
        if refusal is None:
            self.failed, self.last_error = 0, ""
        for future, error in outcome:
            self.pending -= 1
            failed = error or refusal
            if failed is not None:
                self.failed += 1
                self.last_error = f"{type(failed).__name__}: {failed}"
                log.error("a record could not be written", error=self.last_error)
            if future is not None and not future.done():
                if failed is None:
                    future.set_result(None)
                else:
                    future.set_exception(OSError(self.last_error))

"""Background tasks with an owner: one that ends unexpectedly ends the process, and systemd starts it anew."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import structlog

log = structlog.get_logger("switchboard")


class Owned:
    """The tasks a process lives by. :attr:`fatal` is done when one of them died."""

    def __init__(self) -> None:
        self.fatal: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[object, object, None], name: str) -> None:
        """Run for the life of the process; any end of it, but by :meth:`stop`, is fatal."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def die(self, why: str) -> None:
        """Something the box cannot live without has failed."""
        if not self.fatal.done():
            self.fatal.set_result(why)

    async def dead(self) -> str:
        """Wait until something has died; why."""
        return await asyncio.shield(self.fatal)

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task not in self._tasks:
            return
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a task the box lives by has died", task=task.get_name(), exc_info=error)
        self.die(f"{task.get_name()} ended: {error or 'without a reason'}")

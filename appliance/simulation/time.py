"""An event loop on which time costs nothing: when all wait, the clock jumps to the next timer.

Flows sleep for minutes in it and a whole day passes in seconds, with the same interleaving each time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")


class Stuck(RuntimeError):
    """Everybody waits for something and no timer is left: a flow would hang for ever."""


class _NoWaiting(selectors.SelectSelector):
    """Instead of sleeping until the next timer, move the clock there."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("nothing will ever happen again, and somebody still waits")
        if timeout > 0:
            self.loop.passed += timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``passed`` seconds of virtual time since its start."""

    def __init__(self) -> None:
        self.passed = 0.0
        selector = _NoWaiting()
        super().__init__(selector)
        selector.loop = self
        # Timers closer than this are one moment; the sum of many small steps must not drift below a deadline.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.passed


class VirtualClock:
    """Wall time that starts at ``start`` (aware) and follows the loop. Implements :class:`appliance.flows.ports.Clock`."""

    def __init__(self, start: datetime) -> None:
        self._start = start

    def now(self) -> datetime:
        return (self._start.astimezone(UTC) + timedelta(seconds=asyncio.get_running_loop().time())).astimezone(
            self._start.tzinfo
        )


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time; tasks left over are cancelled as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)

"""A town on the other end of the lines: simulated legs and a switch that behave as the live ones do.

Signalling takes :data:`NETWORK_SECONDS`; a far end sees and does only what one on a real line could.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from appliance.flows.ports import (
    Answered,
    Cause,
    Digit,
    Direction,
    EarlyMedia,
    Ended,
    Held,
    Leg,
    LegEvent,
    Party,
    Referred,
    Resumed,
    Ringing,
    Shown,
    Sound,
)
from appliance.lines.choice import LineState

NETWORK_SECONDS = 0.02


class SimLeg:
    """A leg and, through its ``far_…`` methods, the far end's own hands and ears."""

    def __init__(
        self,
        town: Town,
        direction: Direction,
        far: Party,
        dialed: str,
        line: str | None = None,
        extension: str | None = None,
        shown: Shown | None = None,
    ) -> None:
        self.id = f"leg-{next(town.numbers)}"
        self.direction = direction
        self.far = far
        self.dialed = dialed
        self.line = line
        self.extension = extension
        self.answered = False
        self.ended: Cause | None = None
        self.on_hold = False
        self.trying = False
        #: what the phone's display shows
        self.shown = shown
        #: all the far end has heard, in order: ``(time, words)``
        self.transcript: list[tuple[float, str]] = []
        self.digits_sent = ""
        self.transfers: list[Cause] = []
        self.rings = False
        self.joined: dict[SimLeg, None] = {}
        #: the moments (loop's time) at which it first talked with somebody, and ended
        self.talked_at: float | None = None
        self.ended_at: float | None = None
        self._town = town
        self._hears = ""
        self._events: deque[LegEvent] = deque()
        self._news = asyncio.Event()
        self._task: asyncio.Task[object] | None = None
        self._changed = asyncio.Event()
        self._why: Cause | None = None
        town.living[self.id] = self

    # --- Leg ---

    def served_by(self, task: asyncio.Task[object] | None) -> None:
        self._task = task
        if task is not None and self.ended is not None:
            task.cancel()

    def ring(self) -> None:
        if self.direction is Direction.IN and not self.ended:
            self.rings = True
            self._change()

    async def answer(self) -> None:
        if self.direction is Direction.OUT or self.answered or self.ended:
            return
        self.answered = True
        await asyncio.sleep(NETWORK_SECONDS)
        self._change()

    def hang_up(self, cause: Cause = Cause.NORMAL) -> None:
        if self.ended is None and self._why is None:
            self._why = cause
            asyncio.get_running_loop().call_later(NETWORK_SECONDS, self._end, cause)

    async def event(self) -> LegEvent:
        while not self._events:
            if self.ended is not None:
                return Ended(self.ended)
            self._news.clear()
            await self._news.wait()
        return self._events.popleft()

    def flush_digits(self) -> None:
        self._events = deque(event for event in self._events if not isinstance(event, Digit))

    async def play(self, sound: Sound) -> None:
        if self.ended:
            return
        self._hear(sound.text)
        try:
            await asyncio.sleep(sound.seconds)
        finally:
            if self._hears == sound.text:
                self._hear("")

    def music(self, name: str) -> None:
        self._hear(f"music:{name}")

    def ringback(self) -> None:
        self._hear("ringback")

    def silence(self) -> None:
        self._hear("")

    async def record(self, path: Path, limit: float) -> float:
        await asyncio.sleep(limit)
        return limit

    def send_digits(self, keys: str) -> None:
        self.digits_sent += keys

    def refer_result(self, cause: Cause) -> None:
        self.transfers.append(cause)

    def show(self, party: Party, via: str = "") -> None:
        self.shown = Shown(party, via)

    # --- the far end ---

    @property
    def hears(self) -> str:
        """Words played, ``music:NAME``, ``ringback``, ``""``; see :attr:`joined` for whom it talks with."""
        return self._hears

    def hears_leg(self, other: SimLeg) -> bool:
        return other in self.joined and self.ended is None and other.ended is None

    def far_press(self, keys: str) -> None:
        for key in keys:
            self._report(Digit(key))

    def far_try(self) -> None:
        """The network works on it: 100, and nothing more yet."""
        self.trying = True

    def far_ring(self) -> None:
        self.trying = True
        self._report(Ringing())

    def far_early_media(self) -> None:
        self._report(EarlyMedia())

    def far_answer(self) -> None:
        if self.ended is None and self._why is None and not self.answered:
            self.answered = True
            self._report(Answered())

    def far_hang_up(self, cause: Cause = Cause.NORMAL) -> None:
        self._end(cause)

    def far_hold(self, held: bool = True) -> None:
        self.on_hold = held
        self._report(Held() if held else Resumed())

    def far_refer(self, target: str, consulted: SimLeg | None = None) -> None:
        self._report(Referred(target, consulted))

    async def far_until(self, true: Callable[[SimLeg], bool]) -> bool:
        """Wait until something holds for this leg; ``False`` when the leg ended first."""
        while not true(self):
            if self.ended is not None:
                return False
            self._changed.clear()
            await self._changed.wait()
        return True

    # --- inside ---

    def _report(self, event: LegEvent) -> None:
        if self.ended is None:
            self._events.append(event)
            self._news.set()

    def _hear(self, what: str) -> None:
        if self.ended is not None:
            return
        self.unjoin()
        if what != self._hears:
            self._hears = what
            if what:
                self.transcript.append((asyncio.get_running_loop().time(), what))
            self._change()

    def unjoin(self) -> None:
        for other in list(self.joined):
            other.joined.pop(self, None)
            other._change()
        self.joined.clear()

    def join(self, others: Sequence[SimLeg]) -> None:
        self._hears = ""
        for other in [leg for leg in self.joined if leg not in others]:
            self.joined.pop(other)
            other.joined.pop(self, None)
        if others and self.talked_at is None:
            self.talked_at = asyncio.get_running_loop().time()
        for other in others:
            self.joined[other] = None
            other.joined[self] = None
        self._change()

    def _change(self) -> None:
        self._changed.set()

    def _end(self, cause: Cause) -> None:
        if self.ended is not None:
            return
        self.ended = self._why or cause
        self.ended_at = asyncio.get_running_loop().time()
        self.unjoin()
        self._hears = ""
        self._town.living.pop(self.id, None)
        self._events.append(Ended(self.ended))
        self._news.set()
        self._change()
        if self._task is not None:
            self._task.cancel()
            self._task = None


#: what happens at the far end of a leg the box makes
FarEnd = Callable[[SimLeg], Awaitable[None]]


class Town:
    """The switch of the simulation (:class:`appliance.flows.ports.Switch`), with phones and outside people at its ends."""

    def __init__(self, lines: Sequence[LineState]) -> None:
        self.numbers = itertools.count(1)
        self.living: dict[str, SimLeg] = {}
        #: every leg ever made
        self.history: list[SimLeg] = []
        self.phones: dict[str, list[FarEnd]] = {}
        #: who answers an outside number; ``""`` for all others
        self.outside: dict[str, FarEnd] = {}
        self._lines = {line.name: line for line in lines}
        self._people: set[asyncio.Task[None]] = set()

    # --- Switch ---

    def ring_phone(self, extension: str, shown: Shown) -> Sequence[Leg]:
        legs = []
        for far_end in self.phones.get(extension, []):
            leg = SimLeg(self, Direction.OUT, Party(extension), extension, extension=extension, shown=shown)
            legs.append(leg)
            self._live(leg, far_end)
        return legs

    def seize(self, line: str, number: str, caller: Party, headers: Mapping[str, str] | None = None) -> Leg:
        state = next(s for s in self.lines() if s.name == line)
        leg = SimLeg(self, Direction.OUT, Party(number), number, line=line, shown=Shown(caller))
        self.history.append(leg)
        if not state.up or state.in_use >= state.capacity:
            asyncio.get_running_loop().call_later(NETWORK_SECONDS, leg.far_hang_up, Cause.CONGESTION)
            return leg
        self._live(leg, self.outside.get(number) or self.outside.get("") or _nobody)
        return leg

    def lines(self) -> Sequence[LineState]:
        used: dict[str, int] = {}
        for leg in self.living.values():
            if leg.line is not None:
                used[leg.line] = used.get(leg.line, 0) + 1
        return [
            LineState(line.name, line.kind, line.up, used.get(line.name, 0), line.capacity) for line in self._lines.values()
        ]

    def registered(self, extension: str) -> bool:
        return bool(self.phones.get(extension))

    def legs(self) -> Sequence[Leg]:
        return list(self.living.values())

    def join(self, *legs: Leg) -> None:
        live = [leg for leg in legs if isinstance(leg, SimLeg) and leg.ended is None]
        for leg in live:
            leg.join([other for other in live if other is not leg])

    def part(self, *legs: Leg) -> None:
        for leg in legs:
            leg.silence()

    # --- the town's own hands ---

    def set_line(self, name: str, *, up: bool) -> None:
        line = self._lines[name]
        self._lines[name] = LineState(line.name, line.kind, up, 0, line.capacity)

    def remove_line(self, name: str) -> None:
        """A reload takes it away."""
        del self._lines[name]

    def call_in(self, line: str, number: str, caller: Party) -> SimLeg:
        """A call arrives on a line; hand it to the reception."""
        leg = SimLeg(self, Direction.IN, caller, number, line=line)
        self.history.append(leg)
        return leg

    def call_from_phone(self, extension: str, dialed: str) -> SimLeg:
        """A phone of the house dials."""
        leg = SimLeg(self, Direction.IN, Party(extension), dialed, extension=extension)
        self.history.append(leg)
        return leg

    def live(self, life: Awaitable[None]) -> None:
        """Let somebody live in the town until they are done."""
        task = asyncio.ensure_future(life)
        self._people.add(task)
        task.add_done_callback(self._people.discard)

    def _live(self, leg: SimLeg, far_end: FarEnd) -> None:
        if leg not in self.history:
            self.history.append(leg)

        async def life() -> None:
            await asyncio.sleep(NETWORK_SECONDS)
            if leg.ended is None:
                await far_end(leg)

        self.live(life())


async def _nobody(leg: SimLeg) -> None:
    """An outside number nobody knows."""
    leg.far_hang_up(Cause.NOT_FOUND)

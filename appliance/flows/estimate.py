"""How long a caller will wait, honestly (REQ-Q1): a bound that holds in four of five cases, and not far above the truth.

The wait is played through a number of times: each agent at work ends the call they are in, each caller ahead takes the next
free agent or gives up, until it is this caller's turn. How long a call takes is drawn from those this queue has lately had,
for a call under way only from those that were longer than it is already; how soon callers give up was seen as well. Of the
outcomes the one is told that four of five stay below. What a play cannot know (agents who pause, somebody ill) is learned from
what was told and what came: a scale is moved so that one figure in five is too low. The first figure and those told later
have one each: who hears a later one has waited longer than most.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

#: handling times assumed before any was seen: mean 240 s, half of them between 120 and 300 s
PRIOR = (65.0, 95.0, 120.0, 145.0, 170.0, 195.0, 225.0, 260.0, 300.0, 350.0, 430.0, 600.0)
#: calls whose length is remembered
REMEMBERED = 150
#: share of waits that may be longer than what was told: below one in five, since the morning may be an unlucky one
MISSES = 0.18
LEARN = 0.03
SCALES = (0.4, 2.5)
#: how often a wait is played through: half a millisecond's work
PLAYS = 80
#: answers after which the learned figures are called sure
SURE_AFTER = 20
#: seconds of waiting after which half of what was learned about giving up is forgotten
WAITING_MEMORY = 100_000.0
#: so many calls of an hour of the day count as much as those of all hours
HOUR_WEIGHT = 30.0


@dataclass(frozen=True, slots=True)
class Staff:
    """Who will take the next calls: seconds each talking agent has been talking, seconds until each resting one is free."""

    talking: Sequence[float] = ()
    resting: Sequence[float] = ()


@dataclass(slots=True)
class _Mean:
    """A running mean that slowly forgets."""

    weight: float = 0.0
    mean: float = 0.0

    def add(self, value: float, memory: float) -> None:
        self.weight = min(self.weight + 1, memory)
        self.mean += (value - self.mean) / self.weight


@dataclass(slots=True)
class Estimator:
    """Learns from one queue. ``talks`` are the latest handling times, ``hours`` their means by hour of the day."""

    talks: list[float] = field(default_factory=list)
    hours: dict[int, _Mean] = field(default_factory=dict)
    given_up: float = 0.0
    waiting: float = 0.0
    first_scale: float = 1.0
    later_scale: float = 1.0

    # --- what is learned ---

    def handled(self, seconds: float, hour: int) -> None:
        """An agent was busy with a call for this long, wrap-up included."""
        if 1.0 <= seconds <= 7200.0:
            self.talks = [*self.talks[1 - REMEMBERED :], round(seconds, 1)]
            self.hours.setdefault(hour, _Mean()).add(seconds, 60.0)

    def left(self, seconds: float, *, gave_up: bool) -> None:
        """A caller has left the line after this long: served, or because they gave up."""
        keep = 0.5 ** (seconds / WAITING_MEMORY)
        self.given_up = self.given_up * keep + gave_up
        self.waiting = self.waiting * keep + seconds

    def waited(self, told_minutes: int, seconds: float, *, first: bool = True, weight: float = 1.0) -> None:
        """What came of a figure: the caller was answered ``seconds`` after they heard it, or gave up later than told."""
        step = 1 - MISSES if seconds > told_minutes * 60 else -MISSES
        moved = min(SCALES[1], max(SCALES[0], self._scale(first) * math.exp(LEARN * weight * step)))
        if first:
            self.first_scale = moved
        else:
            self.later_scale = moved

    @property
    def sure(self) -> bool:
        """Whether enough calls were seen to give a figure without hedging."""
        return len(self.talks) >= SURE_AFTER

    # --- what is told ---

    def seconds(self, position: int, staff: Staff, hour: int, *, first: bool = True) -> float:
        """The bound to tell a caller at ``position`` (1 is next) while this ``staff`` is at work."""
        # The same dice each time: a figure changes because the line does.
        dice = random.Random(position)
        talks = self._talks(hour)
        waits = sorted(self._play(position, staff, talks, dice) for _ in range(PLAYS))
        return self._scale(first) * waits[math.ceil((1 - MISSES) * PLAYS) - 1]

    def minutes(self, position: int, staff: Staff, hour: int, *, first: bool = True) -> int:
        """The bound in whole minutes as it is spoken, at least 1."""
        return max(1, math.ceil(self.seconds(position, staff, hour, first=first) / 60))

    def _scale(self, first: bool) -> float:
        return self.first_scale if first else self.later_scale

    def _play(self, position: int, staff: Staff, talks: list[float], dice: random.Random) -> float:
        """One way it may go: seconds until this caller is served."""
        free = [*staff.resting, *(_rest(elapsed, talks, dice) for elapsed in staff.talking)] or [_rest(0.0, talks, dice)]
        heapq.heapify(free)
        # Callers give up at a steady rate; two of them in twenty minutes of waiting are assumed before any was seen.
        giving_up = (self.given_up + 0.5) / (self.waiting + 1200.0)
        for _ in range(position - 1):
            if dice.expovariate(giving_up) > free[0]:
                heapq.heapreplace(free, free[0] + talks[int(dice.random() * len(talks))])
        return free[0]

    def _talks(self, hour: int) -> list[float]:
        """Handling times to draw from, sorted: this hour's length, as this queue's vary."""
        known = self.talks + list(PRIOR[: max(0, len(PRIOR) - len(self.talks))])
        mean = sum(known) / len(known)
        here = self.hours.get(hour, _Mean())
        factor = (here.weight * here.mean + HOUR_WEIGHT * mean) / ((here.weight + HOUR_WEIGHT) * mean)
        return sorted(factor * talk for talk in known)

    # --- memory ---

    def to_json(self) -> dict[str, object]:
        return {
            "talks": self.talks,
            "hours": {str(hour): [round(m.weight, 1), round(m.mean, 1)] for hour, m in self.hours.items()},
            "given_up": round(self.given_up, 3),
            "waiting": round(self.waiting, 1),
            "scales": [round(self.first_scale, 4), round(self.later_scale, 4)],
        }

    @classmethod
    def from_json(cls, value: object) -> Estimator:
        """What :meth:`to_json` gave; anything else begins anew."""
        try:
            assert isinstance(value, dict)
            found = cls(
                [float(talk) for talk in value["talks"]],
                {int(hour): _Mean(*map(float, kept)) for hour, kept in value["hours"].items()},
                float(value["given_up"]),
                float(value["waiting"]),
                *map(float, value["scales"]),
            )
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
            return cls()
        return found if found._sound() else cls()

    def _sound(self) -> bool:
        figures = [*self.talks, self.given_up, self.waiting, *(m.weight for m in self.hours.values())]
        figures += [m.mean for m in self.hours.values()]
        scales = (self.first_scale, self.later_scale)
        return all(math.isfinite(f) and f >= 0 for f in figures) and all(SCALES[0] <= s <= SCALES[1] for s in scales)


def _rest(elapsed: float, talks: list[float], dice: random.Random) -> float:
    """How long a call that has lasted ``elapsed`` goes on: one of those that lasted longer, or as long again as half a call."""
    first = bisect_right(talks, elapsed)
    if first == len(talks):
        return talks[int(dice.random() * len(talks))] / 2
    return talks[first + int(dice.random() * (len(talks) - first))] - elapsed

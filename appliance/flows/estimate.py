"""How long a caller will wait, honestly (REQ-Q1): a bound that holds in four of five cases, and not far above the truth.

With ``n`` agents who each need ``h`` seconds a call (talk and wrap-up), the caller at position ``p`` waits for ``p`` calls to
end, one each ``h/n`` seconds: a mean of ``p·h/n`` with a spread of ``√p·v·h/n``, where ``v`` is the relative spread of
``h``. Both are learned from the answers of this queue, more from those of this hour of the day. Two corrections are learned
from what was told and what came: ``bias`` (callers before one give up; agents pause) and ``margin``, the number of spreads
added, which is moved so that one figure in five is too low.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

PRIOR_SECONDS = 240.0
PRIOR_SPREAD = 0.7
PRIOR_WEIGHT = 4.0
#: share of waits that may be longer than what was told
MISSES = 0.2
LEARN = 0.06
#: answers after which the learned figures are called sure
SURE_AFTER = 20


@dataclass(slots=True)
class _Mean:
    """A running mean and mean square that slowly forgets."""

    weight: float = 0.0
    mean: float = 0.0
    square: float = 0.0

    def add(self, value: float, memory: float = 200.0) -> None:
        self.weight = min(self.weight + 1, memory)
        self.mean += (value - self.mean) / self.weight
        self.square += (value * value - self.square) / self.weight


@dataclass(slots=True)
class Estimator:
    """Learns from one queue. ``hours`` by hour of the day."""

    overall: _Mean = field(default_factory=_Mean)
    hours: dict[int, _Mean] = field(default_factory=dict)
    bias: float = 1.0
    margin: float = 0.85

    def handled(self, seconds: float, hour: int) -> None:
        """An agent was busy with a call for this long, wrap-up included."""
        if 1.0 <= seconds <= 7200.0:
            self.overall.add(seconds)
            self.hours.setdefault(hour, _Mean()).add(seconds, 60.0)

    @property
    def sure(self) -> bool:
        """Whether enough calls were seen to give a figure without hedging."""
        return self.overall.weight >= SURE_AFTER

    def seconds(self, position: int, agents: int, hour: int) -> float:
        """The bound to tell a caller at ``position`` (1 is next) while ``agents`` are at work."""
        mean, spread = self._expected(position, agents, hour)
        return max(0.0, mean + self.margin * spread)

    def minutes(self, position: int, agents: int, hour: int) -> int:
        """The bound in whole minutes as it is spoken, at least 1."""
        return max(1, math.ceil(self.seconds(position, agents, hour) / 60))

    def waited(self, told_minutes: int, position: int, agents: int, hour: int, seconds: float) -> None:
        """What came of a figure told at this position: the caller was answered after ``seconds``."""
        mean, _ = self._expected(position, agents, hour)
        ratio = min(4.0, max(0.1, seconds * self.bias / max(mean, 1.0)))
        self.bias = min(2.0, max(0.3, self.bias + LEARN * (ratio - self.bias)))
        missed = seconds > told_minutes * 60
        self.margin = min(3.0, max(-0.5, self.margin + LEARN * ((1 - MISSES) if missed else -MISSES)))

    def _expected(self, position: int, agents: int, hour: int) -> tuple[float, float]:
        handling, spread = self._handling(hour)
        gap = handling / max(1, agents)
        return self.bias * position * gap, math.sqrt(position) * spread * gap

    def _handling(self, hour: int) -> tuple[float, float]:
        """Mean handling time and its relative spread: this hour's, leaning on the whole queue's, leaning on a guess."""
        here = self.hours.get(hour, _Mean())
        parts = ((PRIOR_WEIGHT, PRIOR_SECONDS, PRIOR_SECONDS**2 * (1 + PRIOR_SPREAD**2)),
                 (min(self.overall.weight, 20.0), self.overall.mean, self.overall.square),
                 (2 * here.weight, here.mean, here.square))  # fmt: skip
        weight = sum(w for w, _, _ in parts)
        mean = sum(w * m for w, m, _ in parts) / weight
        square = sum(w * s for w, _, s in parts) / weight
        return mean, math.sqrt(max(0.04, square / mean**2 - 1))

    # --- memory ---

    def to_json(self) -> dict[str, object]:
        return {
            "overall": [self.overall.weight, self.overall.mean, self.overall.square],
            "hours": {str(hour): [m.weight, m.mean, m.square] for hour, m in self.hours.items()},
            "bias": self.bias,
            "margin": self.margin,
        }

    @classmethod
    def from_json(cls, value: object) -> Estimator:
        """What :meth:`to_json` gave; anything else begins anew."""
        try:
            assert isinstance(value, dict)
            return cls(
                _Mean(*map(float, value["overall"])),
                {int(hour): _Mean(*map(float, kept)) for hour, kept in value["hours"].items()},
                float(value["bias"]),
                float(value["margin"]),
            )
        except (AssertionError, KeyError, TypeError, ValueError):
            return cls()

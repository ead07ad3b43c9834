"""Which way out: the lines to try for a call, in order. Pure; the flows dial them one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: copper and the mobile network know where they are and need no internet: an emergency call tries them first (REQ-E1)
EMERGENCY_ORDER = {"analog": 0, "lte": 1, "sip": 2}


@dataclass(frozen=True, slots=True)
class LineState:
    """An outside line as the line choice sees it. ``kind`` is ``sip``, ``analog`` or ``lte``."""

    name: str
    kind: str
    up: bool
    in_use: int
    capacity: int


def ways(lines: Sequence[LineState]) -> list[str]:
    """Lines for an ordinary call: those that work and have room, in the configured order."""
    return [line.name for line in lines if line.up and line.in_use < line.capacity]


def emergency_ways(lines: Sequence[LineState]) -> list[str]:
    """Every line for an emergency call. Nothing is left out: full lines come after those with room, then those thought dead."""

    def rank(item: tuple[int, LineState]) -> tuple[bool, bool, int, int]:
        index, line = item
        return (not line.up, line.in_use >= line.capacity, EMERGENCY_ORDER.get(line.kind, 3), index)

    return [line.name for _, line in sorted(enumerate(lines), key=rank)]

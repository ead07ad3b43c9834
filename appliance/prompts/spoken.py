"""The house voice without sound: the words and about how long they take. For the simulation, `explain` and tests."""

from __future__ import annotations

from appliance.flows.ports import Sound
from appliance.prompts.catalogue import pieces

SECONDS_A_WORD = 0.38
PAUSE_SECONDS = 0.3


def spoken(text: str) -> Sound:
    """How a text would sound: its words, and an estimate of its length."""
    return Sound(text, round(PAUSE_SECONDS + SECONDS_A_WORD * len(text.split()), 2))


class SpokenPrompts:
    """Implements :class:`appliance.flows.ports.Prompts` without files."""

    def phrase(self, key: str, **values: int | str) -> Sound:
        return spoken(" ".join(piece.text for piece in pieces(key, values)))

    def text(self, text: str) -> Sound:
        return spoken(text)

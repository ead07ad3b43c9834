"""What a waiting caller hears between the music (REQ-Q2): by date, in turn, never the same twice running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from appliance.config.schema import Message


class HoldMessages:
    """The messages for one caller. With a single active message it is played once only."""

    def __init__(self, names: Sequence[str], messages: Mapping[str, Message], first: int = 0) -> None:
        """``first`` varies where the round begins, so that not every caller hears the same one first."""
        self._names = list(names)
        self._messages = messages
        self._at = first
        self._last = ""

    def next(self, today: date) -> str | None:
        """The text to play now; ``None`` when there is none but the one just heard."""
        for _ in self._names:
            name = self._names[self._at % len(self._names)]
            self._at += 1
            message = self._messages.get(name)
            if message is not None and message.active(today) and name != self._last:
                self._last = name
                return message.text
        return None

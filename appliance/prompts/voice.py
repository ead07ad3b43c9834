"""Speaks text offline: hibari-tts, whose voice is in its package."""

from __future__ import annotations

import re

import hibari
import numpy as np
from numpy.typing import NDArray

from appliance.prompts.formats import resample, trim

#: "12 45" is a time in a greeting, "911" and "10" are not words to a small model: say them as people do
_SPELLED = {"911": "nine one one", "933": "nine three three"}


class Voice:
    """One loaded voice. Loading takes about a second."""

    def __init__(self) -> None:
        self._engine = hibari.Hibari(threads=1)

    def speak(self, text: str) -> NDArray[np.float32]:
        """The text at 8 kHz, mono, -1 to 1, silence cut to 50 ms at the ends and 250 ms put between sentences."""
        pause = np.zeros(2000, dtype=np.float32)
        parts: list[NDArray[np.float32]] = []
        for sentence in re.split(r"(?<=[.!?])\s+", text.strip()):
            for number, spoken in _SPELLED.items():
                sentence = re.sub(rf"\b{number}\b", spoken, sentence)  # noqa: PLW2901 - the same sentence, as it is said
            audio = np.asarray(self._engine(sentence), dtype=np.float32).reshape(-1)
            parts += [trim(resample(audio, hibari.SAMPLE_RATE)), pause]
        return np.concatenate(parts[:-1]) if parts else np.zeros(400, dtype=np.float32)

"""Hold music of our own: soft broken chords, made for a telephone line, free of anybody's rights.

Telephone music fails by being loud, by cymbals (which G.711 turns to noise) and by short loops. This is 64 seconds of
sine-built tones between 300 and 3400 Hz at -26 dB, and its end flows into its beginning.
"""

from __future__ import annotations

import numpy as np

from appliance.prompts.formats import RATE, Samples

BEAT = 0.5
#: a progression of eight chords, four seconds each, as MIDI notes; the second round varies the figure
CHORDS = (
    (60, 64, 67, 71, 74),
    (57, 60, 64, 67, 71),
    (62, 65, 69, 72, 76),
    (55, 59, 62, 65, 69),
    (64, 67, 71, 74, 79),
    (57, 60, 64, 67, 72),
    (65, 69, 72, 76, 79),
    (67, 71, 74, 77, 81),
)
FIGURES = ((0, 2, 1, 3, 2, 4, 3, 1), (0, 1, 2, 3, 4, 3, 2, 1))
MUSIC_DB = -26.0


def compose() -> Samples:
    """The music: 64 s at 8 kHz, to be looped without a seam."""
    length = int(len(FIGURES) * len(CHORDS) * 8 * BEAT * RATE)
    track = np.zeros(length)
    for step in range(len(FIGURES) * len(CHORDS) * 8):
        chord = CHORDS[step // 8 % len(CHORDS)]
        figure = FIGURES[step // (8 * len(CHORDS))]
        start = int(step * BEAT * RATE)
        _add(track, _note(chord[figure[step % 8]] + 12, 1.8, 0.5), start)
        if step % 8 == 0:
            for note in chord[:3]:
                _add(track, _pad(note + 12, 8 * BEAT + 1.0, 0.16), start)
    rms = float(np.sqrt((track**2).mean()))
    return (track * (10 ** (MUSIC_DB / 20) / rms)).astype(np.float32)


def _frequency(note: int) -> float:
    return float(440.0 * 2 ** ((note - 69) / 12))


def _note(note: int, seconds: float, loud: float) -> np.ndarray:
    """A struck tone: three partials, each dying faster than the one below."""
    t = np.arange(int(seconds * RATE)) / RATE
    base = _frequency(note)
    tone = np.zeros_like(t)
    for partial, strength in ((1, 1.0), (2, 0.35), (3, 0.12)):
        if base * partial < 3300:
            tone += strength * np.sin(2 * np.pi * base * partial * t) * np.exp(-t * (2.2 + partial))
    attack = np.minimum(1, t / 0.012)
    release = np.minimum(1, (seconds - t) / 0.2)
    return np.asarray(loud * tone * attack * release)


def _pad(note: int, seconds: float, loud: float) -> np.ndarray:
    """A soft tone that swells in and out under a chord."""
    t = np.arange(int(seconds * RATE)) / RATE
    swell = np.sin(np.pi * t / seconds) ** 2
    return np.asarray(loud * swell * np.sin(2 * np.pi * _frequency(note) * t + 0.3 * np.sin(2 * np.pi * 0.4 * t)))


def _add(track: np.ndarray, tone: np.ndarray, start: int) -> None:
    """Mix in, round the end: what rings on past the end is heard at the beginning of the next round."""
    index = (start + np.arange(tone.size)) % track.size
    np.add.at(track, index, tone)

"""Who is heard: every speaker has a tone of its own, and a recording tells which tones are in it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

#: Hz; apart from one another, from DTMF, ringing and each other's harmonics
PATIENT, FRONT_DESK, NURSE, DOCTOR, OTHER = 1130, 1790, 2350, 2690, 1010
RATE = 8000
WINDOW = 2400


def tail(path: Path, samples: int = WINDOW) -> np.ndarray:
    """The newest samples of a recording, also while it is being written."""
    try:
        data = path.read_bytes()[44:]
    except OSError:
        return np.zeros(0)
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2")[-samples:].astype(np.float64)


def level(samples: np.ndarray, frequency: int) -> float:
    """The level of one tone in dB below full scale."""
    if samples.size < WINDOW // 2:
        return -120.0
    n = np.arange(samples.size)
    window = np.hanning(samples.size)
    power = np.abs(np.sum(samples * window * np.exp(-2j * np.pi * frequency / RATE * n))) / (window.sum() / 2) / 32768
    return float(20 * np.log10(power + 1e-9))


def loudness(samples: np.ndarray) -> float:
    """RMS in dB below full scale."""
    return float(20 * np.log10(np.sqrt(np.mean(samples**2)) / 32768 + 1e-9)) if samples.size else -120.0


def has(samples: np.ndarray, frequency: int) -> bool:
    return level(samples, frequency) > -40


async def heard(path: Path | None, frequency: int, seconds: float = 8) -> None:
    """Wait until the newest part of a recording holds this tone."""
    await _until(path, lambda s: has(s, frequency), f"{frequency} Hz was never heard", seconds)


async def unheard(path: Path | None, frequency: int, seconds: float = 8) -> None:
    """Wait until the newest part of a recording is there and lacks this tone."""
    await _until(path, lambda s: s.size >= WINDOW and level(s, frequency) < -55, f"{frequency} Hz is still heard", seconds)


async def sounding(path: Path | None, seconds: float = 8) -> None:
    """Wait until anything is heard."""
    await _until(path, lambda s: s.size >= WINDOW and loudness(s) > -45, "nothing was heard", seconds)


async def _until(path: Path | None, true: object, why: str, seconds: float) -> None:
    assert path is not None, "the call is not recorded"
    assert callable(true)
    try:
        async with asyncio.timeout(seconds):
            while not true(tail(path)):  # noqa: ASYNC110 - another process writes the file
                await asyncio.sleep(0.1)
    except TimeoutError:
        samples = tail(path)
        tones = {f: round(level(samples, f)) for f in (PATIENT, FRONT_DESK, NURSE, DOCTOR, OTHER)}
        raise AssertionError(f"{why} in {path.name}: {tones}, {loudness(samples):.0f} dB, {samples.size} samples") from None

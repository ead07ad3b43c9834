"""Speech of nothing but numbers: RTP frames that each carry their number as a tone, so that a hidden loss is heard."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path

import numpy as np

FRAME = 160
#: Hz; each a whole number of periods in a frame, and apart from its neighbours by more than a frame can blur
TONES = [400 + 150 * n for n in range(16)]


def frame(number: int) -> np.ndarray:
    """20 ms of the tone that stands for a number (modulo 16)."""
    return 12_000 * np.sin(2 * np.pi * TONES[number % len(TONES)] * np.arange(FRAME) / 8000)


def ulaw(samples: np.ndarray) -> bytes:
    """G.711 µ-law (ITU-T G.711, table 2a)."""
    magnitude = np.minimum(np.abs(samples).astype(np.int64), 32_635) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int64) - 7
    mantissa = (magnitude >> (exponent + 3)) & 15
    sign = np.where(samples < 0, 128, 0)
    coded: np.ndarray = ~(sign | (exponent << 4) | mantissa) & 255
    return coded.astype(np.uint8).tobytes()


async def speak(own: tuple[str, int], to: tuple[str, int], *, first: int, frames: int) -> None:
    """Send numbered frames, 20 ms apart; ``first`` is the sequence number of number 0."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(own)
        started = loop.time()
        for number in range(frames):
            head = struct.pack(">BBHII", 128, 128 if number == 0 else 0, (first + number) & 0xFFFF, number * FRAME, 0x5EED)
            line.sendto(head + ulaw(frame(number)), to)
            await asyncio.sleep(max(0.0, started + 0.02 * (number + 1) - loop.time()))


def numbers(path: Path) -> list[int | None]:
    """The numbers (modulo 16) heard in a recording, frame by frame; ``None`` where there is no clear one."""
    samples = np.frombuffer(path.read_bytes()[44:], "<i2").astype(np.float64)
    n = np.arange(FRAME)
    bank = np.exp(-2j * np.pi * np.outer(TONES, n) / 8000)

    def powers(shift: int) -> np.ndarray:
        count = (samples.size - shift) // FRAME
        found: np.ndarray = np.abs(samples[shift : shift + count * FRAME].reshape(count, FRAME) @ bank.T) / FRAME
        return found

    # frames may begin anywhere in the recording: take the shift at which the tones are purest
    best = max((powers(shift) for shift in range(0, FRAME, 4)), key=lambda found: float(np.sort(found, axis=1)[:, -1].sum()))
    order = np.sort(best, axis=1)
    clear = (order[:, -1] > 1000) & (order[:, -1] > 3 * order[:, -2])
    return [int(tone) if sure else None for tone, sure in zip(best.argmax(axis=1), clear, strict=True)]


def missing(heard: list[int | None], frames: int) -> list[int]:
    """Which of the numbers 0 to ``frames`` were not heard, once and in order; the recording may begin late.

    A number is placed by the one before it: a bridge that repeats, drops or invents a frame cannot hide that.
    """
    known = [tone for tone in heard if tone is not None]
    position, seen = -1, set()
    for tone in known:
        step = (tone - position - 1) % len(TONES) + 1 if position >= 0 else tone + 1
        position += step
        seen.add(position)
    return [number for number in range(frames) if number not in seen]

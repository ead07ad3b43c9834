"""Sound files and samples: everything the house plays is 8 kHz, mono, 16 bit, at one level."""

from __future__ import annotations

import os
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

RATE = 8000
#: all speech is brought to this active level (dB below full scale), recordings as well; peaks stay below PEAK
SPEECH_DB = -20.0
PEAK = 0.7
#: telephone speech ends here; what is above only feeds the noise of G.711
BAND = 3600
#: length of the low-pass that resamples, on each side, in periods of its cut-off
REACH = 16
#: both ends of a stretch rise from and fall to nothing in this time: joined stretches do not click
FADE = RATE // 250


class FormatError(ValueError):
    """A file that is no WAV we can read; the text says what would be."""


def read(path: Path) -> Samples:
    """A WAV file (8, 16, 24 or 32 bit PCM, any rate, any channels) in the house format. Raises :class:`FormatError`."""
    try:
        with wave.open(str(path)) as file:
            width, rate, channels = file.getsampwidth(), file.getframerate(), file.getnchannels()
            data = file.readframes(file.getnframes())
            data = data[: len(data) // width * width]
    except (wave.Error, EOFError, OSError) as error:
        raise FormatError(f"{path.name} is no WAV file with plain PCM ({error}); save it as 16 bit PCM WAV") from error
    if width == 1:
        samples = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    elif width == 2:
        samples = np.frombuffer(data, "<i2").astype(np.float32) / 32768
    elif width == 3:
        raw = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.int32)
        samples = ((raw[:, 0] << 8 | raw[:, 1] << 16 | raw[:, 2] << 24) >> 8).astype(np.float32) / 8388608
    elif width == 4:
        samples = np.frombuffer(data, "<i4").astype(np.float32) / 2147483648
    else:
        raise FormatError(f"{path.name} has samples of {width} bytes; save it as 16 bit PCM WAV")
    if samples.size < RATE // 100 or not 4000 <= rate <= 400_000:
        raise FormatError(f"{path.name} is empty or damaged ({rate} samples a second); save it again as 16 bit PCM WAV")
    return resample(samples[: samples.size // channels * channels].reshape(-1, channels).mean(axis=1), rate)


def write(path: Path, samples: Samples) -> None:
    """Write atomically: a file that is there is whole."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with wave.open(str(part), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    part.replace(path)


def resample(samples: Samples, rate: int) -> Samples:
    """To 8 kHz, whatever the rate, by a windowed-sinc low-pass at 3.6 kHz (80 dB stop band) evaluated where it is needed."""
    if rate == RATE:
        return np.asarray(samples, dtype=np.float32)
    cutoff = min(BAND, 0.45 * rate) / rate
    half = int(REACH / (2 * cutoff))
    padded = np.pad(np.asarray(samples, dtype=np.float32), half + 1)
    length = int(samples.size * RATE / rate)
    offsets = np.arange(-half, half + 1)
    # A moment of the output lies between two samples of the input; how far between repeats after a few moments.
    moments = np.arange(length, dtype=np.int64) * rate
    near, between = moments // RATE, moments % RATE
    phases, phase = np.unique(between, return_inverse=True)
    distance = offsets[None, :] - phases[:, None] / RATE
    kernels = (2 * cutoff * np.sinc(2 * cutoff * distance) * _kaiser(distance / (half + 1))).astype(np.float32)
    out = np.empty(length, dtype=np.float32)
    for start in range(0, length, RATE):
        block = slice(start, start + RATE)
        heard = padded[near[block, None] + offsets[None, :] + half + 1]
        out[block] = np.einsum("ij,ij->i", heard, kernels[phase[block]])
    return out


def _kaiser(x: NDArray[np.float64], beta: float = 8.0) -> NDArray[np.float64]:
    return np.asarray(np.i0(beta * np.sqrt(np.clip(1 - x**2, 0, 1))) / np.i0(beta))


def trim(samples: Samples, keep: int = RATE // 20) -> Samples:
    """Cut silence (60 dB below the peak, at least -50 dBFS) at both ends but ``keep`` samples."""
    loud = np.flatnonzero(np.abs(samples) > max(float(np.max(np.abs(samples), initial=0.0)) / 300, 0.003))
    if loud.size == 0:
        return samples[:keep]
    return samples[max(0, int(loud[0]) - keep) : int(loud[-1]) + keep]


def active_db(samples: Samples) -> float:
    """Level of the speech in it: RMS of the 20 ms blocks within 20 dB of the loudest (after ITU-T P.56's idea)."""
    blocks = samples[: samples.size // 160 * 160].reshape(-1, 160)
    if blocks.size == 0:
        return -120.0
    power = (blocks.astype(np.float64) ** 2).mean(axis=1)
    active = power[power > power.max() / 100]
    return float(10 * np.log10(active.mean() + 1e-12)) if active.size else -120.0


def level(samples: Samples, to: float = SPEECH_DB) -> Samples:
    """Bring speech to the house level; peaks are held below PEAK by lowering the whole, never by clipping."""
    gain = 10 ** ((to - active_db(samples)) / 20)
    peak = float(np.max(np.abs(samples), initial=1e-6)) * gain
    return (samples * (gain if peak <= PEAK else gain * PEAK / peak)).astype(np.float32)


def stretch(samples: Samples) -> Samples:
    """Speech as the house plays it: the silence at its ends cut, at the house level, with soft ends. Never empty."""
    cut = level(trim(samples))
    if cut.size < 4 * FADE:
        return np.zeros(RATE // 10, dtype=np.float32)
    ramp = np.linspace(0, 1, FADE, dtype=np.float32)
    cut[:FADE] *= ramp
    cut[-FADE:] *= ramp[::-1]
    return cut

"""The house voice, measured: levels, joins, lengths, music; the practice's own files; files that cannot be used."""

from __future__ import annotations

import asyncio
import struct
import wave
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from appliance.flows.ports import Sound
from appliance.prompts.catalogue import PHRASES, Digits, Number, all_pieces
from appliance.prompts.formats import PEAK, RATE, SPEECH_DB, FormatError, Samples, active_db, level, read, resample, trim, write
from appliance.prompts.library import RECORDINGS, Library
from appliance.simulation.office import demo_clinic

TEXTS = demo_clinic().spoken_texts()


def prepared(cache: Path, overrides: Path | None = None, texts: list[str] = TEXTS, recordings: Path = RECORDINGS) -> Library:
    library = Library(cache, overrides, recordings)
    asyncio.run(library.prepare(texts))
    return library


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prompts")


@pytest.fixture(scope="module")
def voice(cache: Path) -> Library:
    library = prepared(cache)
    assert library.faults == []
    return library


def phrase(voice: Library, key: str, value: int = 7) -> Sound:
    return voice.phrase(key, **{part.name: value for part in PHRASES[key] if isinstance(part, (Number, Digits))})


def sounds(voice: Library) -> Iterator[tuple[str, Sound]]:
    """All that is fixed, each number and each text of the demo clinic."""
    for key in PHRASES:
        yield key, phrase(voice, key)
    for value in [*range(20), *range(20, 100, 10), 100, 234, 999]:
        yield f"number {value}", voice.phrase("queue.position", position=value)
    for text in TEXTS:
        yield text[:30], voice.text(text)


def heard(sound: Sound) -> Samples:
    return np.concatenate([read(path) for path in sound.files])


def share_above(samples: Samples, hertz: float) -> float:
    """The energy above a frequency, in dB of all."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float(10 * np.log10(power[np.fft.rfftfreq(samples.size, 1 / RATE) > hertz].sum() / power.sum() + 1e-12))


def test_everything_is_in_the_house_format_and_as_long_as_it_says(voice: Library) -> None:
    for name, sound in sounds(voice):
        assert sound.files, name
        total = 0.0
        for path in sound.files:
            with wave.open(str(path)) as file:
                assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2), name
                total += file.getnframes() / RATE
        assert total == pytest.approx(sound.seconds, abs=0.01)


def test_what_is_recorded_comes_from_the_recordings(voice: Library) -> None:
    recorded = [piece for piece in all_pieces() if piece.recording]
    assert len(recorded) > 40
    assert all((RECORDINGS / f"{piece.recording}.wav").exists() for piece in recorded)
    assert phrase(voice, "queue.wait").text == "The estimated hold time is currently seven minutes."


def test_every_stretch_is_as_loud_as_every_other_and_none_clips(voice: Library) -> None:
    files = {path: name for name, sound in sounds(voice) for path in sound.files}
    levels = {name: active_db(read(path)) for path, name in files.items()}
    assert len(files) > 60
    assert max(levels.values()) - min(levels.values()) < 3, levels
    assert max(abs(value - SPEECH_DB) for value in levels.values()) < 3
    assert max(float(np.abs(read(path)).max()) for path in files) <= PEAK + 0.001


def test_stretches_join_without_a_click(voice: Library) -> None:
    for name, sound in sounds(voice):
        for before, after in pairwise(sound.files):
            end, begin = read(before), read(after)
            assert abs(float(begin[0] - end[-1])) < 0.002, name
            # A click is energy in all bands at once: the two milliseconds around the join must be as good as silent.
            join = np.concatenate([end[-8:], begin[:8]])
            assert 20 * np.log10(np.abs(join).max() + 1e-6) < -45, name


def test_between_stretches_is_a_breath_and_no_hole(voice: Library) -> None:
    for name, sound in sounds(voice):
        for before, after in pairwise(sound.files):
            end, begin = np.abs(read(before)), np.abs(read(after))
            silent = (np.argmax(end[::-1] > 0.02) + np.argmax(begin > 0.02)) / RATE
            assert silent < 0.45, f"{name}: {silent:.2f} s between {before.name} and {after.name}"


def test_speech_is_as_fast_as_people_speak(voice: Library) -> None:
    for name, sound in sounds(voice):
        if words := len(sound.text.split()):
            assert 0.15 < sound.seconds / words < 1.4, f"{name}: {sound.seconds:.1f} s for {words} words"


def test_spoken_text_keeps_to_the_band_of_the_telephone(voice: Library) -> None:
    for text in TEXTS:
        assert share_above(heard(voice.text(text)), 3750) < -40, text


def test_a_text_that_was_not_prepared_is_words_and_a_pause(voice: Library) -> None:
    sound = voice.text("Nobody has ever said this.")
    assert sound.text == "Nobody has ever said this."
    assert (sound.seconds, sound.files) == (1.0, ())


def test_a_second_start_renders_nothing(voice: Library, cache: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    again = prepared(cache)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before
    assert phrase(again, "queue.wait") == phrase(voice, "queue.wait")


def test_without_recordings_the_voice_says_it_all_and_tells_so(tmp_path: Path) -> None:
    library = prepared(tmp_path / "cache", texts=[], recordings=tmp_path / "none")
    assert any("asterisk-core-sounds-en-wav" in fault for fault in library.faults)
    for key in PHRASES:
        assert phrase(library, key).text or key == "beep"
    spoken = heard(phrase(library, "queue.wait"))
    assert active_db(spoken) == pytest.approx(SPEECH_DB, abs=3)


ODD = ["…", "!!!", "🙂", "漢字 かな", "a", "1 2 3", "Dr. Müller's Praxis, Straße 5", "\x00\x07", "." * 50, "word " * 390]


def test_no_text_keeps_the_box_from_starting(cache: Path, voice: Library) -> None:
    library = prepared(cache, texts=ODD)
    for text in ODD:
        sound = library.text(text)
        assert sound.seconds > 0
        for path in sound.files:
            assert np.isfinite(read(path)).all()


# --- music ------------------------------------------------------------------------------------------------------------------


def surprise(samples: Samples, place: int, order: int = 24) -> float:
    """How unexpected the samples at a place are, by what came before: 1 is as usual, a click is many times that."""
    rows = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), order + 1)
    weights, *_ = np.linalg.lstsq(rows[:, :order], rows[:, order], rcond=None)
    error = np.abs(rows[:, order] - rows[:, :order] @ weights)
    at = place - order
    return float(error[at - 1 : at + 3].max() / np.sqrt((error**2).mean()))


def test_the_music_has_no_seam(voice: Library) -> None:
    (path,) = voice.music()["default"]
    music = read(path)
    half = RATE // 4

    def seam(end: Samples, begin: Samples) -> float:
        return surprise(np.concatenate([end[-half:], begin[:half]]), half)

    # The meter first: a loop cut anywhere else is heard to click.
    clicks = [seam(music[: -RATE // 8 - n], music) for n in range(0, 400, 40)]
    assert np.median(clicks) > 15, clicks
    assert seam(music, music) < 5
    loud = [10 * np.log10((part**2).mean()) for part in (music[: 4 * RATE], music[-4 * RATE :])]
    assert abs(loud[0] - loud[1]) < 4


def test_the_music_is_soft_long_and_within_the_band(voice: Library) -> None:
    (path,) = voice.music()["default"]
    music = read(path)
    assert music.size / RATE >= 60
    assert 10 * np.log10((music**2).mean()) == pytest.approx(-26, abs=0.5)
    assert np.abs(music).max() < PEAK
    assert share_above(music, 3400) < -60
    assert share_above(music, 250) > -0.1, "low tones are lost on a telephone"


# --- the practice's own files -------------------------------------------------------------------------------------------------


def speechlike(seconds: float, rate: int, loud: float) -> Samples:
    """Syllables of a voice: a buzz that swells four times a second."""
    t = np.arange(int(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 180 * k * t) / k for k in range(1, 12))
    return np.asarray(loud * buzz * np.sin(np.pi * 4 * t) ** 2, dtype=np.float32)


def save(path: Path, samples: Samples, rate: int, width: int = 2, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = np.repeat(np.clip(samples, -1, 1), channels)
    if width == 1:
        data = (whole * 127 + 128).astype(np.uint8).tobytes()
    elif width == 3:
        data = (whole * 8388607).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    else:
        data = (whole * (2 ** (8 * width - 1) - 1)).astype(f"<i{width}").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)


@pytest.mark.parametrize(
    ("rate", "width", "channels", "loud"), [(44100, 2, 2, 0.3), (48000, 3, 1, 0.01), (8000, 1, 1, 0.2), (22050, 4, 2, 0.1)]
)
def test_a_file_of_the_practices_own_replaces_a_phrase_at_the_house_level(
    voice: Library, cache: Path, tmp_path: Path, rate: int, width: int, channels: int, loud: float
) -> None:
    save(tmp_path / "queue.thanks.wav", speechlike(2.0, rate, loud), rate, width, channels)
    library = prepared(cache, tmp_path)
    assert library.faults == []
    sound = library.phrase("queue.thanks")
    assert sound.files != voice.phrase("queue.thanks").files
    assert sound.seconds == pytest.approx(2.0, abs=0.2)
    assert active_db(heard(sound)) == pytest.approx(SPEECH_DB, abs=1)
    assert library.phrase("goodbye") == voice.phrase("goodbye")


def test_a_file_that_was_changed_is_taken_anew(cache: Path, voice: Library, tmp_path: Path) -> None:
    for seconds in (1.0, 3.0):
        save(tmp_path / "goodbye.wav", speechlike(seconds, 16000, 0.2), 16000)
        assert prepared(cache, tmp_path).phrase("goodbye").seconds == pytest.approx(seconds, abs=0.3)


def header(kind: int, rate: int, bits: int) -> bytes:
    """A WAV file of one channel with any figures in its header."""
    form = struct.pack("<HHIIHH", kind, 1, rate, rate * bits // 8, bits // 8, bits)
    chunks = struct.pack("<4sI16s4sI", b"fmt ", 16, form, b"data", 192) + b"\1" * 192
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks


BROKEN = {
    "text": b"this is no sound",
    "empty": b"",
    "mp3": b"ID3\x04\x00\x00\x00\x00\x00\x00" + b"\xff\xfb\x90\x00" * 300,
    "cut off": b"RIFF\x24\x10\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00",
    "no rate": header(1, 0, 16),
    "a-law": header(6, 8000, 8),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_told_and_the_original_is_used(voice: Library, cache: Path, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "goodbye.wav").write_bytes(data)
    library = prepared(cache, tmp_path)
    (fault,) = library.faults
    assert fault.startswith("goodbye.wav: ")
    assert "save it" in fault or "WAV" in fault
    assert library.phrase("goodbye") == voice.phrase("goodbye")


def test_a_file_of_an_unknown_name_is_told(voice: Library, cache: Path, tmp_path: Path) -> None:
    save(tmp_path / "queue.thank.wav", speechlike(1, 8000, 0.2), 8000)
    (fault,) = prepared(cache, tmp_path).faults
    assert "queue.thanks.wav" in fault


def test_music_of_the_practices_own_is_soft(voice: Library, cache: Path, tmp_path: Path) -> None:
    for name in ("b", "a"):
        save(tmp_path / "music" / "jazz" / f"{name}.wav", speechlike(5, 44100, 0.35), 44100, 2, 2)
    (tmp_path / "music" / "jazz" / "c.wav").write_bytes(b"no sound")
    library = prepared(cache, tmp_path)
    files = library.music()["jazz"]
    assert len(files) == 2
    assert library.faults[0].startswith("c.wav: ")
    for path in files:
        assert active_db(read(path)) == pytest.approx(-26, abs=1)
    assert library.music()["default"] == voice.music()["default"]


# --- the meters themselves --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [6000, 8000, 11025, 16000, 22050, 24000, 44100, 48000, 96000])
def test_resampling_keeps_a_tone_and_drops_what_is_above_the_band(rate: int) -> None:
    t = np.arange(rate) / rate
    out = resample(np.sin(2 * np.pi * 1000 * t).astype(np.float32), rate)
    assert out.size == RATE
    inner = slice(RATE // 10, -RATE // 10)
    error = out - np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    assert 10 * np.log10((error[inner] ** 2).mean() * 2) < -55
    if rate > 10_000:
        high = resample(np.sin(2 * np.pi * 5000 * t).astype(np.float32), rate)
        assert 10 * np.log10((high[inner] ** 2).mean() * 2 + 1e-12) < -60


def test_the_level_is_measured_on_speech_and_not_on_pauses() -> None:
    talk = speechlike(2, RATE, 0.2)
    pause = np.zeros(8 * RATE, dtype=np.float32)
    assert active_db(np.concatenate([talk, pause, talk])) == pytest.approx(active_db(talk), abs=0.5)
    assert active_db(talk * 0.5) == pytest.approx(active_db(talk) - 6.02, abs=0.1)
    assert np.abs(level(np.eye(1, RATE, 9, dtype=np.float32)[0])).max() <= PEAK


def test_silence_is_cut_at_the_ends_only() -> None:
    quiet = np.zeros(RATE, dtype=np.float32)
    talk = np.full(RATE, 0.3, dtype=np.float32)
    assert trim(np.concatenate([quiet, talk, quiet, talk, quiet])).size == pytest.approx(3 * RATE, abs=RATE // 8)
    assert 0 < trim(quiet).size < RATE // 10


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    samples = speechlike(0.5, RATE, 0.3)
    write(tmp_path / "x.wav", samples)
    assert np.abs(read(tmp_path / "x.wav") - samples).max() < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["x.wav"]
    with pytest.raises(FormatError):
        read(tmp_path / "y.wav")

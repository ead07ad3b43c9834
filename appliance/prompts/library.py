"""The house voice on files: recordings, what the TTS voice has rendered, and what the practice put in their place.

Nothing is rendered in this process. :func:`prepare` asks a process of its own (`appliance.prompts.render`) for what is not
in the cache yet; a second start finds everything there.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import json
import sys
import wave
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import structlog

from appliance.flows.ports import Sound
from appliance.prompts.catalogue import PHRASES, Piece, all_pieces, pieces

log = structlog.get_logger("prompts")

#: where Debian's asterisk-core-sounds-en-wav puts its recordings (the shorter `en` is a link that other packages make)
RECORDINGS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
#: changes when the rendering does: old files are then not used any more
VOICE = "hibari-heart-4"
MUSIC = "music-3"
COPY = "copy-2"

Progress = Callable[[int, int, str], None]


class VoiceError(RuntimeError):
    """The voice could not be prepared; the text says what and how to mend it."""


def silent_progress(done: int, total: int, what: str) -> None:
    """For callers who show no progress."""


class Library:
    """Implements :class:`appliance.flows.ports.Prompts` on files of 8 kHz, mono, 16 bit."""

    def __init__(self, cache: Path, overrides: Path | None = None, recordings: Path = RECORDINGS) -> None:
        self._cache = cache
        self._overrides = overrides
        self._recordings = recordings
        self._sounds: dict[str, Sound] = {}
        self._phrases: dict[str, Sound] = {}
        self.faults: list[str] = []

    # --- Prompts ---

    def phrase(self, key: str, **values: int | str) -> Sound:
        replaced = self._phrases.get(key)
        if replaced is not None:
            return replaced
        found = Sound("", 0.0)
        for piece in pieces(key, values):
            found = found + self._piece(piece)
        return found

    def text(self, text: str) -> Sound:
        """A text that was prepared. One that was not (a fault, told in ``faults``) is words and a pause, never an error."""
        sound = self._sounds.get(self._name(text))
        if sound is None:
            log.error("a text was not prepared", text=text[:60])
            return Sound(text, 1.0)
        return sound

    def music(self) -> dict[str, tuple[Path, ...]]:
        """Music classes: ``default`` is synthesised; a folder ``music/NAME`` of the practice's own makes or replaces one."""
        classes: dict[str, tuple[Path, ...]] = {"default": (self._cache / f"{MUSIC}.wav",)}
        own = self._overrides / "music" if self._overrides is not None else None
        if own is not None and own.is_dir():
            for folder in sorted(path for path in own.iterdir() if path.is_dir()):
                files = tuple(path for file in sorted(folder.glob("*.wav")) if (path := self._own(file)) is not None)
                if files:
                    classes[folder.name] = files
        return classes

    # --- preparation ---

    async def prepare(self, texts: Iterable[str], progress: Progress = silent_progress) -> None:
        """Render what is missing and read every length. Raises :class:`VoiceError` when the voice cannot speak."""
        self._cache.mkdir(parents=True, exist_ok=True)
        wanted = {text for text in texts if text.strip()}
        wanted |= {piece.text for piece in all_pieces() if piece.text and not self._recorded(piece).exists()}
        jobs: list[dict[str, str]] = [
            {"text": text, "path": str(self._file(text))} for text in sorted(wanted) if not self._file(text).exists()
        ]
        if not (self._cache / f"{MUSIC}.wav").exists():
            jobs.append({"music": "default", "path": str(self._cache / f"{MUSIC}.wav")})
        jobs += self._conversions()
        if jobs:
            await self._render(jobs, progress)
        for text in wanted:
            if (file := self._file(text)).exists():
                self._sounds[self._name(text)] = Sound(text, seconds_of(file), (file,))
        for piece in all_pieces():
            if (recorded := self._recorded(piece)).exists() and (copy := self._own(recorded)) is not None:
                self._sounds[piece.recording] = Sound(piece.text, seconds_of(copy), (copy,))
        missing = [piece.recording for piece in all_pieces() if piece.recording and piece.recording not in self._sounds]
        if missing:
            self.faults.append(
                f"{len(missing)} recorded prompts are missing (the TTS voice speaks them): install asterisk-core-sounds-en-wav"
            )
        self._replace_phrases()

    def _piece(self, piece: Piece) -> Sound:
        return self._sounds.get(piece.recording) or self.text(piece.text)

    def _recorded(self, piece: Piece) -> Path:
        return self._recordings / f"{piece.recording or '-'}.wav"

    @staticmethod
    def _name(text: str) -> str:
        return hashlib.sha256(f"{VOICE}\0{text}".encode()).hexdigest()[:24]

    def _file(self, text: str) -> Path:
        return self._cache / f"{self._name(text)}.wav"

    def _own(self, source: Path) -> Path | None:
        """The converted copy of a file of the practice's own; ``None`` when it could not be converted."""
        copy = self._converted(source)
        return copy if copy.exists() else None

    def _converted(self, source: Path) -> Path:
        stat = source.stat()
        digest = hashlib.sha256(f"{COPY}\0{source}\0{stat.st_mtime_ns}\0{stat.st_size}".encode()).hexdigest()[:24]
        return self._cache / f"own-{digest}.wav"

    def _conversions(self) -> list[dict[str, str]]:
        """Recordings, and files of the practice's own, that have no copy in the house format yet."""
        speech = [recorded for piece in all_pieces() if (recorded := self._recorded(piece)).exists()]
        tunes: list[Path] = []
        if self._overrides is not None and self._overrides.is_dir():
            tunes = [path for path in self._overrides.glob("music/*/*.wav") if path.is_file()]
            speech += [path for path in self._overrides.glob("*.wav") if path.is_file()]
        jobs = [("speech", path) for path in sorted(speech)] + [("tune", path) for path in sorted(tunes)]
        return [{kind: str(path), "path": str(copy)} for kind, path in jobs if not (copy := self._converted(path)).exists()]

    def _replace_phrases(self) -> None:
        """``queue.thanks.wav`` in the overrides folder replaces the phrase of that key."""
        self._phrases.clear()
        if self._overrides is None:
            return
        for path in sorted(self._overrides.glob("*.wav")):
            if path.stem not in PHRASES:
                near = difflib.get_close_matches(path.stem, PHRASES, n=1)
                hint = f"did you mean {near[0]}.wav?" if near else "the README lists them"
                self.faults.append(f"{path.name}: there is no phrase of this name; {hint}")
        for key, parts in PHRASES.items():
            source = self._overrides / f"{key}.wav"
            if source.is_file() and (copy := self._own(source)) is not None:
                words = " ".join(part.text for part in parts if isinstance(part, Piece))
                self._phrases[key] = Sound(words, seconds_of(copy), (copy,))

    async def _render(self, jobs: list[dict[str, str]], progress: Progress) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "appliance.prompts.render",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdin and process.stdout and process.stderr
        errors = asyncio.create_task(process.stderr.read())
        process.stdin.write(("\n".join(json.dumps(job) for job in jobs) + "\n").encode())
        process.stdin.close()
        done = 0
        async for line in process.stdout:
            answer: Mapping[str, str] = json.loads(line)
            done += 1
            progress(done, len(jobs), answer.get("what", ""))
            if answer.get("error"):
                self.faults.append(f"{answer['what']}: {answer['error']}")
        status = await process.wait()
        if status != 0 or done < len(jobs):
            last = (await errors).decode(errors="replace").strip().splitlines()[-1:]
            raise VoiceError(
                f"the voice could not be prepared ({last[0] if last else f'status {status}'}); "
                "run `clinicpbx doctor`, it says what is missing"
            )
        await errors


def seconds_of(path: Path) -> float:
    """Length of a WAV file."""
    with wave.open(str(path)) as file:
        return float(file.getnframes() / file.getframerate())

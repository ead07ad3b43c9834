"""What a far end hears: prompts, music, ringing, other legs; all mixed and played in C.

Python only says who is connected with whom. PJSIP's conference bridge moves every frame (8 kHz mono, 20 ms); files are
read and tones made by native ports on the bridge's own clock thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pjsua2 as pj

#: a frame waits this long at most in the bridge and in the far end's jitter buffer before its last sample is heard
TAIL_SECONDS = 0.06
#: PJSIP's playlist holds at most this many files
PLAYLIST_FILES = 64


class Studio:
    """The sounds all calls share: one looping player per music class, one ringing tone."""

    def __init__(self, music: Mapping[str, Sequence[Path]]) -> None:
        self._files = {name: tuple(files) for name, files in music.items()}
        self._music: dict[str, Any] = {}
        self._retired: list[Any] = []
        self._ringback: Any = None

    def replace(self, music: Mapping[str, Sequence[Path]]) -> None:
        """Use other music from now on; who listens to the old goes on hearing it."""
        fresh = {name: tuple(files) for name, files in music.items()}
        for name, player in list(self._music.items()):
            if fresh.get(name) != self._files.get(name):
                self._retired.append(player)
                del self._music[name]
        self._files = fresh

    def music(self, name: str) -> Any:
        """The source of a music class. An unknown class plays ``default``: a caller on hold never hears nothing."""
        if name not in self._files:
            name = "default"
        if name not in self._music:
            player = pj.AudioMediaPlayer()
            player.createPlaylist(_strings(self._files[name][:PLAYLIST_FILES]), name, 0)
            self._music[name] = player
        return self._music[name]

    def ringback(self) -> Any:
        """North American ringing: 440 and 480 Hz, 2 s on, 4 s off (ITU-T E.180 supplement 2)."""
        if self._ringback is None:
            generator = pj.ToneGenerator()
            generator.createToneGenerator(8000, 1)
            tone = pj.ToneDesc()
            tone.freq1, tone.freq2, tone.on_msec, tone.off_msec = 440, 480, 2000, 4000
            tones = pj.ToneDescVector()
            tones.append(tone)
            generator.play(tones, True)
            self._ringback = generator
        return self._ringback

    def close(self) -> None:
        """Let go of every player; PJSIP must still be alive."""
        self._music.clear()
        self._retired.clear()
        self._ringback = None


def open_sound(files: Sequence[Path]) -> Any:
    """A player that plays the files once, in order, and is silent then."""
    player = pj.AudioMediaPlayer()
    if len(files) == 1:
        player.createPlayer(str(files[0]), pj.PJMEDIA_FILE_NO_LOOP)
    else:
        player.createPlaylist(_strings(files[:PLAYLIST_FILES]), "prompt", pj.PJMEDIA_FILE_NO_LOOP)
    return player


def open_recorder(path: Path) -> Any:
    """A recorder writing 16 bit WAV at the bridge's rate."""
    recorder = pj.AudioMediaRecorder()
    recorder.createRecorder(str(path))
    return recorder


def _strings(files: Sequence[Path]) -> Any:
    names = pj.StringVector()
    for file in files:
        names.append(str(file))
    return names


class Ear:
    """What one far end hears now, and who hears it. Connections survive a change of its media (re-INVITE, new codec).

    ``media`` is the leg's port on the bridge while its audio runs. The ear keeps what it *should* hear; :meth:`tune`
    makes the bridge agree.
    """

    def __init__(self) -> None:
        self.media: Any = None
        self._sources: list[Any] = []
        self._joined: dict[Ear, None] = {}
        self._recorders: list[Any] = []

    # --- what it hears ---

    def hear(self, *sources: Any) -> None:
        """Hear exactly these players; leaves whatever it was joined with."""
        self.leave()
        self._drop_sources()
        self._sources = list(sources)
        if self.media is not None:
            for source in sources:
                source.startTransmit(self.media)

    def join(self, others: Sequence[Ear]) -> None:
        """Hear and be heard by these, and nothing else."""
        wanted = dict.fromkeys(others)
        if self._joined == wanted and not self._sources:
            return
        self._drop_sources()
        for other in [ear for ear in self._joined if ear not in wanted]:
            self._part(other)
        for other in wanted:
            if other not in self._joined:
                self._joined[other] = None
                other._joined[self] = None
            self._connect(other)

    def hears(self, source: Any) -> bool:
        return source in self._sources

    def leave(self) -> None:
        """Hear nobody and be heard by nobody."""
        for other in list(self._joined):
            self._part(other)

    def record(self, recorder: Any) -> None:
        self._recorders.append(recorder)
        if self.media is not None:
            self.media.startTransmit(recorder)

    def stop_recording(self, recorder: Any) -> None:
        if recorder in self._recorders:
            self._recorders.remove(recorder)
            _quietly(self.media, recorder)

    # --- keeping the bridge in step ---

    def tune(self, media: Any) -> None:
        """The leg's audio started, or was started anew: connect it as it should be."""
        self.media = media
        for source in self._sources:
            source.startTransmit(media)
        for recorder in self._recorders:
            media.startTransmit(recorder)
        for other in self._joined:
            self._connect(other)

    def close(self) -> list[Any]:
        """The leg is gone: PJSIP has removed its port, so there is nothing to disconnect. Returns what it had open."""
        self.media = None
        for other in self._joined:
            other._joined.pop(self, None)
        self._joined.clear()
        opened = [*self._sources, *self._recorders]
        self._sources, self._recorders = [], []
        return opened

    def _connect(self, other: Ear) -> None:
        if self.media is not None and other.media is not None:
            self.media.startTransmit(other.media)
            other.media.startTransmit(self.media)

    def _part(self, other: Ear) -> None:
        self._joined.pop(other, None)
        other._joined.pop(self, None)
        if other.media is not None:
            _quietly(self.media, other.media)
            _quietly(other.media, self.media)

    def _drop_sources(self) -> None:
        for source in self._sources:
            _quietly(source, self.media)
        self._sources = []


def _quietly(source: Any, sink: Any) -> None:
    """Disconnect; a port that PJSIP has removed in the meantime is disconnected already."""
    if source is None or sink is None:
        return
    try:
        source.stopTransmit(sink)
    except pj.Error:
        return

"""Everything a flow may touch: a handful of small protocols and the plain values that cross them.

A call flow is an ordinary coroutine. It never sees pjsua2, SQL, GPIO or the wall clock; it sees these ports. The live
engine (`appliance.sip`) and the simulated town (`appliance.simulation`) both implement them, and the very same flows run
on either. Time inside a flow is the event loop's time (`asyncio.sleep`, `asyncio.timeout`); the simulation brings a loop
whose clock is virtual.

Rules every implementation keeps
--------------------------------
* All methods are called on the event loop's thread; none blocks.
* A leg hears exactly one thing at a time: a sound, music, the legs it is joined with, or nothing. The last order wins.
* The task that serves a leg (:meth:`Leg.served_by`) is *cancelled* when that leg's far end hangs up. Other legs the flow
  holds report :class:`Ended` through their own :meth:`Leg.event`.
* Every method is harmless on a leg that has ended already: it does nothing.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from appliance.lines.choice import LineState


@dataclass(frozen=True, slots=True)
class Party:
    """Who is at an end of a call, as far as signalling tells.

    ``number`` is E.164 with a plus, an extension, or ``""`` when withheld; ``name`` is the display name or ``""``.
    """

    number: str = ""
    name: str = ""


class Cause(enum.Enum):
    """Why a leg ended; the value is ``(SIP status, Q.850 cause)`` (RFC 3261 section 21, RFC 3398 section 7.2.4)."""

    NORMAL = (200, 16)
    BUSY = (486, 17)
    NO_ANSWER = (480, 19)
    DECLINED = (603, 21)
    UNREACHABLE = (480, 20)
    NOT_FOUND = (404, 1)
    CONGESTION = (503, 34)
    FORBIDDEN = (403, 57)
    INCOMPATIBLE = (488, 88)
    FAILED = (500, 41)
    #: cancelled because somebody else took the call: phones log no missed call (RFC 3326, ``SIP;cause=200``)
    ELSEWHERE = (487, 26)

    @property
    def sip(self) -> int:
        return self.value[0]

    @property
    def q850(self) -> int:
        return self.value[1]


# --- what a leg reports -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Digit:
    """A key pressed at the far end (RFC 4733 or SIP INFO): one of ``0-9*#A-D``."""

    key: str


@dataclass(frozen=True, slots=True)
class Ringing:
    """An outgoing leg alerts (180, or 183 without media)."""


@dataclass(frozen=True, slots=True)
class EarlyMedia:
    """An outgoing leg sends sound before it is answered (183 with SDP): join it to let the caller hear it."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An outgoing leg was answered; its media is up."""


@dataclass(frozen=True, slots=True)
class Held:
    """The far end put us on hold (offer ``sendonly``/``inactive``, RFC 6337 section 5.3)."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The far end took us off hold."""


@dataclass(frozen=True, slots=True)
class Referred:
    """The far end asks for a transfer (REFER, RFC 3515).

    ``target`` is the user part dialled (``"105"``, ``"+12175550123"``). ``consulted`` is the leg of the same phone whose
    far party is to be connected instead (attended transfer: Refer-To with Replaces, RFC 3891), or ``None`` (blind).
    Answer with :meth:`Leg.refer_result`.
    """

    target: str
    consulted: Leg | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The leg is gone. Nothing follows it."""

    cause: Cause


LegEvent = Digit | Ringing | EarlyMedia | Answered | Held | Resumed | Referred | Ended


# --- sound --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sound:
    """Something to be heard once: WAV files (8 kHz mono 16 bit) played in order, with their text and length.

    ``text`` is what a listener hears in words (transcripts, the linter, the console); ``seconds`` the whole length.
    A simulated sound may have no files.
    """

    text: str
    seconds: float
    files: tuple[Path, ...] = ()

    def __add__(self, other: Sound) -> Sound:
        text = f"{self.text} {other.text}".strip()
        return Sound(text, self.seconds + other.seconds, self.files + other.files)


class Prompts(Protocol):
    """The house voice. Returns sounds at once; rendering happened at start or at reload, never here."""

    def phrase(self, key: str, **values: int | str) -> Sound:
        """A fixed prompt by key, e.g. ``phrase("queue.position", position=3)``; keys in ``appliance.prompts.catalogue``.

        Raises ``KeyError`` naming the nearest known key.
        """

    def text(self, text: str) -> Sound:
        """Free text of the configuration (greetings, hold messages), spoken by the TTS engine or replaced by a file."""


# --- legs ---------------------------------------------------------------------------------------------------------------


class Direction(enum.Enum):
    IN = "in"
    OUT = "out"


class Leg(Protocol):
    """One call leg: us and one far end."""

    @property
    def id(self) -> str:
        """Unique for the life of the box, e.g. ``20261123T080512-000041``."""

    @property
    def direction(self) -> Direction: ...

    @property
    def far(self) -> Party:
        """The far end: the caller of an incoming leg, the called party of an outgoing one."""

    @property
    def dialed(self) -> str:
        """What was dialled: the clinic's number (DID), an extension, a star code, an outside number."""

    @property
    def line(self) -> str | None:
        """Name of the outside line that carries this leg; ``None`` for a phone of the house."""

    @property
    def extension(self) -> str | None:
        """Extension of the (authenticated) phone of the house; ``None`` for an outside leg."""

    @property
    def answered(self) -> bool: ...

    @property
    def ended(self) -> Cause | None:
        """``None`` while the leg lives."""

    @property
    def trying(self) -> bool:
        """Outgoing: the far side has said that it works on the call (any provisional answer, 100 included)."""

    @property
    def on_hold(self) -> bool:
        """True while the far end holds us."""

    def served_by(self, task: asyncio.Task[object] | None) -> None:
        """Cancel this task when the far end hangs up; ``None``: nobody serves it now. At once when it has ended already."""

    def ring(self) -> None:
        """Incoming: tell the caller that it rings (180). Once is enough; again is harmless."""

    async def answer(self) -> None:
        """Incoming: answer (200) and return when audio flows. No-op when answered."""

    def hang_up(self, cause: Cause = Cause.NORMAL) -> None:
        """End the leg: CANCEL, final response or BYE, whichever fits; ``cause`` becomes status or Reason header."""

    async def event(self) -> LegEvent:
        """The next event, in order. After ``Ended`` it returns ``Ended`` again and again. One reader at a time."""

    def flush_digits(self) -> None:
        """Forget keys pressed so far that nobody has read (type-ahead)."""

    async def play(self, sound: Sound) -> None:
        """Let the far end hear ``sound``; returns at its end. Cancelling stops it. Also before the answer (early media)."""

    def music(self, name: str) -> None:
        """Let the far end hear a music-on-hold class until the next order."""

    def ringback(self) -> None:
        """Let the far end of an answered leg hear ringing (used while a transferred caller waits for the target)."""

    def silence(self) -> None:
        """Let the far end hear nothing."""

    async def record(self, path: Path, limit: float) -> float:
        """Record the far end to a WAV file until cancelled or ``limit`` seconds; returns the seconds recorded."""

    def send_digits(self, keys: str) -> None:
        """Press keys towards the far end (RFC 4733)."""

    def refer_result(self, cause: Cause) -> None:
        """Tell the phone how its REFER ended (NOTIFY ``message/sipfrag``, RFC 3515 section 2.4.5)."""

    def show(self, party: Party, via: str = "") -> None:
        """Change whom the far phone's display names: with the answer to come, or mid-call (UPDATE, RFC 4916). ``via`` as
        in :class:`Shown`. Nothing is sent when it names them already."""


# --- the switch ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """What a rung phone displays and how it alerts.

    ``caller`` is the caller's own number and name; ``via`` what they called through (``"Front desk"``), shown with it.
    ``auto_answer`` asks the phone to pick up hands-free (Call-Info/Alert-Info, intercom and paging).
    """

    caller: Party
    via: str = ""
    auto_answer: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class Switch(Protocol):
    """Makes legs and joins them."""

    def ring_phone(self, extension: str, shown: Shown) -> Sequence[Leg]:
        """Ring every registered device of an extension: one outgoing leg each; empty when none is registered."""

    def seize(self, line: str, number: str, caller: Party, headers: Mapping[str, str] | None = None) -> Leg:
        """Dial ``number`` (E.164, or a short code such as 911) out over ``line``, presenting ``caller``."""

    def lines(self) -> Sequence[LineState]:
        """All outside lines in the configured order."""

    def registered(self, extension: str) -> bool: ...

    def legs(self) -> Sequence[Leg]:
        """All living legs (911 pre-emption, status, pickup)."""

    def join(self, *legs: Leg) -> None:
        """From now on exactly these legs hear one another (two: a call; more: a conference).

        An incoming leg that is not answered yet gets 183 with SDP, so that its caller hears early media.
        """

    def part(self, *legs: Leg) -> None:
        """These legs hear nobody (silence) and are heard by nobody."""


# --- time and memory ----------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """Wall time, for hours and records only. Waiting is ``asyncio.sleep``."""

    def now(self) -> datetime:
        """Aware, in the site's zone."""


class Kept(enum.Enum):
    """How a promise ended. Anything else is a broken promise."""

    ANSWERED = "answered"
    MESSAGED = "messaged"
    CALLED_BACK = "called back"
    HANDED_ON = "handed on"
    #: the caller hung up on their own before we could do anything for them
    ABANDONED = "abandoned"
    #: nothing was owed: wrong extension dialled, an internal test, the box refused before it answered
    NOTHING_OWED = "nothing owed"


class Journal(Protocol):
    """The promise ledger: written and synced before the box acts; replayed at start."""

    async def promise(self, leg: Leg, to: str) -> str:
        """Note durably that this caller is owed an answer; returns the promise id. ``to``: what was dialled."""

    async def step(self, promise: str, where: str, **facts: int | str) -> None:
        """Note where the caller is now, e.g. ``step(p, "queue:frontdesk", position=3)``. Durable when it returns."""

    async def keep(self, promise: str, how: Kept, by: str = "") -> None:
        """Close the promise. Idempotent: the first end counts."""


@dataclass(slots=True)
class CallRecord:
    """One call as the call log keeps it; times are aware datetimes, durations seconds.

    ``path`` is the caller's way through the house, e.g. ``["menu:day", "queue:frontdesk", "extension:101"]``.
    """

    id: str
    direction: str  # "in", "out", "internal"
    caller: Party
    dialed: str
    started: datetime
    line: str | None = None
    answered_at: datetime | None = None
    answered_by: str = ""
    ended_at: datetime | None = None
    outcome: str = ""
    waited: float = 0.0
    talked: float = 0.0
    #: what the queue told the caller first, seconds; ``None`` when nothing was told
    told_wait: float | None = None
    path: list[str] = field(default_factory=list)


class CallLog(Protocol):
    def write(self, record: CallRecord) -> None:
        """Hand a finished record over for durable storage. Returns at once; order is kept."""


class Memory(Protocol):
    """Small facts that outlive a restart: who is logged in, forwards, do-not-disturb. JSON values."""

    def get(self, key: str) -> object | None: ...

    def put(self, key: str, value: object) -> None: ...

    def items(self, prefix: str) -> Mapping[str, object]: ...


class Messages(Protocol):
    """Where callers' messages go (mailboxes). Sealed storage arrives behind this same port."""

    def begin(self, mailbox: str, caller: Party) -> Path:
        """A fresh path to record to."""

    async def finish(self, mailbox: str, caller: Party, path: Path, seconds: float) -> None:
        """File the recording in the mailbox, durably; an empty one (under a second) is dropped."""

"""Every fixed sentence of the house voice, as pieces: recordings of Debian's asterisk-core-sounds-en, numbers, spoken text.

A phrase keeps to one voice where it can: what changes (position, minutes, slots) is put together from recordings; what the
recordings lack is spoken whole by the TTS voice.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of sound: its words, and the recording that says them (``""``: the TTS voice does)."""

    text: str
    recording: str = ""


@dataclass(frozen=True, slots=True)
class Number:
    """A value said as a number (``twenty three``)."""

    name: str


@dataclass(frozen=True, slots=True)
class Digits:
    """A value said digit by digit (``seven oh one`` is ``seven zero one`` here)."""

    name: str


Part = Piece | Number | Digits

PHRASES: Mapping[str, tuple[Part, ...]] = {
    "queue.position": (
        Piece("You are currently caller number", "queue-thereare"),
        Number("position"),
        Piece("waiting to speak with a representative.", "queue-callswaiting"),
    ),
    "queue.next": (
        Piece(
            "Your call is now first in line and will be answered by the next available representative.",
            "queue-youarenext",
        ),
    ),
    "queue.wait": (
        Piece("The estimated hold time is currently", "queue-holdtime"),
        Number("minutes"),
        Piece("minutes.", "queue-minutes"),
    ),
    "queue.wait_less": (
        Piece("The estimated hold time is currently", "queue-holdtime"),
        Piece("less than", "queue-less-than"),
        Number("minutes"),
        Piece("minutes.", "queue-minutes"),
    ),
    "queue.wait_long": (Piece("The wait is now longer than an hour."),),
    "queue.thanks": (Piece("Thank you for your patience.", "queue-thankyou"),),
    # menu
    "menu.invalid": (Piece("I am sorry, that's not a valid extension. Please try again.", "pbx-invalid"),),
    "menu.no_input": (Piece("I did not hear a choice."),),
    # connecting
    "call.hold": (Piece("Please hold while we try to connect you.", "pls-hold-while-try"),),
    "call.unknown": (Piece("Your call cannot be completed as dialed.", "cannot-complete-as-dialed"),),
    "call.no_line": (Piece("All circuits are busy now.", "all-circuits-busy-now"),),
    "group.accept": (Piece("This is a call from the clinic. To accept it, press 1."),),
    "group.taken": (Piece("Thank you. Somebody else has taken the call."),),
    "transfer.to": (Piece("Transfer.", "pbx-transfer"),),
    "transfer.failed": (Piece("The transfer did not succeed."),),
    # park
    "park.slot": (Digits("slot"),),
    "park.empty": (Piece("I am sorry, there is no call parked on that extension. Please try again.", "pbx-invalidpark"),),
    "park.full": (Piece("Parking attempt failed.", "pbx-parkingfailed"),),
    # mailbox
    "mailbox.greeting": (Piece("Please leave your name, a number where we can reach you, and your message."),),
    "mailbox.stored": (Piece("Your message has been saved.", "vm-msgsaved"),),
    "goodbye": (Piece("Goodbye.", "vm-goodbye"),),
    "beep": (Piece("", "beep"),),
    # features
    "feature.dnd_on": (Piece("Do not disturb.", "do-not-disturb"), Piece("Activated.", "activated")),
    "feature.dnd_off": (Piece("Do not disturb.", "do-not-disturb"), Piece("De-activated.", "de-activated")),
    "feature.forward_on": (Piece("Call forwarding.", "call-forwarding"), Piece("Activated.", "activated")),
    "feature.forward_off": (Piece("Call forwarding.", "call-forwarding"), Piece("De-activated.", "de-activated")),
    "feature.login": (Piece("Agent logged in.", "agent-loginok"),),
    "feature.logout": (Piece("Agent logged off.", "agent-loggedoff"),),
    "feature.pause": (Piece("You are paused. The queue will not ring you."),),
    "feature.unpause": (Piece("You are back. The queue will ring you again."),),
    "feature.failed": (Piece("That did not work. Nothing was changed."),),
    # emergency test (933)
    "emergency.test": (
        Piece("This is a test of the emergency call. Emergency services would call back"),
        Digits("callback"),
    ),
}

_SMALL = 20
_WORDS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def pieces(key: str, values: Mapping[str, int | str]) -> Iterator[Piece]:
    """The stretches of a phrase with its values put in. Raises ``KeyError`` in words for a wrong key or a missing value."""
    parts = PHRASES.get(key)
    if parts is None:
        near = difflib.get_close_matches(key, PHRASES, n=1)
        raise KeyError(f"there is no phrase {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    for part in parts:
        if isinstance(part, Piece):
            yield part
        elif part.name not in values:
            raise KeyError(f"the phrase {key!r} needs a value {part.name!r}")
        elif isinstance(part, Number):
            yield from number(int(values[part.name]))
        else:
            yield from (digit for char in str(values[part.name]) if char.isdigit() for digit in number(int(char)))


def number(value: int) -> Iterator[Piece]:
    """A whole number from 0 to 999 in words; what is beyond is said as 999."""
    value = max(0, min(value, 999))
    if value >= 100:
        yield from number(value // 100)
        yield Piece("hundred", "digits/hundred")
        value %= 100
        if value == 0:
            return
    if value < _SMALL:
        yield Piece(_WORDS[value], f"digits/{value}")
        return
    yield Piece(_TENS[value // 10], f"digits/{value // 10 * 10}")
    if value % 10:
        yield Piece(_WORDS[value % 10], f"digits/{value % 10}")


def all_pieces() -> set[Piece]:
    """Every stretch that any phrase can need: what must be there before the first call."""
    found = {part for parts in PHRASES.values() for part in parts if isinstance(part, Piece)}
    for value in [*range(_SMALL), *range(20, 100, 10), 100]:
        found.update(number(value))
    return found

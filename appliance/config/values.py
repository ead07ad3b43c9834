"""What one value of a clinic.toml may be: destinations, numbers, times of day. What is refused is told in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time
from ipaddress import IPv4Address
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema, core_schema

#: what a call can be led to; all but ``hangup`` carry a name after the colon
DESTINATION_KINDS = ("menu", "queue", "group", "extension", "mailbox", "announce", "number", "hangup")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a call goes: ``queue:frontdesk``, ``extension:101``, ``number:+12175550123``, ``hangup``."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind

    @classmethod
    def parse(cls, text: object) -> Destination:
        """Raises ``ValueError`` in words for the person who edits the file."""
        if isinstance(text, cls):
            return text
        if not isinstance(text, str):
            raise ValueError("a destination is a text such as 'queue:frontdesk'")  # noqa: TRY004 - pydantic wants it
        kind, _, name = text.strip().partition(":")
        kind = kind.rstrip()
        kinds = ", ".join(f"{k}:…" for k in DESTINATION_KINDS[:-1])
        if kind not in DESTINATION_KINDS:
            raise ValueError(f"a destination starts with one of {kinds} or is hangup")
        name = name.strip()
        if (kind == "hangup") == bool(name):
            raise ValueError("hangup stands alone" if kind == "hangup" else f"after {kind}: comes a name")
        return cls(kind, in_full(name) if kind == "number" else name)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


def in_full(text: str) -> str:
    """A telephone number with plus and country code, without blanks. Raises ``ValueError`` in words."""
    compact = re.sub(r"[\s().-]", "", text)
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", compact):
        raise ValueError("a number is written in full with + and country code, e.g. '+12175550100'")
    return compact


def an_extension(text: object) -> str:
    """The digits of an extension. Raises ``ValueError`` in words."""
    if isinstance(text, int):
        text = str(text)
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{2,6}", text):
        raise ValueError("an extension is 2 to 6 digits, e.g. '101'")
    return text


#: ``24:00``: a span that ends with the day ends with its last moment
END_OF_DAY = time.max


def _span(text: object) -> tuple[time, time]:
    if isinstance(text, tuple) and len(text) == 2:
        start, end = _moment(text[0]), _moment(text[1])
    else:
        found = re.fullmatch(r"\s*([0-9]+:[0-9]+)\s*[-–]\s*([0-9]+:[0-9]+)\s*", text) if isinstance(text, str) else None
        if found is None:
            raise ValueError("a span of the day is written '08:00-17:00'")
        start, end = _moment(found.group(1)), _moment(found.group(2))
    if start >= end:
        raise ValueError("a span begins before it ends; write a span over midnight as two, one for each day")
    return start, end


def _moment(text: object) -> time:
    """A time of day: ``08:00`` as text, or TOML's own ``08:00:00``."""
    if isinstance(text, time) and text.tzinfo is None:
        return text
    found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})", text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("a time of day is written '08:00'")
    hour, minute = int(found.group(1)), int(found.group(2))
    if (hour, minute) == (24, 0):
        return END_OF_DAY
    if hour > 23 or minute > 59:
        raise ValueError(f"there is no such time of day as {text}; the day goes from 00:00 to 24:00")
    return time(hour, minute)


def _written(moment: time) -> str:
    return "24:00" if moment == END_OF_DAY else f"{moment:%H:%M}"


def _day(text: object) -> date:
    """A date: TOML's own, or the same as text."""
    if isinstance(text, date) and not isinstance(text, datetime):
        return text
    if isinstance(text, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            raise ValueError(f"there is no such day as {text} in the calendar") from error
    raise ValueError("a date is written year-month-day, e.g. '2026-12-24'")


def _address(text: object) -> object:
    if isinstance(text, int):
        raise ValueError("an address is written as text, e.g. '192.168.1.10'")  # noqa: TRY004 - pydantic wants it
    return text


E164 = Annotated[str, BeforeValidator(lambda v: in_full(v) if isinstance(v, str) else v)]
Extension = Annotated[str, BeforeValidator(an_extension)]
Span = Annotated[
    tuple[time, time],
    BeforeValidator(_span),
    PlainSerializer(lambda s: f"{_written(s[0])}-{_written(s[1])}", return_type=str),
]
Moment = Annotated[time, BeforeValidator(_moment), PlainSerializer(_written, return_type=str)]
Day = Annotated[date, BeforeValidator(_day)]
Address = Annotated[IPv4Address, BeforeValidator(_address)]
Seconds = Annotated[int, Field(ge=1, le=86400)]
Name = Annotated[str, Field(min_length=1, max_length=60)]
Key = Annotated[str, Field(pattern=r"^[0-9*#]$")]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]

"""The shape of a clinic.toml. `appliance/simulation/demo.toml` is its worked example.

Models are frozen and refuse unknown keys. Checks across the file (does a target exist, can a caller get out) stand in
`appliance.config.check`; here stands what one value may be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, time
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    field_validator,
    model_validator,
)
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
        kinds = ", ".join(f"{k}:…" for k in DESTINATION_KINDS[:-1])
        if kind not in DESTINATION_KINDS:
            raise ValueError(f"a destination starts with one of {kinds} or is hangup")
        if (kind == "hangup") == bool(name):
            raise ValueError("hangup stands alone" if kind == "hangup" else f"after {kind}: comes a name")
        return cls(kind, name)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


def _e164(text: str) -> str:
    compact = re.sub(r"[\s().-]", "", text)
    if not re.fullmatch(r"\+[1-9]\d{6,14}", compact):
        raise ValueError("a number is written in full with + and country code, e.g. '+12175550100'")
    return compact


def _extension(text: object) -> str:
    if isinstance(text, int):
        text = str(text)
    if not isinstance(text, str) or not re.fullmatch(r"\d{2,6}", text):
        raise ValueError("an extension is 2 to 6 digits, e.g. '101'")
    return text


def _span(text: object) -> tuple[time, time]:
    if isinstance(text, (tuple, list)) and len(text) == 2:
        start, end = text
        return start, end
    found = re.fullmatch(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*", text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("a span of the day is written '08:00-17:00'")
    hours = [int(group) for group in found.groups()]
    if hours[2:] == [24, 0]:
        hours[2:] = [23, 59]
    try:
        start, end = time(hours[0], hours[1]), time(hours[2], hours[3])
    except ValueError as error:
        raise ValueError(f"there is no such time of day: {error}") from error
    if start >= end:
        raise ValueError("a span begins before it ends; write a span over midnight as two, one for each day")
    return start, end


def _moment(text: object) -> object:
    if isinstance(text, str) and re.fullmatch(r"\d{1,2}:\d{2}", text):
        hour, minute = text.split(":")
        return time(int(hour), int(minute))
    return text


E164 = Annotated[str, BeforeValidator(lambda v: _e164(v) if isinstance(v, str) else v)]
Extension = Annotated[str, BeforeValidator(_extension)]
Span = Annotated[
    tuple[time, time],
    BeforeValidator(_span),
    PlainSerializer(lambda s: f"{s[0]:%H:%M}-{s[1]:%H:%M}", return_type=str),
]
Moment = Annotated[time, BeforeValidator(_moment)]
Seconds = Annotated[int, Field(ge=1, le=86400)]
Name = Annotated[str, Field(min_length=1, max_length=60)]
Key = Annotated[str, Field(pattern=r"^[0-9*#]$")]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class Part(BaseModel):
    """A part of the file: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Site(Part):
    """[clinic]"""

    name: Name
    timezone: str = "America/New_York"
    country: str = Field("US", pattern=r"^[A-Z]{2}$")
    subdivision: str | None = Field(None, description="state or province whose public holidays count, e.g. 'IL'")
    operator: Destination = Destination("hangup")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("a time zone is written as region/city, e.g. 'America/Chicago'") from error
        return value


class Sip(Part):
    """[sip] Where the box listens. ``bind`` is an address of this box that the phones can reach."""

    bind: IPv4Address = IPv4Address("127.0.0.1")
    port: int = Field(5060, ge=1, le=65535)
    tls_port: int | None = Field(None, ge=1, le=65535)
    tls_certificate: str | None = None
    tls_key: str | None = None
    domain: str = "clinic.local"
    rtp_ports: tuple[int, int] = (16000, 20000)

    @field_validator("rtp_ports")
    @classmethod
    def _room_for_calls(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 1024 <= value[0] < value[1] <= 65535 or value[1] - value[0] < 100:
            raise ValueError("two ports from 1024 to 65535, the first at least 100 below the last")
        return value


class Line(Part):
    """[[lines]] An outside line; lines are tried in the order of the file."""

    name: Identifier
    kind: Literal["sip"] = "sip"
    server: str = Field(pattern=r"^[A-Za-z0-9.-]+(:\d{1,5})?$")
    transport: Literal["udp", "tcp", "tls"] = "udp"
    register_: bool = Field(False, alias="register")
    username: str = ""
    srtp: Literal["off", "optional", "required"] = "off"
    capacity: int = Field(4, ge=1, le=500)
    caller_id: E164
    numbers: tuple[E164, ...] = ()


class Phone(Part):
    """[[phones]] A phone of the house; its password is made by the box and kept beside this file, never in it."""

    extension: Extension
    name: Name
    location: str = ""
    srtp: Literal["off", "optional", "required"] = "optional"
    devices: int = Field(3, ge=1, le=10)
    ring_seconds: Seconds = 25
    forward_always: Destination | None = None
    forward_busy: Destination | None = None
    forward_no_answer: Destination | None = None
    mailbox: Identifier | None = None
    outside_calls: bool = True


class Holiday(Part):
    """A holiday of the practice's own."""

    date: date
    name: Name


class Exception_(Part):
    """A one-off closure or opening; without ``from`` and ``until`` the whole day."""

    date: date
    from_: Moment = Field(time(0, 0), alias="from")
    until: Moment = time(23, 59, 59)
    name: str = ""

    @model_validator(mode="after")
    def _forwards(self) -> Exception_:
        if self.from_ >= self.until:
            raise ValueError("from must be earlier than until")
        return self


class Hours(Part):
    """[hours.NAME] Weekly hours in the site's zone. An opening beats a closure, a closure beats a holiday."""

    mon: tuple[Span, ...] = ()
    tue: tuple[Span, ...] = ()
    wed: tuple[Span, ...] = ()
    thu: tuple[Span, ...] = ()
    fri: tuple[Span, ...] = ()
    sat: tuple[Span, ...] = ()
    sun: tuple[Span, ...] = ()
    lunch: tuple[Span, ...] = ()
    public_holidays: bool = False
    holidays: tuple[Holiday, ...] = ()
    closures: tuple[Exception_, ...] = ()
    openings: tuple[Exception_, ...] = ()

    def week(self) -> tuple[tuple[Span, ...], ...]:
        """Spans by weekday, Monday first."""
        return (self.mon, self.tue, self.wed, self.thu, self.fri, self.sat, self.sun)


class Number(Part):
    """[[numbers]] A number patients call, and where it leads. Without ``hours`` it is always open."""

    number: E164
    name: str = ""
    hours: Identifier | None = None
    open: Destination
    lunch: Destination | None = None
    closed: Destination | None = None
    holiday: Destination | None = None


class Menu(Part):
    """[menus.NAME]"""

    greeting: str = Field(min_length=1, max_length=2000)
    keys: dict[Key, Destination] = {}
    dial_extension: bool = False
    no_input: Destination | None = None
    bad_input: Destination | None = None
    tries: int = Field(3, ge=1, le=10)
    wait_seconds: int = Field(5, ge=1, le=60)


class Overflow(Part):
    """[queues.NAME.overflow] Where callers go who cannot be served."""

    wait: Destination
    full: Destination
    no_agents: Destination


class Queue(Part):
    """[queues.NAME]"""

    label: Name
    agents: tuple[Extension, ...]
    strategy: Literal["ring_all", "linear", "longest_idle"] = "longest_idle"
    ring_seconds: Seconds = 20
    wrap_up_seconds: int = Field(10, ge=0, le=3600)
    retry_rejected_seconds: int = Field(30, ge=1, le=3600)
    announce_seconds: int = Field(45, ge=15, le=600)
    music: Identifier = "default"
    messages: tuple[Identifier, ...] = ()
    message_seconds: int = Field(40, ge=10, le=600)
    max_wait_seconds: Seconds = 1800
    max_length: int = Field(50, ge=1, le=500)
    overflow: Overflow


class Group(Part):
    """[groups.NAME] A ring group. Members are extensions, or outside numbers that must press 1 to accept."""

    label: Name
    strategy: Literal["all", "sequence", "escalate"] = "all"
    members: tuple[str, ...] = Field(min_length=1)
    ring_seconds: Seconds = 25
    no_answer: Destination

    @field_validator("members")
    @classmethod
    def _extensions_or_numbers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_e164(member) if member.startswith("+") else _extension(member) for member in value)


class Mailbox(Part):
    """[mailboxes.NAME]"""

    label: Name
    greeting: str = Field("", max_length=2000)
    limit_seconds: int = Field(180, ge=10, le=1800)


class Message(Part):
    """[messages.NAME] What callers hear while they wait, between the dates given (both included)."""

    text: str = Field(min_length=1, max_length=1000)
    from_: date | None = Field(None, alias="from")
    until: date | None = None

    def active(self, day: date) -> bool:
        return (self.from_ is None or self.from_ <= day) and (self.until is None or day <= self.until)


class Dialing(Part):
    """[dialing] What phones may dial."""

    outside_prefix: str = Field("9", pattern=r"^\d?$")
    area_code: str = Field("", pattern=r"^(\d{3})?$")
    park_slots: tuple[Extension, ...] = ("701", "702", "703", "704")
    recall_seconds: int = Field(60, ge=15, le=600)
    allow_international: bool = False
    emergency_callback: E164 | None = None


class Clinic(Part):
    """A whole clinic.toml."""

    clinic: Site
    sip: Sip = Sip()
    lines: tuple[Line, ...] = ()
    phones: tuple[Phone, ...] = ()
    hours: dict[Identifier, Hours] = {}
    numbers: tuple[Number, ...] = ()
    menus: dict[Identifier, Menu] = {}
    queues: dict[Identifier, Queue] = {}
    groups: dict[Identifier, Group] = {}
    mailboxes: dict[Identifier, Mailbox] = {}
    messages: dict[Identifier, Message] = {}
    dialing: Dialing = Dialing()

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.clinic.timezone)

    def phone(self, extension: str) -> Phone | None:
        return next((phone for phone in self.phones if phone.extension == extension), None)

    def phone_ring_seconds(self, extension: str) -> int:
        phone = self.phone(extension)
        return phone.ring_seconds if phone is not None else 25

    def line(self, name: str) -> Line | None:
        return next((line for line in self.lines if line.name == name), None)

    def number(self, number: str) -> Number | None:
        return next((entry for entry in self.numbers if entry.number == number), None)

    def spoken_texts(self) -> list[str]:
        """Every free text a caller may hear: the voice renders them ahead."""
        texts = [menu.greeting for menu in self.menus.values()]
        texts += [box.greeting for box in self.mailboxes.values() if box.greeting]
        texts += [message.text for message in self.messages.values()]
        return texts

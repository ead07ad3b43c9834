"""The shape of a clinic.toml. `appliance/simulation/demo.toml` is its worked example.

Models are frozen and refuse unknown keys. What one value may be stands in `appliance.config.values`, checks across the file
(does a target exist, can a caller get out) in `appliance.config.check`.
"""

from __future__ import annotations

from datetime import date, time
from ipaddress import IPv4Address
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from appliance.config.values import (
    E164,
    END_OF_DAY,
    Address,
    Day,
    Extension,
    Identifier,
    Key,
    Moment,
    Name,
    Seconds,
    Span,
    an_extension,
    in_full,
)
from appliance.config.values import Destination as Destination  # noqa: PLC0414 - others know it from here


class Part(BaseModel):
    """A part of the file: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """``true`` is 1 to Python; to whoever writes ``tries = true`` it is a mistake."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("true or false does not belong here")
        return value


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

    bind: Address = IPv4Address("127.0.0.1")
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
    server: str = Field(pattern=r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$")
    transport: Literal["udp", "tcp", "tls"] = "udp"
    register_: bool = Field(False, alias="register")
    username: str = ""
    srtp: Literal["off", "optional", "required"] = "off"
    capacity: int = Field(4, ge=1, le=500)
    caller_id: E164
    #: where the provider reads the caller: "from", or "asserted" (From is then the account, RFC 3325 carries the number)
    identity: Literal["from", "asserted"] = "from"
    #: patients who are sent on to an outside number show their own number there; the provider must allow it
    pass_caller: bool = False
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
    #: a number of a line's ``numbers`` that this phone shows outside instead of the line's caller_id
    caller_id: E164 | None = None


class Holiday(Part):
    """A holiday of the practice's own."""

    date: Day
    name: Name


class Exception_(Part):
    """A one-off closure or opening; without ``from`` and ``until`` the whole day."""

    date: Day
    from_: Moment = Field(time(0, 0), alias="from")
    until: Moment = END_OF_DAY
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
        return tuple(in_full(member) if member.startswith("+") else an_extension(member) for member in value)


class Mailbox(Part):
    """[mailboxes.NAME]"""

    label: Name
    greeting: str = Field("", max_length=2000)
    limit_seconds: int = Field(180, ge=10, le=1800)


class Message(Part):
    """[messages.NAME] What callers hear while they wait, between the dates given (both included)."""

    text: str = Field(min_length=1, max_length=1000)
    from_: Day | None = Field(None, alias="from")
    until: Day | None = None

    def active(self, day: date) -> bool:
        return (self.from_ is None or self.from_ <= day) and (self.until is None or day <= self.until)


class Dialing(Part):
    """[dialing] What phones may dial."""

    outside_prefix: str = Field("9", pattern=r"^[0-9]?$")
    area_code: str = Field("", pattern=r"^([0-9]{3})?$")
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

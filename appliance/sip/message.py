"""A SIP request as the front reads it (RFC 3261 section 7): headers by name, only what is asked for is parsed.

PJSIP has parsed the message already and refused what is not SIP; here stands what Python decides upon. The readers never
raise but :class:`BadMessage`, which becomes a 400 with its reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_COMPACT = {
    "i": "call-id",
    "m": "contact",
    "e": "content-encoding",
    "l": "content-length",
    "c": "content-type",
    "f": "from",
    "s": "subject",
    "k": "supported",
    "t": "to",
    "v": "via",
    "o": "event",
    "u": "allow-events",
    "r": "refer-to",
    "b": "referred-by",
    "x": "session-expires",
}
# Strangers choose what these are given: each reads its text once, whatever stands in it.
_LINE = re.compile(r"\r\n|\r|\n")
_FOLD = re.compile(r"(?:\r\n|\r|\n)[ \t]+")
_MARK = re.compile(r'\\.|[",<>]', re.DOTALL)
_QUOTED = re.compile(r'\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_URI = re.compile(
    r'(sips?):(?:([^@?<>"\s\x00-\x1f\x7f]*)@)?(\[[0-9A-F:.]+\]|[A-Z0-9._-]+)(?::([0-9]+))?(;[^?<>"\s\x00-\x1f\x7f]*)?(?:\?|$)',
    re.IGNORECASE | re.ASCII,
)
_PARAMETER = re.compile(r"[\s,]*([A-Za-z0-9_-]+)\s*=\s*")
_TOKEN = re.compile(r"[^\s,]+")


class BadMessage(ValueError):
    """The request cannot be understood; the text says which part."""


@dataclass(frozen=True, slots=True)
class Uri:
    """A SIP URI (RFC 3261 section 19.1); ``params`` as written, each with its semicolon."""

    scheme: str
    user: str
    host: str
    port: int | None
    params: str

    @classmethod
    def parse(cls, text: str) -> Uri:
        found = _URI.match(text.strip())
        if found is None:
            raise BadMessage(f"this is no SIP address: {text[:60]!r}")
        scheme, user, host, port, params = found.groups()
        if port and (len(port) > 5 or not 0 < int(port) < 65536):
            raise BadMessage(f"there is no port {port[:10]}")
        number = int(port) if port else None
        return cls(scheme.lower(), user or "", host, number, params or "")

    @property
    def at(self) -> str:
        """Host, and port where there is one."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def has(self, name: str) -> bool:
        """Whether a parameter stands there, with a value or without."""
        return any(piece.partition("=")[0].lower() == name for piece in self.params.split(";")[1:])


@dataclass(frozen=True, slots=True)
class Address:
    """A name-addr or addr-spec with its header parameters, lower-case names (RFC 3261 section 20.10)."""

    uri: str
    params: dict[str, str]
    #: the display name, unquoted
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        text = text.strip()
        quoted = _QUOTED.match(text)
        opened = text.find("<", quoted.end() if quoted is not None else 0)
        name = ""
        if opened >= 0:
            closed = text.find(">", opened)
            if closed < 0:
                raise BadMessage("an address has a < without a >")
            uri, rest = text[opened + 1 : closed], text[closed + 1 :]
            name = _ESCAPED.sub(r"\1", quoted.group(1)) if quoted is not None else text[:opened].strip()
        else:
            uri, _, rest = text.partition(";")
            rest = ";" + rest if rest else ""
        params = {}
        for piece in rest.split(";")[1:]:
            key, _, value = piece.partition("=")
            params[key.strip().lower()] = value.strip().strip('"')
        return cls(uri.strip(), params, name)


class Request:
    """One request. ``source`` is ``"address:port"``, ``transport`` ``"UDP"``, ``"TCP"`` or ``"TLS"``."""

    def __init__(self, text: str, source: str, transport: str) -> None:
        if not text.isascii():
            # What is not UTF-8 came in as lone surrogates: no database, no JSON and no terminal takes them.
            text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        self.text = text
        self.source = source
        self.transport = transport.upper()
        lines: list[str] = _LINE.split(text, maxsplit=1)
        self._rest = lines[1] if len(lines) > 1 else ""
        self.method, _, rest = lines[0].strip().partition(" ")
        self.uri = rest.rsplit(" ", 1)[0].strip()

    @property
    def address(self) -> str:
        """The source's address without its port."""
        return self.source.rsplit(":", 1)[0]

    @cached_property
    def _headers(self) -> dict[str, list[str]]:
        # A lone CR ends a line too: PJSIP reads it so, and a value that kept one would make two headers when written.
        head = _FOLD.sub(" ", self._rest.partition("\r\n\r\n")[0])
        headers: dict[str, list[str]] = {}
        for line in _LINE.split(head):
            name, colon, value = line.partition(":")
            if not colon:
                if not line.strip():
                    break
                continue
            key = name.strip().lower()
            headers.setdefault(_COMPACT.get(key, key), []).append(value.strip())
        return headers

    def header(self, name: str) -> str:
        """The first value of a header, ``""`` when there is none."""
        values = self._headers.get(name.lower())
        return values[0] if values else ""

    def values(self, name: str) -> list[str]:
        """All values of a header that may be a list, split at commas outside quotes and brackets."""
        found: list[str] = []
        for line in self._headers.get(name.lower(), ()):
            found += split_list(line) if "," in line else [line]
        return found

    def raw(self, name: str) -> list[str]:
        """All lines of a header as they stand."""
        return self._headers.get(name.lower(), [])

    def tag(self, name: str) -> str:
        """The tag of From or To."""
        try:
            return Address.parse(self.header(name)).params.get("tag", "")
        except BadMessage:
            return ""

    def number(self, name: str, default: int | None = None) -> int | None:
        """A header that is one whole number (Expires, Max-Forwards). Raises :class:`BadMessage`."""
        text = self.header(name)
        if not text:
            return default
        if not re.fullmatch(r"[0-9]{1,10}", text):
            raise BadMessage(f"{name} is not a number")
        return min(int(text), 2**32 - 1)

    def cseq(self) -> int:
        found = re.match(r"([0-9]{1,10})\s", self.header("CSeq"))
        if found is None:
            raise BadMessage("CSeq is missing or not a number")
        return int(found.group(1))

    def user(self, name: str) -> str:
        """The user part of the URI in From, To or Contact."""
        return Uri.parse(Address.parse(self.header(name)).uri).user


def split_list(text: str) -> list[str]:
    """The elements of a header that is a list: split at commas outside quotes and brackets (RFC 3261 section 7.3.1)."""
    pieces, start, quoted, bracketed = [], 0, False, False
    for mark in _MARK.finditer(text):
        character = mark.group()
        if character == '"' and not bracketed:
            quoted = not quoted
        elif quoted:
            continue
        elif character == "<":
            bracketed = True
        elif character == ">":
            bracketed = False
        elif character == "," and not bracketed:
            pieces.append(text[start : mark.start()].strip())
            start = mark.end()
    pieces.append(text[start:].strip())
    return [piece for piece in pieces if piece]


def auth_params(value: str) -> dict[str, str]:
    """The parameters of a Digest credential (RFC 7616 section 3.4), lower-case names; ``{}`` for another scheme."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        return {}
    params: dict[str, str] = {}
    position = 0
    while (name := _PARAMETER.match(rest, position)) is not None:
        found = _QUOTED.match(rest, name.end()) or _TOKEN.match(rest, name.end())
        if found is None:
            break
        params[name.group(1).lower()] = found.group(found.re.groups)
        position = found.end()
    return params

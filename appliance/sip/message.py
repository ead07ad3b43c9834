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
_FOLD = re.compile(r"\r?\n[ \t]+")
_TAG = re.compile(r";\s*tag\s*=\s*([^;,\s>]+)", re.IGNORECASE)
_SPLIT = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)(?=(?:[^<]*<[^>]*>)*[^>]*$)')
_URI = re.compile(r"^(sips?):(?:([^@;?>]*)@)?(\[[0-9A-Fa-f:.]+\]|[^:;?>@\s]+)(?::(\d+))?((?:;[^?>\s]*)?)", re.IGNORECASE)
_AUTH = re.compile(r'([A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


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
        number = int(port) if port else None
        if number is not None and not 0 < number < 65536:
            raise BadMessage(f"there is no port {port[:10]}")
        return cls(scheme.lower(), user or "", host, number, params or "")

    def param(self, name: str) -> str:
        found = re.search(rf";{name}=([^;]+)", self.params, re.IGNORECASE)
        return found.group(1) if found else ""


@dataclass(frozen=True, slots=True)
class Address:
    """A name-addr or addr-spec with its header parameters, lower-case names (RFC 3261 section 20.10)."""

    uri: str
    params: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> Address:
        text = text.strip()
        opened = text.find("<")
        if opened >= 0:
            closed = text.find(">", opened)
            if closed < 0:
                raise BadMessage("an address has a < without a >")
            uri, rest = text[opened + 1 : closed], text[closed + 1 :]
        else:
            uri, _, rest = text.partition(";")
            rest = ";" + rest if rest else ""
        params = {}
        for piece in rest.split(";")[1:]:
            name, _, value = piece.partition("=")
            params[name.strip().lower()] = value.strip().strip('"')
        return cls(uri.strip(), params)


class Request:
    """One request. ``source`` is ``"address:port"``, ``transport`` ``"UDP"``, ``"TCP"`` or ``"TLS"``."""

    def __init__(self, text: str, source: str, transport: str) -> None:
        self.text = text
        self.source = source
        self.transport = transport.upper()
        first, _, self._rest = text.partition("\n")
        self.method, _, rest = first.strip().partition(" ")
        self.uri = rest.rsplit(" ", 1)[0].strip()

    @property
    def address(self) -> str:
        """The source's address without its port."""
        return self.source.rsplit(":", 1)[0]

    @cached_property
    def _headers(self) -> dict[str, list[str]]:
        head = self._rest.partition("\r\n\r\n")[0]
        if "\n " in head or "\n\t" in head:
            head = _FOLD.sub(" ", head)
        headers: dict[str, list[str]] = {}
        for line in head.split("\n"):
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
            found += [piece.strip() for piece in _SPLIT.split(line) if piece.strip()] if "," in line else [line]
        return found

    def raw(self, name: str) -> list[str]:
        """All lines of a header as they stand."""
        return self._headers.get(name.lower(), [])

    def tag(self, name: str) -> str:
        """The tag of From or To."""
        found = _TAG.search(self.header(name))
        return found.group(1) if found else ""

    def number(self, name: str, default: int | None = None) -> int | None:
        """A header that is one whole number (Expires, Max-Forwards). Raises :class:`BadMessage`."""
        text = self.header(name)
        if not text:
            return default
        if not re.fullmatch(r"\d{1,10}", text):
            raise BadMessage(f"{name} is not a number")
        return min(int(text), 2**32 - 1)

    def cseq(self) -> int:
        found = re.match(r"(\d{1,10})\s", self.header("CSeq"))
        if found is None:
            raise BadMessage("CSeq is missing or not a number")
        return int(found.group(1))

    def user(self, name: str) -> str:
        """The user part of the URI in From, To or Contact."""
        return Uri.parse(Address.parse(self.header(name)).uri).user


def auth_params(value: str) -> dict[str, str]:
    """The parameters of a Digest credential or challenge, lower-case names (RFC 7616 section 3.4)."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        return {}
    return {m.group(1).lower(): (m.group(2) if m.group(2) is not None else m.group(3)) for m in _AUTH.finditer(rest)}

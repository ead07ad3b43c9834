"""Requests as phones send them, a front that answers them, and a phone's own digest: for tests without PJSIP."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping

from appliance.sip.front import Answer, Front, OutgoingNotify, PhoneRule, Request
from appliance.sip.guard import Limits

DOMAIN = "clinic.local"
HOME = "192.0.2.10:5060"
ELSEWHERE = "198.51.100.7:5060"
PASSWORDS = {"101": "open sesame", "102": "abracadabra"}
HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class Facts:
    """What outlives a restart, in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, object] = {}

    def get(self, key: str) -> object | None:
        return self.kept.get(key)

    def put(self, key: str, value: object) -> None:
        self.kept[key] = value

    def items(self, prefix: str) -> Mapping[str, object]:
        return {key: value for key, value in self.kept.items() if key.startswith(prefix)}


class Desk:
    """A front with two phones and a trunk, a clock to turn, and what it sent."""

    def __init__(self, facts: Facts | None = None, limits: Limits | None = None) -> None:
        self.time = 1_790_000_000.0
        self.facts = facts or Facts()
        self.sent: list[OutgoingNotify] = []
        self.bans: list[tuple[str, bool]] = []
        self.front = Front(
            domain=DOMAIN,
            contact="sip:192.0.2.1:5060",
            phones={extension: PhoneRule(devices=2) for extension in PASSWORDS},
            secret=lambda extension: PASSWORDS.get(extension, ""),
            memory=self.facts,
            now=lambda: self.time,
            send=self._send,
            limits=limits,
            on_ban=lambda address, banned: self.bans.append((address, banned)),
        )
        self.front.trust({"main": frozenset({"203.0.113.5"})})

    def _send(self, out: OutgoingNotify) -> int:
        self.sent.append(out)
        return len(self.sent)

    def answer(self, text: str, source: str = HOME, transport: str = "UDP") -> Answer:
        verdict = self.front.handle(Request(text, source, transport))
        assert isinstance(verdict, Answer), verdict
        self.front.tend()
        return verdict


_numbers = itertools.count(1)


def message(
    method: str, uri: str = f"sip:{DOMAIN}", *, user: str = "101", call_id: str = "", cseq: int = 0, **headers: str | list[str]
) -> str:
    """A request's text. Header names with underscores; a list makes several lines, ``""`` leaves a header out."""
    number = next(_numbers)
    fields: dict[str, str | list[str]] = {
        "Via": f"SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK{number}",
        "From": f"<sip:{user}@{DOMAIN}>;tag=f{number}",
        "To": f"<sip:{user}@{DOMAIN}>",
        "Call-ID": call_id or f"call-{number}",
        "CSeq": f"{cseq or number} {method}",
        "Max-Forwards": "70",
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [
        f"{name}: {one}" for name, value in fields.items() for one in ([value] if isinstance(value, str) else value) if one
    ]
    return "\r\n".join([f"{method} {uri} SIP/2.0", *lines, "Content-Length: 0", "", ""])


def challenge(answer: Answer, algorithm: str = "MD5") -> dict[str, str]:
    """The parameters of one of a 401's challenges."""
    assert answer.code == 401
    for name, value in answer.headers:
        found = {key: quoted or bare for key, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^",\s]+))', value)}
        if name == "WWW-Authenticate" and found["algorithm"] == algorithm:
            return found
    raise AssertionError(f"no challenge for {algorithm}")


def credentials(
    asked: Mapping[str, str], method: str, uri: str, user: str, password: str, *, count: int = 1, qop: str = "auth"
) -> str:
    """A phone's Authorization value (RFC 7616 section 3.4), computed apart from the product's code."""
    make = HASHES[asked["algorithm"]]
    first = make(f"{user}:{asked['realm']}:{password}".encode()).hexdigest()
    second = make(f"{method}:{uri}".encode()).hexdigest()
    nc, cnonce = f"{count:08x}", "0a4f113b"
    response = make(f"{first}:{asked['nonce']}:{nc}:{cnonce}:{qop}:{second}".encode()).hexdigest()
    return (
        f'Digest username="{user}", realm="{asked["realm"]}", nonce="{asked["nonce"]}", uri="{uri}", '
        f'response="{response}", algorithm={asked["algorithm"]}, cnonce="{cnonce}", qop={qop}, nc={nc}'
    )


def signed(
    desk: Desk,
    method: str,
    uri: str = f"sip:{DOMAIN}",
    *,
    user: str = "101",
    password: str | None = None,
    algorithm: str = "MD5",
    source: str = HOME,
    transport: str = "UDP",
    **headers: str | list[str],
) -> str:
    """A request that answers a fresh challenge."""
    asked = challenge(desk.answer(message("REGISTER", user=user), source, transport), algorithm)
    word = PASSWORDS.get(user, "") if password is None else password
    return message(method, uri, user=user, Authorization=credentials(asked, method, uri, user, word), **headers)  # type: ignore[arg-type]


def register(desk: Desk, contact: str = "<sip:101@192.0.2.10:5060>", **more: str | list[str]) -> Answer:
    """A phone registers; the answer."""
    source, transport = str(more.pop("source", HOME)), str(more.pop("transport", "UDP"))
    text = signed(desk, "REGISTER", source=source, transport=transport, Contact=contact, **more)  # type: ignore[arg-type]
    return desk.answer(text, source, transport)

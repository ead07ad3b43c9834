"""Valid SIP messages, and what line noise and malice make of them. Everything follows from the seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from peers.rawsip import DOMAIN, Peer, sdp

Random = random.Random
Mutation = Callable[[bytes, Random], bytes]

REQUESTS = (
    "REGISTER", "INVITE", "INVITE", "INVITE", "INVITE", "SUBSCRIBE", "OPTIONS", "ACK", "BYE", "CANCEL",
    "INFO", "UPDATE", "PRACK", "NOTIFY", "MESSAGE", "PUBLISH", "REFER",
)  # fmt: skip
NUMBERS = ("0", "-1", "1", "65535", "65536", "2147483647", "4294967295", "4294967296", "9" * 40, "0x10", "1e9", "")
NASTY = (
    b"\x00",
    b"\xff\xfe",
    b"\xc3(",
    b"\xf0\x9f\x98\x80",
    b"%n%s%x",
    b"%00",
    b'"',
    b"<",
    b">",
    b"\\",
    b"\r",
    b"\n ",
    b";",
    b",",
    b"@",
    b"::",
)
NAMES = (
    b"Via",
    b"From",
    b"To",
    b"Contact",
    b"Route",
    b"Record-Route",
    b"Supported",
    b"Require",
    b"X",
    b"Authorization",
    b"Session-Expires",
)


def valid(peer: Peer, box: str, chance: Random) -> str:
    """A well-formed message of one kind or another; some seem to belong to a call."""
    call_id = f"fuzz-{chance.getrandbits(40):x}"
    if chance.random() < 0.15:
        code = chance.choice((100, 180, 183, 200, 202, 302, 401, 407, 422, 487, 500, 699))
        text = peer.write(
            "INVITE", "sip:x", To=f"<sip:101@{DOMAIN}>;tag={call_id}", body=sdp(peer.address, 41000), **{"Call-ID": call_id}
        )
        return text.replace("INVITE sip:x SIP/2.0", f"SIP/2.0 {code} Whatever", 1)
    method = chance.choice(REQUESTS)
    uri = chance.choice((f"sip:101@{DOMAIN}", f"sip:+12175550100@{box}", f"sip:{DOMAIN}", f"sips:101@{box}:5061;transport=tls"))
    fields = {
        "Call-ID": call_id,
        "Event": "dialog",
        "Expires": "300",
        "Refer-To": f"<sip:102@{DOMAIN}?Replaces={call_id}%3Bto-tag%3D1%3Bfrom-tag%3D2>",
        "RAck": "1 1 INVITE",
        "Supported": "timer, 100rel, replaces, path",
        "Session-Expires": "90;refresher=uac",
        "Authorization": f'Digest username="101", realm="{DOMAIN}", nonce="1.2.3", uri="{uri}", response="0", qop=auth, nc=1',
        "To": f"<{uri}>" + (f";tag={call_id}" if chance.random() < 0.3 else ""),
    }
    keep = {name: value for name, value in fields.items() if name in {"Call-ID", "To"} or chance.random() < 0.4}
    body = sdp(peer.address, 41000) if method in {"INVITE", "UPDATE", "ACK"} and chance.random() < 0.9 else ""
    return peer.write(method, uri, user=chance.choice(("101", "+12175559001", "+12175559002")), body=body, **keep)


def _lines(data: bytes) -> list[bytes]:
    return data.split(b"\r\n")


def _at(data: bytes, chance: Random) -> int:
    return chance.randrange(len(data) + 1)


def flip(data: bytes, chance: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(data: bytes, chance: Random) -> bytes:
    return data[: _at(data, chance)]


def splice(data: bytes, chance: Random) -> bytes:
    return data[: _at(data, chance)] + data[_at(data, chance) :]


def drop_line(data: bytes, chance: Random) -> bytes:
    lines = _lines(data)
    del lines[chance.randrange(len(lines))]
    return b"\r\n".join(lines)


def repeat_line(data: bytes, chance: Random) -> bytes:
    lines = _lines(data)
    line = lines[chance.randrange(len(lines))]
    where = chance.randrange(len(lines))
    return b"\r\n".join(lines[:where] + [line] * chance.choice((1, 2, 60)) + lines[where:])


def swap_lines(data: bytes, chance: Random) -> bytes:
    lines = _lines(data)
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def giant(data: bytes, chance: Random) -> bytes:
    filler = chance.choice((b"a", b";a=b", b",<sip:a>", b" ", b"\r\n ", b"%41", b'"')) * chance.choice((300, 900, 1800))
    line = chance.choice(NAMES) + b": " + chance.choice((b"", b"<sip:a@b>;x=", b'"', b"Digest a=", b"SIP/2.0/UDP ")) + filler
    head, _, rest = data.partition(b"\r\n")
    return head + b"\r\n" + line[:12_000] + b"\r\n" + rest


def nest(data: bytes, chance: Random) -> bytes:
    opened = chance.choice((b"<", b"(", b'"', b"\\", b"[", b"sip:<", b"<?xml><a>")) * chance.choice((50, 500))
    where = _at(data, chance)
    return data[:where] + opened + data[where:]


def length(data: bytes, chance: Random) -> bytes:
    return re.sub(rb"Content-Length: \d+", b"Content-Length: " + chance.choice(NUMBERS).encode(), data)


def number(data: bytes, chance: Random) -> bytes:
    found = list(re.finditer(rb"\d+", data))
    if not found:
        return data
    one = chance.choice(found)
    return data[: one.start()] + chance.choice(NUMBERS).encode() + data[one.end() :]


def insert(data: bytes, chance: Random) -> bytes:
    where = _at(data, chance)
    return data[:where] + chance.choice(NASTY) * chance.choice((1, 1, 3, 40)) + data[where:]


def line_ends(data: bytes, chance: Random) -> bytes:
    return data.replace(b"\r\n", chance.choice((b"\n", b"\r", b"\n\r", b"\r\n\r\n", b"\r\n\t")))


def no_value(data: bytes, chance: Random) -> bytes:
    lines = _lines(data)
    where = chance.randrange(len(lines))
    name, _, _ = lines[where].partition(b":")
    lines[where] = name + b":"
    return b"\r\n".join(lines)


MUTATIONS: tuple[Mutation, ...] = (
    flip, cut, splice, drop_line, repeat_line, swap_lines, giant, nest, length, number, insert, line_ends, no_value,
)  # fmt: skip


def mutant(peer: Peer, box: str, chance: Random) -> bytes:
    """A message with up to two things wrong, of a size that UDP carries."""
    data = valid(peer, box, chance).encode()
    for _ in range(chance.choice((0, 1, 1, 1, 2))):
        data = chance.choice(MUTATIONS)(data, chance) or b"\r\n"
    return data[:60_000]

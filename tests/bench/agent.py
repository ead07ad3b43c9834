"""A small, fast SIP user agent on one UDP socket: just enough to be a provider's gateway or a wall of telephones.

It is a measuring tool: it notes when each request left and when each INVITE arrived in the kernel, repeats requests as
RFC 3261 section 17 wants, and counts every repetition (on loopback there should be none). Everything it waits for is bounded.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import re
import secrets
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

SO_TIMESTAMPNS = 35
SO_RXQ_OVFL = 40
T1 = 0.5
REPEATS = 4
CONTROL_BYTES = socket.CMSG_SPACE(16) + socket.CMSG_SPACE(4)

Address = tuple[str, int]


Control = list[tuple[int, int, bytes]]


def stamped(sock: socket.socket) -> None:
    """Let the kernel tell when each packet arrived, and how many it had to drop."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)


def arrival(control: Control) -> int:
    """When the kernel took the packet in: epoch nanoseconds."""
    seconds, nanoseconds = next(struct.unpack("qq", value[:16]) for _, kind, value in control if kind == SO_TIMESTAMPNS)
    return int(seconds * 1_000_000_000 + nanoseconds)


def lost(control: Control) -> int:
    """Packets dropped at this socket so far."""
    return next((int.from_bytes(value[:4], sys.byteorder) for _, kind, value in control if kind == SO_RXQ_OVFL), 0)


class CallFailed(Exception):
    """A call that was not set up, or a request without a good answer; the text says why."""


@dataclass(slots=True)
class Message:
    """A parsed SIP message; ``at`` is its arrival in the kernel (epoch nanoseconds)."""

    start: str
    headers: dict[str, list[str]]
    body: str
    source: Address
    at: int

    @classmethod
    def parse(cls, data: bytes, source: Address, at: int) -> Message:
        head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers.setdefault(name.lower(), []).append(value.strip())
        return cls(start, headers, body, source, at)

    def __getitem__(self, name: str) -> str:
        return self.headers.get(name, [""])[0]

    @property
    def status(self) -> int:
        """0 for a request."""
        return int(self.start[8:11]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        return self["cseq"].partition(" ")[2] if self.status else self.start.partition(" ")[0]

    @property
    def media_port(self) -> int:
        found = re.search(r"^m=audio (\d+)", self.body, re.MULTILINE)
        return int(found[1]) if found else 0


@dataclass(slots=True)
class Dialog:
    """One call at this agent. ``media`` is our RTP port, ``far_media`` the box's."""

    call_id: str
    local: str
    remote: str
    target: str
    media: int
    far_media: int = 0
    cseq: int = 1
    sent_at: int = 0
    arrived_at: int = 0
    answered_at: int = 0
    caller: str = ""
    confirmed: bool = False
    last_answer: bytes = b""
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Asked:
    """A request that waits for its final answer."""

    final: asyncio.Future[Message]
    heard: bool = False


class Agent:
    """One socket. ``media()`` gives the RTP port of each new call; ``on_call`` is told of each call that arrives here."""

    def __init__(self, address: str, port: int, box: Address, media: Callable[[], int]) -> None:
        self.address, self.port, self.box = address, port, box
        self.dialogs: dict[str, Dialog] = {}
        self.repeats = 0
        self.overruns = 0
        self.on_call: Callable[[Dialog], None] = lambda dialog: None
        self._media = media
        self._asked: dict[str, _Asked] = {}
        self._numbers = itertools.count(1)
        self._branch = f"z9hG4bK{secrets.token_hex(4)}"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        stamped(self._socket)
        self._socket.setblocking(False)
        self._socket.bind((address, port))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    # --- what it does ---

    async def register(self, user: str, password: str, domain: str) -> None:
        """Be the phone of an extension. Raises :class:`CallFailed`."""
        aor, call_id = f"sip:{user}@{domain}", secrets.token_hex(8)
        extra = f"Contact: <sip:{user}@{self.address}:{self.port}>\r\nExpires: 600\r\n"
        sender = f"<{aor}>;tag={secrets.token_hex(4)}"
        answer = await self._request("REGISTER", f"sip:{domain}", sender, f"<{aor}>", call_id, 1, extra)
        challenge = next((c for c in answer.headers.get("www-authenticate", []) if "algorithm=MD5" in c), "")
        if answer.status != 401 or not challenge:
            raise CallFailed(f"REGISTER {user}: {answer.start}")
        nonce, realm = (re.search(rf'{name}="([^"]*)"', challenge)[1] for name in ("nonce", "realm"))  # type: ignore[index]
        cnonce = secrets.token_hex(4)
        first = _md5(f"{user}:{realm}:{password}")
        response = _md5(f"{first}:{nonce}:00000001:{cnonce}:auth:{_md5(f'REGISTER:sip:{domain}')}")
        extra += (
            f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="sip:{domain}", algorithm=MD5, '
            f'qop=auth, nc=00000001, cnonce="{cnonce}", response="{response}"\r\n'
        )
        answer = await self._request("REGISTER", f"sip:{domain}", sender, f"<{aor}>", call_id, 2, extra)
        if answer.status != 200:
            raise CallFailed(f"REGISTER {user}: {answer.start}")

    async def call(self, number: str, caller: str) -> Dialog:
        """Call a number of the box; returns when it is answered and acknowledged. Raises :class:`CallFailed`."""
        uri = f"sip:{number}@{self.box[0]}:{self.box[1]}"
        local = f"<sip:{caller}@{self.address}:{self.port}>;tag={secrets.token_hex(4)}"
        dialog = Dialog(f"{secrets.token_hex(8)}@bench", local, f"<{uri}>", uri, self._media(), caller=caller)
        self.dialogs[dialog.call_id] = dialog
        extra = f"Contact: <sip:{caller}@{self.address}:{self.port}>\r\nContent-Type: application/sdp\r\n"
        dialog.sent_at = time.time_ns()
        answer = await self._request("INVITE", uri, local, dialog.remote, dialog.call_id, 1, extra, self._sdp(dialog.media))
        dialog.answered_at = answer.at
        dialog.remote, dialog.far_media = answer["to"], answer.media_port
        contact = re.search(r"<([^>]+)>", answer["contact"])
        dialog.target = contact[1] if contact else uri
        self._send("ACK", dialog.target, local, dialog.remote, dialog.call_id, 1)
        if answer.status != 200 or not dialog.far_media:
            del self.dialogs[dialog.call_id]
            raise CallFailed(f"INVITE {number}: {answer.start}")
        return dialog

    async def hang_up(self, dialog: Dialog) -> None:
        """Raises :class:`CallFailed` when the BYE is not answered with 200."""
        dialog.cseq += 1
        try:
            answer = await self._request("BYE", dialog.target, dialog.local, dialog.remote, dialog.call_id, dialog.cseq)
            if answer.status != 200:
                raise CallFailed(f"BYE: {answer.start}")
        finally:
            dialog.ended.set()
            self.dialogs.pop(dialog.call_id, None)

    # --- sending ---

    async def _request(
        self, method: str, uri: str, sender: str, to: str, call_id: str, cseq: int, extra: str = "", body: str = ""
    ) -> Message:
        """The final answer. A request is repeated until anything is heard of it."""
        asked = _Asked(self._loop.create_future())
        key = f"{call_id} {cseq} {method}"
        self._asked[key] = asked
        try:
            data = self._send(method, uri, sender, to, call_id, cseq, extra, body)
            for repeat in range(REPEATS):
                done, _ = await asyncio.wait([asked.final], timeout=T1 * 2**repeat)
                if done:
                    return asked.final.result()
                if not asked.heard:
                    self.repeats += 1
                    self._socket.sendto(data, self.box)
            if method == "INVITE":
                self._socket.sendto(_cancel(data), self.box)
            raise CallFailed(f"{method} {uri}: no final answer")
        finally:
            del self._asked[key]

    def _send(
        self, method: str, uri: str, sender: str, to: str, call_id: str, cseq: int, extra: str = "", body: str = ""
    ) -> bytes:
        data = (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {self.address}:{self.port};branch={self._branch}{next(self._numbers)}"
            f"\r\nMax-Forwards: 70\r\nFrom: {sender}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n"
            f"{extra}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        self._socket.sendto(data, self.box)
        return data

    def _answer(self, request: Message, status: str, tag: str = "", extra: str = "", body: str = "") -> bytes:
        vias = "".join(f"Via: {via}\r\n" for via in request.headers["via"])
        to = request["to"] + (f";tag={tag}" if tag and "tag=" not in request["to"] else "")
        data = (
            f"SIP/2.0 {status}\r\n{vias}From: {request['from']}\r\nTo: {to}\r\nCall-ID: {request['call-id']}\r\n"
            f"CSeq: {request['cseq']}\r\n{extra}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        self._socket.sendto(data, request.source)
        return data

    def _sdp(self, port: int) -> str:
        return (
            f"v=0\r\no=- 1 1 IN IP4 {self.address}\r\ns=-\r\nc=IN IP4 {self.address}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
            "a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
        )

    # --- hearing ---

    def _readable(self) -> None:
        for _ in range(64):
            try:
                data, control, _flags, source = self._socket.recvmsg(65535, CONTROL_BYTES)
            except BlockingIOError:
                return
            self.overruns = max(self.overruns, lost(control))
            if data.strip():
                message = Message.parse(data, source, arrival(control))
                if message.status:
                    self._answered(message)
                else:
                    self._asked_of_us(message)

    def _answered(self, message: Message) -> None:
        number, method = message["cseq"].split(" ", 1)
        asked = self._asked.get(f"{message['call-id']} {number} {method}")
        if asked is not None:
            asked.heard = True
            if message.status >= 200 and not asked.final.done():
                asked.final.set_result(message)

    def _asked_of_us(self, request: Message) -> None:
        dialog = self.dialogs.get(request["call-id"])
        match request.method:
            case "INVITE" if dialog is not None:
                self.repeats += 1
                self._socket.sendto(dialog.last_answer, request.source)
            case "INVITE":
                self._take(request)
            case "ACK":
                if dialog is not None:
                    dialog.confirmed = True
            case "BYE":
                self._answer(request, "200 OK" if dialog is not None else "481 Gone")
                if dialog is not None:
                    dialog.ended.set()
                    del self.dialogs[dialog.call_id]
            case _:
                self._answer(request, "200 OK", secrets.token_hex(4))

    def _take(self, request: Message) -> None:
        """Answer a call at once."""
        tag = secrets.token_hex(4)
        contact = re.search(r"<([^>]+)>", request["contact"])
        user = re.search(r"sip:([^@;>]+)", request["from"])
        dialog = Dialog(
            request["call-id"],
            f"{request['to']};tag={tag}",
            request["from"],
            contact[1] if contact else "",
            self._media(),
            far_media=request.media_port,
            arrived_at=request.at,
            caller=user[1] if user else "",
        )
        self.dialogs[dialog.call_id] = dialog
        extra = f"Contact: <sip:phone@{self.address}:{self.port}>\r\nContent-Type: application/sdp\r\n"
        dialog.last_answer = self._answer(request, "200 OK", tag, extra, self._sdp(dialog.media))
        self.on_call(dialog)


def _cancel(invite: bytes) -> bytes:
    """RFC 3261 section 9.1: the INVITE's own branch and number."""
    head = invite.partition(b"\r\n\r\n")[0].split(b"\r\n")
    kept = [line for line in head[1:] if line.split(b":")[0] in {b"Via", b"Max-Forwards", b"From", b"To", b"Call-ID"}]
    number = next(line for line in head if line.startswith(b"CSeq: ")).split()[1]
    start = head[0].replace(b"INVITE", b"CANCEL", 1)
    return b"\r\n".join([start, *kept, b"CSeq: " + number + b" CANCEL", b"Content-Length: 0", b"", b""])


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

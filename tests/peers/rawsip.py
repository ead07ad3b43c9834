"""A SIP peer of nothing but sockets, over UDP, TCP or TLS: it sends whatever a test wants sent, sense or nonsense."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sip.parts import credentials

from appliance.sip.message import auth_params

DOMAIN = "clinic.local"
Fields = str | list[str]


def elsewhere(address: str, number: int = 0) -> str:
    """Another loopback address beside a box's: what comes from there comes from a stranger."""
    return f"{address.rpartition('.')[0]}.{150 + number}"


@dataclass(frozen=True)
class Message:
    """One message as it came in."""

    start: str
    fields: list[tuple[str, str]]
    body: str

    @classmethod
    def read(cls, text: str) -> Message:
        head, _, body = text.partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        fields = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        return cls(start, fields, body)

    @property
    def code(self) -> int:
        """The status of a response, 0 for a request."""
        return int(self.start.split(" ")[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        return self.header("cseq").split(" ")[-1]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name.lower()]

    def header(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    def tag(self, name: str) -> str:
        return self.header(name).partition(";tag=")[2].partition(";")[0]

    def answers(self, request: Message) -> bool:
        return all(self.header(name) == request.header(name) for name in ("call-id", "cseq"))

    @property
    def target(self) -> str:
        """The URI in Contact."""
        return self.header("contact").partition("<")[2].partition(">")[0]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._take(data)

    def error_received(self, exc: Exception) -> None:
        """A closed port is silence to us."""


@dataclass
class Peer:
    """Opened with :meth:`open`; ``address`` and ``port`` are its own."""

    transport: str
    address: str
    port: int = 0
    came: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _udp: asyncio.DatagramTransport | None = None
    _writer: asyncio.StreamWriter | None = None
    _reading: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, box: str, own: str, transport: str = "UDP", *, port: int = 0, to: int = 5060, trust: Path | None = None
    ) -> Peer:
        peer = cls(transport, own)
        if transport == "UDP":
            loop = asyncio.get_running_loop()
            made, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(peer._took), local_addr=(own, port), remote_addr=(box, to)
            )
            peer._udp = made
            peer.port = made.get_extra_info("sockname")[1]
        else:
            context = ssl.create_default_context(cafile=str(trust)) if transport == "TLS" else None
            reader, writer = await asyncio.open_connection(box, to, local_addr=(own, port), ssl=context)
            peer._writer = writer
            peer.port = writer.get_extra_info("sockname")[1]
            peer._reading = asyncio.create_task(peer._read(reader))
        return peer

    def close(self) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()

    # --- out ---

    def send(self, data: str | bytes) -> None:
        data = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        if self._udp is not None:
            self._udp.sendto(data)
        elif self._writer is not None:
            self._writer.write(data)

    @property
    def at(self) -> str:
        return f"{self.address}:{self.port}"

    def via(self) -> str:
        return f"SIP/2.0/{self.transport} {self.at};branch=z9hG4bK{secrets.token_hex(6)};rport"

    def write(self, method: str, uri: str, *, user: str = "101", body: str = "", **fields: Fields) -> str:
        """A request's text. Field names with underscores; a list makes several lines, ``""`` leaves a field out."""
        suffix = "" if self.transport == "UDP" else f";transport={self.transport.lower()}"
        known: dict[str, Fields] = {
            "Via": self.via(),
            "From": f"<sip:{user}@{DOMAIN}>;tag={secrets.token_hex(4)}",
            "To": f"<sip:{user}@{DOMAIN}>" if method == "REGISTER" else f"<{uri}>",
            "Call-ID": secrets.token_hex(8),
            "CSeq": f"{next(self._numbers)} {method}",
            "Max-Forwards": "70",
            "Contact": f"<sip:{user}@{self.at}{suffix}>",
            "Content-Type": "application/sdp" if body.startswith("v=0") else "",
        }
        known |= {name.replace("_", "-"): value for name, value in fields.items()}
        lines = []
        for name, value in known.items():
            lines += [f"{name}: {one}" for one in ([value] if isinstance(value, str) else value) if one]
        lines.append(f"Content-Length: {len(body.encode())}")
        return "\r\n".join([f"{method} {uri} SIP/2.0", *lines, "", body])

    def reply(self, request: Message, code: int, *, tag: str = "", body: str = "", **fields: str) -> None:
        """Answer a request that came in."""
        to = request.header("to")
        lines = [f"Via: {via}" for via in request.all("via")]
        lines += [f"Record-Route: {route}" for route in request.all("record-route")]
        lines += [f"From: {request.header('from')}", f"To: {to};tag={tag}" if tag and ";tag=" not in to else f"To: {to}"]
        lines += [f"Call-ID: {request.header('call-id')}", f"CSeq: {request.header('cseq')}", f"Contact: <sip:peer@{self.at}>"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        lines += ["Content-Type: application/sdp"] if body else []
        self.send("\r\n".join([f"SIP/2.0 {code} Said", *lines, f"Content-Length: {len(body)}", "", body]))

    # --- in ---

    def _took(self, data: bytes) -> None:
        self.came.put_nowait(Message.read(data.decode("utf-8", "replace")))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(Message.read(head.decode()).header("content-length") or 0)
            self._took(head + await reader.readexactly(length))

    async def next(self, true: Callable[[Message], bool] = lambda message: True, seconds: float = 8) -> Message:
        """The next message of this kind; others are dropped."""
        async with asyncio.timeout(seconds):
            while True:
                message = await self.came.get()
                if true(message):
                    return message

    async def request(self, method: str, seconds: float = 8) -> Message:
        return await self.next(lambda message: message.code == 0 and message.method == method, seconds)

    async def ask(self, text: str, seconds: float = 8) -> Message:
        """Send a request and wait for its final answer."""
        sent = Message.read(text)
        self.send(text)
        return await self.next(lambda message: message.code >= 200 and message.answers(sent), seconds)

    async def sign(self, method: str, uri: str, *, user: str, password: str, algorithm: str = "MD5", **fields: Fields) -> str:
        """A request with credentials for a fresh challenge, not sent yet."""
        first = await self.ask(self.write(method, uri, user=user, **fields))
        assert first.code == 401, first
        value = credentials(challenge(first, algorithm), method, uri, user, password)
        return self.write(method, uri, user=user, **{**fields, "Authorization": value})  # type: ignore[arg-type]

    async def signed(self, method: str, uri: str, *, user: str = "101", password: str, **more: Fields) -> Message:
        """The final answer to a request with credentials."""
        return await self.ask(await self.sign(method, uri, user=user, password=password, **more))  # type: ignore[arg-type]

    async def register(self, password: str, *, user: str = "101", **fields: Fields) -> Message:
        return await self.signed("REGISTER", f"sip:{DOMAIN}", user=user, password=password, **fields)


def challenge(response: Message, algorithm: str = "MD5") -> Mapping[str, str]:
    """One of a 401's challenges."""
    found = [auth_params(value) for value in response.all("www-authenticate")]
    return next(params for params in found if params["algorithm"] == algorithm)


def sdp(address: str, port: int, *, more: str = "", direction: str = "sendrecv", version: int = 1) -> str:
    """An offer of PCMU and telephone-events; ``more`` holds further m= sections, each line with its CRLF."""
    lines = ["v=0", f"o=- 1 {version} IN IP4 {address}", "s=-", f"c=IN IP4 {address}", "t=0 0"]
    lines += [f"m=audio {port} RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000", f"a={direction}"]
    return "\r\n".join(lines) + "\r\n" + more


class Dialog:
    """A call from this peer: its dialog, and requests within it."""

    def __init__(self, peer: Peer, uri: str, *, number: str = "+12175559001", branch: str = "") -> None:
        self.peer = peer
        self.uri = uri
        self.call_id = secrets.token_hex(8)
        self.local = f'"Pat Doe" <sip:{number}@{peer.at}>;tag={secrets.token_hex(4)}'
        self.remote = f"<{uri}>"
        self.target = uri
        self.cseq = 0
        self.via = ""

    def write(self, method: str, *, body: str = "", cseq: int | None = None, via: str = "", **fields: Fields) -> str:
        """The next request of the dialog."""
        if cseq is None:
            self.cseq += 1
        self.via = via or self.peer.via()
        known: dict[str, Fields] = {
            "Via": self.via,
            "From": self.local,
            "To": self.remote,
            "Call-ID": self.call_id,
            "CSeq": f"{cseq or self.cseq} {method}",
        }
        return self.peer.write(method, self.target, body=body, **{**known, **fields})

    async def invite(self, body: str, *, ack: bool = True, **fields: Fields) -> Message:
        """The final answer to an INVITE, acknowledged."""
        text = self.write("INVITE", body=body, **fields)
        via = self.via
        answer = await self.peer.ask(text)
        self.learn(answer)
        if ack:
            self.ack(answer, via=via)
        return answer

    def learn(self, answer: Message) -> None:
        if 200 <= answer.code < 300:
            self.remote, self.target = answer.header("to"), answer.target or self.target

    def ack(self, answer: Message, *, via: str = "", body: str = "") -> None:
        """Of a 2xx in a transaction of its own, of another answer in the INVITE's."""
        number = int(answer.header("cseq").split(" ")[0])
        own = "" if answer.code < 300 else via
        self.peer.send(self.write("ACK", body=body, cseq=number, via=own, To=answer.header("to")))

    async def ask(self, method: str, *, body: str = "", **fields: Fields) -> Message:
        return await self.peer.ask(self.write(method, body=body, **fields))

    async def bye(self) -> Message:
        return await self.ask("BYE")


async def certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """A certificate for an address, signed by itself, and its key."""
    made, key = folder / "sip.crt", folder / "sip.key"
    process = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
        "-subj", f"/CN={address}", "-addext", f"subjectAltName=IP:{address}", "-keyout", str(key), "-out", str(made),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0
    return made, key

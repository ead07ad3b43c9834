"""Where the phones are: RFC 3261 section 10, Path (RFC 3327), several devices an extension, NAT, surviving a restart.

Calls go nowhere but where the phone's own request came from: to its source address, or with a Path to the proxy that sent
it. A stolen password does not turn the box against other machines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from email.utils import formatdate

from appliance.flows.ports import Memory
from appliance.sip.message import Address, BadMessage, Request, Uri
from appliance.sip.party import clean

SHORTEST, USUAL, LONGEST = 60, 300, 3600
#: PJSIP closes a phone's connection after 600 quiet seconds, and we cannot call it back: it is to register before
LONGEST_CONNECTED = 540
#: proxies between a phone and the box, and the length of one's address
MOST_PROXIES, LONGEST_PROXY = 4, 200
#: PJSIP takes addresses of 1024 characters, with the route written into them
LONGEST_CONTACT = 400


@dataclass(frozen=True, slots=True)
class Binding:
    """One device of an extension.

    ``contact`` is what the phone said; ``uri`` reaches it from here (its source address, RFC 3581; with a Path its contact);
    ``route`` is the Path it came by, ``""`` when direct; ``expires`` epoch seconds.
    """

    extension: str
    contact: str
    uri: str
    route: str
    source: str
    transport: str
    expires: float
    call_id: str
    cseq: int
    agent: str
    #: what tells this device from the extension's others: its instance (RFC 5626) or its contact
    key: str


class Refused(Exception):
    """A REGISTER that cannot be granted, with the answer's status and headers."""

    def __init__(self, code: int, reason: str = "", headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(reason)
        self.code, self.reason, self.headers = code, reason, headers


class Registrar:
    """Bindings by extension. ``devices`` tells how many an extension may have; ``on_change(extension)`` is told."""

    def __init__(
        self, devices: Mapping[str, int], memory: Memory, now: Callable[[], float], on_change: Callable[[str], None]
    ) -> None:
        self.devices = devices
        self._memory = memory
        self._now = now
        self._on_change = on_change
        self._bindings: dict[str, dict[str, Binding]] = {}
        self._sources: frozenset[str] = frozenset()
        self._homes: frozenset[str] = frozenset()
        for key, value in memory.items("binding/").items():
            self._restore(key.removeprefix("binding/"), value)
        self._find_homes()

    def bindings(self, extension: str) -> list[Binding]:
        """Living bindings of an extension, the newest first."""
        found = self._bindings.get(extension)
        if not found:
            return []
        now = self._now()
        return sorted((b for b in found.values() if b.expires > now), key=lambda b: -b.expires)

    def all(self) -> list[Binding]:
        return [binding for extension in sorted(self._bindings) for binding in self.bindings(extension)]

    def is_device(self, source: str) -> bool:
        """Whether a registered device speaks from this ``address:port``."""
        return source in self._sources

    def is_home(self, address: str) -> bool:
        """Whether a registered device lives at this address."""
        return address in self._homes

    def keep_only(self, devices: Mapping[str, int]) -> None:
        """The configuration changed: phones that are gone lose their bindings."""
        self.devices = devices
        for extension in [e for e in self._bindings if e not in devices]:
            del self._bindings[extension]
            self._save(extension)

    def sweep(self) -> None:
        """Forget what has expired; call it every few seconds."""
        now = self._now()
        for extension, bindings in list(self._bindings.items()):
            dead = [key for key, binding in bindings.items() if binding.expires <= now]
            for key in dead:
                del bindings[key]
            if dead:
                self._save(extension)

    def register(self, extension: str, request: Request) -> tuple[tuple[str, str], ...]:
        """Grant an authenticated REGISTER; the 200's headers. Raises :class:`Refused` or :class:`BadMessage`."""
        contacts = request.values("Contact")
        # All of it or none (RFC 3261 section 10.3): the old bindings stay until the last contact is read.
        mine = dict(self._bindings.get(extension, {}))
        path = self._path(request)
        call_id, cseq, now = request.header("Call-ID"), request.cseq(), self._now()
        if contacts == ["*"]:
            if request.number("Expires") != 0:
                raise BadMessage("Contact: * needs Expires: 0")
            if any(binding.call_id == call_id and cseq <= binding.cseq for binding in mine.values()):
                raise Refused(500, "an older REGISTER came later")
            mine.clear()
        elif contacts:
            for text in contacts:
                self._bind(extension, mine, text, request, path, call_id, cseq, now)
        if contacts:
            self._limit(extension, mine)
            self._bindings[extension] = mine
            self._save(extension)
        return (*self._answer(extension, now), *((("Path", path),) if path else ()))

    @staticmethod
    def _path(request: Request) -> str:
        """The Path as a route set, ``""`` for none. Its first stop must be the proxy that sent this request."""
        proxies = [Uri.parse(Address.parse(text).uri) for text in request.values("Path")]
        if not proxies:
            return ""
        if proxies[0].host != request.address:
            raise Refused(403, "The Path does not lead back to where the request came from")
        stops = [f"<{proxy.scheme}:{proxy.user}{'@' if proxy.user else ''}{proxy.at}{proxy.params}>" for proxy in proxies]
        if len(stops) > MOST_PROXIES or max(map(len, stops)) > LONGEST_PROXY:
            raise BadMessage("the Path is too long")
        if not all(proxy.has("lr") for proxy in proxies):
            raise BadMessage("the Path names a proxy without lr")
        return ", ".join(stops)

    def _bind(
        self,
        extension: str,
        mine: dict[str, Binding],
        text: str,
        request: Request,
        path: str,
        call_id: str,
        cseq: int,
        now: float,
    ) -> None:
        address = Address.parse(text)
        uri = Uri.parse(address.uri)
        asked = address.params.get("expires", "")
        # What is no number counts as not said (RFC 3261 section 10.2.1.1).
        told = re.fullmatch("[0-9]{1,10}", asked) is not None
        seconds = int(asked) if told else (request.number("Expires", USUAL) or 0)
        key = address.params.get("+sip.instance") or address.uri
        old = mine.get(key)
        if old is not None and old.call_id == call_id and cseq <= old.cseq:
            raise Refused(500, "an older REGISTER came later")
        if seconds == 0:
            mine.pop(key, None)
            return
        if seconds < SHORTEST:
            raise Refused(423, headers=(("Min-Expires", str(SHORTEST)),))
        transport = request.transport.lower()
        suffix = "" if transport == "udp" else f";transport={transport}"
        # The phone is reached where it came from: right behind NAT, and the same connection with TCP and TLS.
        reach = f"sip:{uri.user or extension}@{request.source}{suffix}"
        if path:
            # Its proxy knows it by its contact.
            reach = f"{uri.scheme}:{uri.user or extension}@{uri.at}{uri.params}"
        if max(len(reach), len(address.uri), len(key)) > LONGEST_CONTACT:
            raise BadMessage("the Contact is too long")
        mine.pop(key, None)  # the newest stands last
        mine[key] = Binding(
            extension=extension,
            contact=address.uri,
            uri=reach,
            route=path,
            source=request.source,
            transport=transport,
            expires=now + min(seconds, LONGEST if transport == "udp" else LONGEST_CONNECTED),
            call_id=call_id,
            cseq=cseq,
            agent=clean(request.header("User-Agent")),
            key=key,
        )

    def _limit(self, extension: str, mine: dict[str, Binding]) -> None:
        """The newest devices stay: a phone that lost its address must be able to come back at once."""
        allowed = self.devices.get(extension, 1)
        for key in list(mine)[: max(0, len(mine) - allowed)]:
            del mine[key]

    def _answer(self, extension: str, now: float) -> tuple[tuple[str, str], ...]:
        headers = [
            ("Contact", f"<{binding.contact}>;expires={max(1, round(binding.expires - now))}")
            for binding in self.bindings(extension)
        ]
        return (*headers, ("Date", formatdate(now, usegmt=True)))

    def _find_homes(self) -> None:
        # asked about each call of a line, changed by a registration only
        self._sources = frozenset(b.source for bindings in self._bindings.values() for b in bindings.values())
        self._homes = frozenset(source.rpartition(":")[0] for source in self._sources)

    def _save(self, extension: str) -> None:
        self._find_homes()
        self._memory.put(f"binding/{extension}", [asdict(b) for b in self._bindings.get(extension, {}).values()])
        self._on_change(extension)

    def _restore(self, extension: str, value: object) -> None:
        if not isinstance(value, list) or extension not in self.devices:
            return
        now = self._now()
        for item in value:
            try:
                binding = Binding(**item)
            except TypeError:
                continue
            # A clock that jumped must not make a binding immortal.
            if now < binding.expires <= now + LONGEST:
                self._bindings.setdefault(extension, {})[binding.key] = binding

"""Outside SIP lines: where they are, whether they work, and the account that carries their calls.

A trunk's server is looked up off the loop's thread and dialled by address: PJSIP never meets its name. The last good
addresses are remembered, so that calls go on while DNS is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import pjsua2 as pj
import structlog

from appliance.flows.ports import Memory
from appliance.sip.accounts import PjAccount, account_config
from appliance.sip.engine import Engine

log = structlog.get_logger("sip.trunks")

#: a healthy trunk is asked (OPTIONS) this often; a doubtful one every DOUBT_SECONDS until MISSES answers are missing
PROBE_SECONDS = 20.0
DOUBT_SECONDS = 1.0
MISSES = 3
ANSWER_SECONDS = 3.0
BACK_OFF_SECONDS = (5.0, 10.0, 20.0, 40.0, 60.0)
LOOKUP_SECONDS = 5.0
LOOKUP_AGAIN_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class TrunkSettings:
    """A SIP line as the engine needs it. ``server`` is ``host`` or ``host:port``; no sign-in, no password."""

    name: str
    server: str
    register: bool = False
    username: str = ""
    password: str = ""
    capacity: int = 4
    srtp: str = "off"
    transport: Literal["udp", "tcp", "tls"] = "udp"
    #: the provider wants the account in From and reads the caller from P-Asserted-Identity (RFC 3325)
    asserted: bool = False

    @property
    def host(self) -> str:
        return self.server.rsplit(":", 1)[0] if ":" in self.server else self.server

    @property
    def port(self) -> int:
        return int(self.server.rsplit(":", 1)[1]) if ":" in self.server else (5061 if self.transport == "tls" else 5060)


class Asker(Protocol):
    """Sends a request outside a dialog; the status of its answer, 0 when none came in time."""

    def __call__(self, method: str, target: str, from_: str, *, seconds: float) -> Awaitable[int]: ...


class Trunk:
    """One SIP line."""

    def __init__(self, settings: TrunkSettings, engine: Engine, memory: Memory) -> None:
        self.settings = settings
        self.addresses: tuple[str, ...] = ()
        self.account: PjAccount | None = None
        self.answers = True
        self.registered = not settings.register
        self.last_status = 0
        self._engine = engine
        self._memory = memory
        self._ask_now = asyncio.Event()

    def heard(self) -> None:
        """A call came from it: it lives. One thought dead is asked at once, not when its turn comes."""
        if not self.answers:
            self._ask_now.set()

    @property
    def up(self) -> bool:
        return bool(self.addresses) and self.answers and self.registered

    @property
    def state(self) -> dict[str, object]:
        """For ``status``."""
        return {
            "name": self.settings.name,
            "up": self.up,
            "addresses": list(self.addresses),
            "answers": self.answers,
            "registered": self.registered if self.settings.register else None,
            "last_status": self.last_status,
        }

    def target(self, number: str) -> str:
        """Request-URI of a number on this trunk: the name where the provider has one, for it is what it routes by."""
        suffix = "" if self.settings.transport == "udp" else f";transport={self.settings.transport}"
        return f"sip:{number}@{self.settings.server}{suffix}"

    @property
    def account_uri(self) -> str:
        """The account at the provider, as From and To of its REGISTER."""
        return f"sip:{self.settings.username or 'clinic'}@{self.settings.server}"

    @property
    def _literal(self) -> bool:
        try:
            ipaddress.ip_address(self.settings.host)
        except ValueError:
            return False
        return True

    async def look_up(self) -> bool:
        """Find the server's addresses; True when they changed. A failing lookup keeps the last good ones."""
        key = f"trunk/{self.settings.name}/addresses"
        if self._literal:
            found: tuple[str, ...] = (self.settings.host,)
        else:
            if not self.addresses:
                kept = self._memory.get(key)
                self.addresses = tuple(str(a) for a in kept) if isinstance(kept, list) else ()
            try:
                async with asyncio.timeout(LOOKUP_SECONDS):
                    infos = await asyncio.get_running_loop().getaddrinfo(
                        self.settings.host, None, family=socket.AF_INET, type=socket.SOCK_DGRAM
                    )
            except (OSError, TimeoutError) as error:
                log.warning("a trunk's server was not found", trunk=self.settings.name, error=str(error))
                return False
            found = tuple(sorted({str(info[4][0]) for info in infos}))
        if found == self.addresses:
            return False
        self.addresses = found
        self._memory.put(key, list(found))
        return True

    def open(self, on_call: Callable[[PjAccount, int], None]) -> None:
        """Create (or re-create, at another address) the account; registers when the trunk signs in."""
        settings = self.settings
        config = account_config(self._engine, self.account_uri, settings.srtp)
        transport = "" if settings.transport == "udp" else f";transport={settings.transport}"
        if self.addresses and not self._literal:
            config.sipConfig.proxies.append(f"<sip:{self.addresses[0]}:{settings.port};lr;hide{transport}>")
        if settings.transport == "udp" and "udp" in self._engine.transports:
            config.sipConfig.transportId = self._engine.transports["udp"]
        if settings.register:
            config.regConfig.registrarUri = f"sip:{settings.server}{transport}"
            config.regConfig.timeoutSec = 300
            config.regConfig.firstRetryIntervalSec = 5
            config.regConfig.retryIntervalSec = 30
            config.regConfig.randomRetryIntervalSec = 10
            config.regConfig.dropCallsOnFail = False
            config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", settings.username, 0, settings.password))
        if self.account is None:
            self.account = PjAccount(on_call, self._registration)
            self.account.create(config)
            self._engine.keep(self.account)
        else:
            self.account.modify(config)

    def close(self) -> None:
        if self.account is not None:
            self.account.shutdown()
            self._engine.release(self.account)
            self.account = None

    def _registration(self, active: bool, status: int) -> None:
        self.registered = active
        self.last_status = status
        if not active:
            log.warning("a trunk refused our sign-in", trunk=self.settings.name, status=status)

    async def watch(self, ask: Asker, changed: Callable[[], None], on_call: Callable[[PjAccount, int], None]) -> None:
        """Keep knowing whether the trunk answers; runs until cancelled."""
        loop = asyncio.get_running_loop()
        misses, looked_up = 0, loop.time()
        while True:
            if not self.addresses or loop.time() - looked_up > LOOKUP_AGAIN_SECONDS:
                looked_up = loop.time()
                if await self.look_up():
                    self.open(on_call)
                    changed()
            status = 0
            if self.addresses:
                address = f"sip:{self.addresses[0]}:{self.settings.port};transport={self.settings.transport}"
                status = await ask("OPTIONS", address, f"sip:clinic@{self.settings.host}", seconds=ANSWER_SECONDS)
            misses = 0 if status else misses + 1
            was = self.answers
            self.answers = misses < MISSES
            if was != self.answers:
                log.warning("a trunk changed state", trunk=self.settings.name, answers=self.answers)
                changed()
            self._ask_now.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_pause(misses)):
                    await self._ask_now.wait()


def _pause(misses: int) -> float:
    """Seconds to the next question after so many answers were missing."""
    if misses == 0:
        return PROBE_SECONDS
    if misses < MISSES:
        return DOUBT_SECONDS
    return BACK_OFF_SECONDS[min(misses - MISSES, len(BACK_OFF_SECONDS) - 1)]


def sources(trunks: Iterable[Trunk]) -> dict[str, frozenset[str]]:
    """Where each trunk's requests come from: its addresses; on loopback, where everybody lives, with the port."""

    def source(trunk: Trunk, address: str) -> str:
        return f"{address}:{trunk.settings.port}" if address.startswith("127.") else address

    return {trunk.settings.name: frozenset(source(trunk, a) for a in trunk.addresses) for trunk in trunks}

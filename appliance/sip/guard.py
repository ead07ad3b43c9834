"""Keeps scanners, password guessers and floods away from the rest: limits and bans by source address.

The table is bounded: an attack from a million addresses costs the oldest entries, not the memory. Addresses of trunks are
never banned: a spoofed packet must not silence the clinic's own lines.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

#: names that attack tools give themselves (User-Agent, From); lower case
SCANNERS = re.compile(
    r"friendly-scanner|sipvicious|sipcli|sip-scan|sundayddr|iwar|csipsimple-?scan|siparmyknife|vaxsipuseragent|pplsip"
    r"|smap|eyebeam-?brute|voipbuster-?scan|sipsak|warvox",
    re.IGNORECASE,
)
SOURCES = 20_000


@dataclass(frozen=True, slots=True)
class Limits:
    """``burst`` requests at once and ``rate`` a second from one unauthenticated source; ``failures`` wrong passwords within
    ``window`` seconds ban for ``ban_seconds``, doubled each time up to a day."""

    rate: float = 20.0
    burst: float = 60.0
    failures: int = 8
    window: float = 300.0
    ban_seconds: float = 600.0
    ban_longest: float = 86_400.0


@dataclass(slots=True)
class _Source:
    tokens: float
    at: float
    failures: list[float] = field(default_factory=list)
    bans: int = 0


@dataclass(frozen=True, slots=True)
class Ban:
    address: str
    why: str
    until: float


class Guard:
    """Decides by address. ``on_ban(address, True)`` is called when one is banned, ``False`` when pardoned."""

    def __init__(self, limits: Limits, now: Callable[[], float], on_ban: Callable[[str, bool], None]) -> None:
        self._limits = limits
        self._now = now
        self._on_ban = on_ban
        self._sources: OrderedDict[str, _Source] = OrderedDict()
        self._bans: dict[str, Ban] = {}
        self.trusted: frozenset[str] = frozenset()
        self.dropped = 0

    def banned(self, address: str) -> bool:
        ban = self._bans.get(address)
        if ban is None:
            return False
        if ban.until <= self._now():
            self.pardon(address)
            return False
        return True

    def admit(self, address: str) -> bool:
        """Whether one more request from this source may be looked at."""
        if address in self.trusted:
            return True
        source = self._source(address)
        now = self._now()
        source.tokens = min(self._limits.burst, source.tokens + max(0.0, now - source.at) * self._limits.rate)
        source.at = now
        if source.tokens < 1:
            self.dropped += 1
            return False
        source.tokens -= 1
        return True

    def failed(self, address: str) -> None:
        """A wrong password came from here."""
        if address in self.trusted:
            return
        source, now = self._source(address), self._now()
        source.failures = [t for t in source.failures if now - t < self._limits.window]
        source.failures.append(now)
        if len(source.failures) >= self._limits.failures:
            self.ban(address, f"{len(source.failures)} wrong passwords")

    def succeeded(self, address: str) -> None:
        if address in self._sources:
            self._sources[address].failures.clear()

    def ban(self, address: str, why: str) -> None:
        if address in self.trusted:
            return
        source = self._source(address)
        source.failures.clear()
        seconds = min(self._limits.ban_seconds * 2**source.bans, self._limits.ban_longest)
        source.bans += 1
        if len(self._bans) >= SOURCES:
            self.pardon(next(iter(self._bans)))
        self._bans[address] = Ban(address, why, self._now() + seconds)
        self._on_ban(address, True)

    def pardon(self, address: str) -> None:
        if self._bans.pop(address, None) is not None:
            self._on_ban(address, False)

    def sweep(self) -> None:
        """End the bans that are over; call it now and then."""
        now = self._now()
        for address in [ban.address for ban in self._bans.values() if ban.until <= now]:
            self.pardon(address)

    def state(self) -> list[dict[str, object]]:
        """For ``status``: who is banned, why, and for how many seconds still."""
        now = self._now()
        return [{"address": b.address, "why": b.why, "seconds": round(b.until - now)} for b in self._bans.values()]

    def _source(self, address: str) -> _Source:
        source = self._sources.get(address)
        if source is None:
            source = self._sources[address] = _Source(self._limits.burst, self._now())
            if len(self._sources) > SOURCES:
                self._sources.popitem(last=False)
        else:
            self._sources.move_to_end(address)
        return source

"""Keeps scanners, password guessers and floods away from the rest: limits and bans by source address.

The table is bounded: an attack from a million addresses costs the oldest entries, not the memory. Addresses of trunks are
never banned: a spoofed packet must not silence the clinic's own lines. Nor are addresses where a phone of the house is
registered: whoever forges one, or guesses from behind the same router, must not take 911 from a room. There the wrong user
name is shut out, not the address.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

#: names that attack tools give themselves in User-Agent or From. Whole words: people are called Tiwari and Osmap.
SCANNERS = re.compile(
    r"\b(?:friendly-scanner|sipvicious|sipcli|sip-scan|sundayddr|iwar|csipsimple-?scan|siparmyknife|vaxsipuseragent|pplsip"
    r"|smap|eyebeam-?brute|voipbuster-?scan|sipsak|warvox)\b",
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
    """Decides by address. ``on_ban(address, True)`` is called when one is banned, ``False`` when pardoned.

    ``is_home(address)`` tells whether a phone of the house is registered there.
    """

    def __init__(
        self,
        limits: Limits,
        now: Callable[[], float],
        on_ban: Callable[[str, bool], None],
        is_home: Callable[[str], bool] = lambda address: False,
    ) -> None:
        self._limits = limits
        self._now = now
        self._on_ban = on_ban
        self._is_home = is_home
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

    def failed(self, address: str, user: str = "") -> None:
        """A wrong password for this user name came from here."""
        if address in self.trusted:
            return
        key = self._guesser(address, user)
        source, now = self._source(key), self._now()
        source.failures = [t for t in source.failures if now - t < self._limits.window]
        source.failures.append(now)
        if len(source.failures) >= self._limits.failures:
            self._ban(key, f"{len(source.failures)} wrong passwords")

    def succeeded(self, address: str, user: str = "") -> None:
        for key in (address, self._guesser(address, user)):
            if key in self._sources:
                self._sources[key].failures.clear()

    def shut_out(self, address: str, user: str) -> bool:
        """Whether this user name may not be tried any more from an address where others are at home."""
        return self.banned(self._guesser(address, user))

    def scanner(self, address: str) -> None:
        """An attack tool named itself, in a packet that may well be forged."""
        if address not in self.trusted and not self._is_home(address):
            self._ban(address, "a scanner")

    def _guesser(self, address: str, user: str) -> str:
        return f"{address} as {user[:40]}" if self._is_home(address) else address

    def _ban(self, address: str, why: str) -> None:
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

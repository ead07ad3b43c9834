"""Digest access authentication: MD5 (RFC 2617, RFC 3261 section 22) and SHA-256 (RFC 7616, RFC 8760).

Nonces carry their time, signed with a key of this process for the address that asked: nothing is stored for a stranger.
Only a nonce that was used with a right answer is remembered, with the counts seen, so that a caught answer cannot be used
again. An answer to a nonce that its sender was never given is not even compared: it teaches a guesser nothing, and a forged
source address cannot be made to look like one that guesses passwords.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence

from appliance.sip.message import BadMessage, Request, Uri, auth_params

NONCE_SECONDS = 300
#: how many used nonces are remembered; one is good for NONCE_SECONDS, so this is a rate of 200 new ones a second
USED_NONCES = 60_000
#: how often one nonce may be used; a phone that keeps its nonce gets a fresh one in between
USES = 1024

_HASHES = {"md5": hashlib.md5, "sha-256": hashlib.sha256}


class Verdict(enum.Enum):
    RIGHT = "right"
    #: no credentials yet: every phone's first request
    NONE = "none"
    #: the nonce is old or not ours, or its count was used: the phone is to try again at once
    STALE = "stale"
    WRONG = "wrong"


class Digest:
    """Challenges and checks for one realm. ``now`` gives seconds; any clock that only goes forward will do."""

    def __init__(self, realm: str, secret_of: Callable[[str], str], now: Callable[[], float]) -> None:
        self.realm = realm
        self._secret_of = secret_of
        self._now = now
        self._key = secrets.token_bytes(32)
        self._dummy = secrets.token_urlsafe(16)
        #: by nonce, in the order of their first use: when that was, and the counts seen
        self._used: OrderedDict[str, tuple[float, set[str]]] = OrderedDict()

    def challenge(
        self, address: str, algorithms: Sequence[str] = ("SHA-256", "MD5"), *, stale: bool = False
    ) -> tuple[tuple[str, str], ...]:
        """A WWW-Authenticate header for each algorithm, for whoever is at ``address`` (RFC 8760 section 2.4)."""
        nonce = self._nonce(address)
        tail = ', stale=true, qop="auth"' if stale else ', qop="auth"'
        return tuple(
            ("WWW-Authenticate", f'Digest realm="{self.realm}", nonce="{nonce}", algorithm={algorithm}{tail}')
            for algorithm in algorithms
        )

    def check(self, request: Request) -> tuple[Verdict, str]:
        """The verdict on a request and the user name it claims (``""`` without credentials)."""
        for value in request.raw("Authorization"):
            params = auth_params(value)
            if params and params.get("realm") == self.realm:
                return self._check(request, params), params.get("username", "")
        return Verdict.NONE, ""

    def _check(self, request: Request, params: dict[str, str]) -> Verdict:
        nonce, count = params.get("nonce", ""), params.get("nc", "")
        if not self._fresh(nonce, request.address):
            return Verdict.STALE
        algorithm = params.get("algorithm", "MD5").lower()
        make = _HASHES.get(algorithm)
        if make is None or params.get("qop") != "auth" or not re.fullmatch("[0-9a-fA-F]{8}", count):
            return Verdict.WRONG
        if not _same_place(params.get("uri", ""), request.uri):
            return Verdict.WRONG
        username = params.get("username", "")
        # An unknown name costs the same work and gets the same answer as a wrong password.
        secret = self._secret_of(username)
        known = bool(secret)

        def digest(text: str) -> str:
            return make(text.encode("utf-8", "surrogateescape")).hexdigest()

        first = digest(f"{username}:{self.realm}:{secret if known else self._dummy}")
        second = digest(f"{request.method}:{params.get('uri', '')}")
        expected = digest(f"{first}:{nonce}:{count}:{params.get('cnonce', '')}:auth:{second}")
        right = hmac.compare_digest(expected.encode(), params.get("response", "").lower().encode("utf-8", "replace"))
        if not right or not known:
            return Verdict.WRONG
        return Verdict.RIGHT if self._first_use(nonce, count.lower()) else Verdict.STALE

    def _nonce(self, address: str) -> str:
        stamp = f"{int(self._now() * 1000):x}.{secrets.token_hex(4)}"
        return f"{stamp}.{self._sign(stamp, address)}"

    def _sign(self, stamp: str, address: str) -> str:
        return hmac.new(self._key, f"{stamp} {address}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:24]

    def _fresh(self, nonce: str, address: str) -> bool:
        stamp, _, signature = nonce.rpartition(".")
        if not hmac.compare_digest(self._sign(stamp, address).encode(), signature.encode("utf-8", "replace")):
            return False
        age = self._now() - int(stamp.partition(".")[0], 16) / 1000
        return 0 <= age <= NONCE_SECONDS

    def _first_use(self, nonce: str, count: str) -> bool:
        now = self._now()
        while self._used:
            oldest, (since, _) = next(iter(self._used.items()))
            if now - since <= NONCE_SECONDS and len(self._used) < USED_NONCES:
                break
            # It was given before it was used: it is too old to be taken once more.
            del self._used[oldest]
        _, seen = self._used.setdefault(nonce, (now, set()))
        if count in seen or len(seen) >= USES:
            return False
        seen.add(count)
        return True


def _same_place(claimed: str, uri: str) -> bool:
    """Whether the credentials were made for this Request-URI (RFC 3261 section 22.4): the same user at the same host.

    Ports and parameters are left out: phones disagree on whether they belong there.
    """
    if claimed == uri:
        return True
    try:
        one, other = Uri.parse(claimed), Uri.parse(uri)
    except BadMessage:
        return False
    return one.user == other.user and one.host.lower() == other.host.lower()

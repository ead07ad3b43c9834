"""Digest access authentication: MD5 (RFC 2617, RFC 3261 section 22) and SHA-256 (RFC 7616, RFC 8760).

Nonces carry their time, signed with a key of this process: nothing is stored for a stranger who asks. Only a nonce that
was used with a right answer is remembered, with the highest counts seen, so that a caught answer cannot be used again.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable

from appliance.sip.message import Request, auth_params

NONCE_SECONDS = 300
#: how many used nonces are remembered; one is good for NONCE_SECONDS, so this is a rate of 200 new ones a second
USED_NONCES = 60_000

_HASHES = {"md5": hashlib.md5, "sha-256": hashlib.sha256}


class Verdict(enum.Enum):
    RIGHT = "right"
    #: no credentials yet: every phone's first request
    NONE = "none"
    #: right in form, but the nonce is old or its count was used: the phone is to try again at once
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
        self._used: OrderedDict[str, set[int]] = OrderedDict()

    def challenge(self, *, stale: bool = False) -> tuple[tuple[str, str], ...]:
        """Two WWW-Authenticate headers, the stronger first (RFC 8760 section 2.4)."""
        nonce = self._nonce()
        tail = ', stale=true, qop="auth"' if stale else ', qop="auth"'
        return tuple(
            ("WWW-Authenticate", f'Digest realm="{self.realm}", nonce="{nonce}", algorithm={algorithm}{tail}')
            for algorithm in ("SHA-256", "MD5")
        )

    def check(self, request: Request) -> tuple[Verdict, str]:
        """The verdict on a request and the user name it claims (``""`` without credentials)."""
        for value in request.raw("Authorization"):
            params = auth_params(value)
            if params and params.get("realm") == self.realm:
                return self._check(request.method, params), params.get("username", "")
        return Verdict.NONE, ""

    def _check(self, method: str, params: dict[str, str]) -> Verdict:
        algorithm = params.get("algorithm", "MD5").lower()
        make = _HASHES.get(algorithm)
        if make is None or params.get("qop") != "auth":
            return Verdict.WRONG
        username = params.get("username", "")
        # An unknown name costs the same work and gets the same answer as a wrong password.
        secret = self._secret_of(username)
        known = bool(secret)

        def digest(text: str) -> str:
            return make(text.encode("utf-8", "surrogateescape")).hexdigest()

        first = digest(f"{username}:{self.realm}:{secret if known else self._dummy}")
        second = digest(f"{method}:{params.get('uri', '')}")
        nonce, count = params.get("nonce", ""), params.get("nc", "")
        expected = digest(f"{first}:{nonce}:{count}:{params.get('cnonce', '')}:auth:{second}")
        right = hmac.compare_digest(expected.encode(), params.get("response", "").lower().encode("utf-8", "replace"))
        if not right or not known:
            return Verdict.WRONG
        return Verdict.RIGHT if self._fresh(nonce) and self._first_use(nonce, count) else Verdict.STALE

    def _nonce(self) -> str:
        stamp = f"{int(self._now() * 1000):x}.{secrets.token_hex(4)}"
        return f"{stamp}.{self._sign(stamp)}"

    def _sign(self, stamp: str) -> str:
        return hmac.new(self._key, stamp.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:24]

    def _fresh(self, nonce: str) -> bool:
        stamp, _, signature = nonce.rpartition(".")
        if not hmac.compare_digest(self._sign(stamp).encode(), signature.encode("utf-8", "replace")):
            return False
        age = self._now() - int(stamp.partition(".")[0], 16) / 1000
        return 0 <= age <= NONCE_SECONDS

    def _first_use(self, nonce: str, count: str) -> bool:
        try:
            number = int(count, 16)
        except ValueError:
            return False
        seen = self._used.setdefault(nonce, set())
        if number in seen or len(seen) > 4096:
            return False
        seen.add(number)
        self._used.move_to_end(nonce)
        while len(self._used) > USED_NONCES:
            self._used.popitem(last=False)
        return True

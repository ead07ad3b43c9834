"""The front desk for SIP requests: who may come in, as whom, and the answers to all that is not a call.

Free of PJSIP. :meth:`Front.handle` takes each request outside a call and gives one of three verdicts: an answer, pass it
on to the call engine *as somebody*, or drop it in silence. A call passes only from an authenticated phone or from one
of a trunk's own addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from appliance.flows.ports import Memory
from appliance.sip.dialoginfo import Presence
from appliance.sip.digest import Digest, Verdict
from appliance.sip.guard import SCANNERS, Guard, Limits
from appliance.sip.message import Address, BadMessage, Request, Uri
from appliance.sip.offers import Offers
from appliance.sip.party import party_of
from appliance.sip.registrar import Binding, Refused, Registrar
from appliance.sip.subscriptions import EVENTS, OutgoingNotify, Subscription, Subscriptions

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, SUBSCRIBE, NOTIFY, REFER, UPDATE, INFO, PRACK"
CAPABILITIES = (
    ("Allow", ALLOW),
    ("Accept", "application/sdp"),
    ("Supported", "timer, path"),
    ("Allow-Events", ", ".join(EVENTS)),
)

__all__ = ["Answer", "Drop", "Front", "OutgoingNotify", "Pass", "Phone", "PhoneRule", "Request", "Trunk"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer; ``reason`` replaces the usual phrase."""

    code: int
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = ""
    body: str = ""
    to_tag: str = ""
    stateful: bool = False


@dataclass(frozen=True, slots=True)
class Phone:
    """An authenticated phone of the house."""

    extension: str


@dataclass(frozen=True, slots=True)
class Trunk:
    """An outside line, known by its address."""

    name: str


@dataclass(frozen=True, slots=True)
class Pass:
    """Let it through, as this identity."""

    identity: Phone | Trunk


@dataclass(frozen=True, slots=True)
class Drop:
    """Say nothing."""

    why: str


@dataclass(frozen=True, slots=True)
class PhoneRule:
    """What the front must know of a phone."""

    devices: int = 3
    srtp: str = "optional"


class Front:
    """See the module. ``secret(extension)`` gives a phone's password, ``""`` for none; ``now`` epoch seconds."""

    def __init__(
        self,
        *,
        domain: str,
        contact: str,
        phones: Mapping[str, PhoneRule],
        secret: Callable[[str], str],
        memory: Memory,
        now: Callable[[], float],
        send: Callable[[OutgoingNotify], int],
        limits: Limits | None = None,
        on_ban: Callable[[str, bool], None] = lambda address, banned: None,
        on_registration: Callable[[str], None] = lambda extension: None,
    ) -> None:
        self.domain = domain
        self._phones = phones
        self._secret = secret
        self._trunks: dict[str, str] = {}
        devices = {extension: rule.devices for extension, rule in phones.items()}
        self.registrar = Registrar(devices, memory, now, on_registration)
        self.guard = Guard(limits or Limits(), now, on_ban, self.registrar.is_home)
        self.digest = Digest(domain, self._secret_of, now)
        self.subscriptions = Subscriptions(domain, contact, now, send)
        self._offers = Offers(memory)
        self._after: list[Subscription] = []

    # --- configuration ---

    def reload(self, phones: Mapping[str, PhoneRule]) -> None:
        """Use these phones from now on; registrations of phones that stay are kept."""
        self._phones = phones
        self.registrar.keep_only({extension: rule.devices for extension, rule in phones.items()})

    def trust(self, trunks: Mapping[str, frozenset[str]]) -> None:
        """The addresses (``"ip"`` or ``"ip:port"``) from which each trunk's requests come."""
        self._trunks = {address: name for name, addresses in trunks.items() for address in addresses}
        self.guard.trusted = frozenset(address.rsplit(":", 1)[0] for address in self._trunks)

    def is_extension(self, number: str) -> bool:
        return number in self._phones

    def bindings(self, extension: str) -> list[Binding]:
        return self.registrar.bindings(extension)

    def srtp(self, extension: str) -> str:
        rule = self._phones.get(extension)
        return rule.srtp if rule is not None else "optional"

    # --- requests ---

    def handle(self, request: Request) -> Answer | Pass | Drop:
        """The verdict on one request outside a call. Never raises."""
        address = request.address
        if self.guard.banned(address):
            return Drop("banned")
        if not self.guard.admit(address):
            return Drop("too many requests")
        # A trunk passes on what its callers call themselves; it is known by its address.
        if self._trunk(request) is None and SCANNERS.search(f"{request.header('User-Agent')}\n{request.header('From')}"):
            self.guard.scanner(address)
            return Drop("a scanner")
        try:
            return self._decide(request)
        except BadMessage as error:
            return Answer(400, reason=f"Bad Request: {error}"[:120].replace("\r", " ").replace("\n", " "))

    def tend(self) -> None:
        """After each answer has gone out, and every few seconds: notifications due, things expired."""
        due, self._after = self._after, []
        for subscription in due:
            self.subscriptions.notify(subscription)

    def sweep(self) -> None:
        self.registrar.sweep()
        self.subscriptions.sweep()
        self.guard.sweep()

    def notify_answered(self, token: int, code: int) -> None:
        self.subscriptions.answered(token, code)

    def extension_state(self, extension: str, state: str, call: str = "") -> None:
        """``idle``, ``ringing`` or ``in-use``: busy lamps follow."""
        self.subscriptions.presence(extension, Presence(state, call if state != "idle" else ""))

    def messages_waiting(self, mailbox: str, new: int, old: int) -> None:
        self.subscriptions.messages(mailbox, new, old)

    def _decide(self, request: Request) -> Answer | Pass | Drop:
        method = request.method
        trunk = self._trunk(request)
        if trunk is not None and method in {"INVITE", "OPTIONS"} and not self._phone_like(request):
            return Answer(200, headers=CAPABILITIES) if method == "OPTIONS" else Pass(Trunk(trunk))
        if method == "OPTIONS":
            # A phone's keep-alive; what we can do is no secret, who we have is.
            return Answer(200, headers=CAPABILITIES)
        if method in {"PUBLISH", "MESSAGE", "NOTIFY"}:
            return Answer(489 if method == "PUBLISH" else 405, headers=(("Allow", ALLOW),))
        verdict, extension = self.digest.check(request)
        if verdict is Verdict.NONE or verdict is Verdict.STALE:
            return self._challenge(request, stale=verdict is Verdict.STALE)
        if self.guard.shut_out(request.address, extension):
            return Drop("a user name that was guessed at")
        if verdict is Verdict.WRONG:
            self.guard.failed(request.address, extension)
            return self._challenge(request)
        self.guard.succeeded(request.address, extension)
        self._offers.answered(request.address, extension)
        if request.user("From") != extension:
            return Answer(403, reason="The From address is not the phone that signed in")
        return self._authenticated(method, extension, request)

    def _challenge(self, request: Request, *, stale: bool = False) -> Answer:
        algorithms = self._offers.to(request.address, party_of(request.header("From")).number)
        return Answer(401, headers=self.digest.challenge(request.address, algorithms, stale=stale))

    def _trunk(self, request: Request) -> str | None:
        return self._trunks.get(request.source) or self._trunks.get(request.address)

    def _phone_like(self, request: Request) -> bool:
        """A phone on a trunk's address (a test, a box that shares its address): it signs in with our realm."""
        if request.header("Authorization") or self.registrar.is_device(request.source):
            return True
        try:
            sender = Uri.parse(Address.parse(request.header("From")).uri)
        except BadMessage:
            return False  # a caller with a tel: number, or with none
        return sender.host == self.domain and sender.user in self._phones

    def _authenticated(self, method: str, extension: str, request: Request) -> Answer | Pass | Drop:
        if method == "INVITE":
            return Pass(Phone(extension))
        if method == "REGISTER":
            if request.user("To") != extension:
                return Answer(403, reason="A phone registers itself only")
            try:
                return Answer(200, headers=self.registrar.register(extension, request))
            except Refused as refused:
                return Answer(refused.code, reason=refused.reason, headers=refused.headers)
        if method == "SUBSCRIBE":
            code, headers, tag, subscription = self.subscriptions.subscribe(request, extension)
            if subscription is not None:
                self._after.append(subscription)
            return Answer(code, headers=headers, to_tag=tag, stateful=True)
        return Answer(405, headers=(("Allow", ALLOW),))

    def _secret_of(self, extension: str) -> str:
        return self._secret(extension) if extension in self._phones else ""

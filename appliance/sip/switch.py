"""The live switch: makes legs on PJSIP and joins them. Implements :class:`appliance.flows.ports.Switch`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from urllib.parse import quote

import pjsua2 as pj
import structlog

from appliance.flows.ports import Cause, Direction, Leg, Party, Shown
from appliance.lines.choice import LineState
from appliance.sip.accounts import SRTP, PjAccount, account_config
from appliance.sip.audio import Studio
from appliance.sip.engine import Engine
from appliance.sip.leg import LiveLeg, PjCall, call_options
from appliance.sip.party import name_addr
from appliance.sip.trunks import Trunk

log = structlog.get_logger("sip.switch")


class Binding(Protocol):
    """A registered device, as the registrar knows it. ``uri`` reaches it from here (after NAT rewriting)."""

    @property
    def uri(self) -> str: ...

    @property
    def route(self) -> str: ...


class Directory(Protocol):
    """Which devices an extension has, and what their calls must be."""

    def bindings(self, extension: str) -> Sequence[Binding]: ...

    def srtp(self, extension: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """An INVITE that the front has let pass and PJSUA is about to announce."""

    call_id: str
    far: Party
    dialed: str
    line: str | None
    extension: str | None


class LiveSwitch:
    """Every living leg of the box, and the ways to make more."""

    def __init__(self, engine: Engine, studio: Studio, directory: Directory) -> None:
        self.engine = engine
        self.studio = studio
        self.trunks: dict[str, Trunk] = {}
        self.on_incoming: Callable[[LiveLeg], None] | None = None
        self.on_change: Callable[[LiveLeg], None] = lambda leg: None
        self._directory = directory
        self._phones: dict[str, PjAccount] = {}
        self._legs: dict[str, LiveLeg] = {}
        self._by_call_id: dict[str, LiveLeg] = {}
        self._numbers = itertools.count(1)
        self._born = f"{datetime.now():%Y%m%dT%H%M%S}"
        self._expected: Arrival | None = None
        self._in_use: dict[str, int] = {}
        #: living legs that came in
        self.callers = 0

    def open(self) -> None:
        """Create the accounts for phones, one for each SRTP rule."""
        for rule in SRTP:
            account = PjAccount(self.arrived)
            account.create(account_config(self.engine, f"sip:clinic@{self.engine.settings.domain}", rule))
            self.engine.keep(account)
            self._phones[rule] = account

    # --- Switch ---

    def ring_phone(self, extension: str, shown: Shown) -> Sequence[Leg]:
        account = self._phones[self._directory.srtp(extension)]
        headers = dict(shown.headers)
        if shown.auto_answer:
            # Three dialects of one wish: Polycom and Yealink, Snom and Grandstream, Cisco.
            headers["Alert-Info"] = "<http://localhost>;info=alert-autoanswer;delay=0"
            headers["Call-Info"] = f"<sip:{self.engine.settings.domain}>;answer-after=0"
        local = name_addr(shown.caller, self.engine.settings.domain, shown.via)
        return [
            self._call(account, binding.uri, local, headers, binding.route, extension=extension, dialed=extension)
            for binding in self._directory.bindings(extension)
        ]

    def seize(self, line: str, number: str, caller: Party, headers: Mapping[str, str] | None = None) -> Leg:
        trunk = self.trunks[line]
        target = trunk.target(number)
        identity = name_addr(caller, trunk.settings.host)
        local = trunk.account_uri if trunk.settings.asserted else identity
        account = trunk.account if trunk.addresses else None
        asserted = {"P-Asserted-Identity": identity} if caller.number else {"Privacy": "id"}
        return self._call(account, target, local, {**asserted, **(headers or {})}, "", line=line, dialed=number)

    def lines(self) -> Sequence[LineState]:
        return [
            LineState(name, "sip", trunk.up, self._in_use.get(name, 0), trunk.settings.capacity)
            for name, trunk in self.trunks.items()
        ]

    def registered(self, extension: str) -> bool:
        return bool(self._directory.bindings(extension))

    def legs(self) -> Sequence[Leg]:
        return list(self._legs.values())

    def join(self, *legs: Leg) -> None:
        live = [leg for leg in legs if isinstance(leg, LiveLeg) and leg.ended is None]
        for leg in live:
            leg.early_media()
            leg.ear.join([other.ear for other in live if other is not leg])

    def part(self, *legs: Leg) -> None:
        for leg in legs:
            leg.silence()

    # --- for the gate and the supervisor of the engine ---

    def expect(self, arrival: Arrival) -> None:
        """The gate lets an INVITE pass: the next call PJSUA announces (in this very turn) is this one."""
        self._expected = arrival
        if arrival.line is not None:
            account = self.trunks[arrival.line].account
        else:
            account = self._phones[self._directory.srtp(arrival.extension or "")]
        self.engine.account_for_next = account.getId() if account is not None else None

    def by_call_id(self, call_id: str) -> LiveLeg | None:
        return self._by_call_id.get(call_id)

    def reconcile(self) -> int:
        """End legs whose PJSIP call died without saying so (pjproject issue 4992); how many there were."""
        dead = [leg for leg in self._legs.values() if leg.call is not None and not leg.alive]
        for leg in dead:
            log.warning("a call ended without notice", leg=leg.id)
            leg.gone(Cause.FAILED)
        return len(dead)

    def arrived(self, account: PjAccount, call_id: int) -> None:
        arrival, self._expected = self._expected, None
        self.engine.account_for_next = None
        if arrival is None or self.on_incoming is None:
            # PJSUA announces what the gate has not let pass: an INVITE with no owner. End it and forget it.
            stray = pj.Call(account, call_id)
            self.engine.keep(stray)
            prm = call_options()
            prm.statusCode = Cause.FORBIDDEN.sip
            stray.hangup(prm)
            self.engine.release(stray)
            return
        leg = self._leg(Direction.IN, arrival.far, arrival.dialed, arrival.line, arrival.extension)
        leg.call_id = arrival.call_id
        self._enter(leg, PjCall(account, leg, call_id))
        on_incoming = self.on_incoming
        self.engine.later(lambda: on_incoming(leg))

    def _leg(self, direction: Direction, far: Party, dialed: str, line: str | None, extension: str | None) -> LiveLeg:
        return LiveLeg(
            self.engine,
            self.studio,
            id=f"{self._born}-{next(self._numbers):06d}",
            direction=direction,
            far=far,
            dialed=dialed,
            line=line,
            extension=extension,
            on_gone=self._left,
            on_change=self.on_change,
        )

    def _call(
        self,
        account: PjAccount | None,
        target: str,
        local: str,
        headers: Mapping[str, str],
        route: str,
        *,
        dialed: str,
        line: str | None = None,
        extension: str | None = None,
    ) -> LiveLeg:
        leg = self._leg(Direction.OUT, Party(dialed), dialed, line, extension)
        if account is None:
            self.engine.later(lambda: leg.gone(Cause.UNREACHABLE))
            return leg
        prm = call_options()
        prm.opt.customCallId = leg.call_id = f"{leg.id}@{self.engine.settings.domain}"
        prm.txOption.localUri = local
        if route:
            # In the target: PJSIP then makes them Route headers that it follows, which a header given as text is not.
            target += "?" + "&".join(f"Route={quote(stop, safe='')}" for stop in route.split(", "))
        for name, value in headers.items():
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            prm.txOption.headers.append(header)
        leg.shown = local
        call = PjCall(account, leg)
        self._enter(leg, call)
        try:
            call.makeCall(target, prm)
        except pj.Error as error:
            log.warning("PJSIP refused a call", target=target, reason=error.reason)
            leg.gone(Cause.CONGESTION)
        return leg

    def _enter(self, leg: LiveLeg, call: PjCall) -> None:
        leg.attach(call)
        self._legs[leg.id] = leg
        self._by_call_id[leg.call_id] = leg
        self.callers += leg.direction is Direction.IN
        if leg.line is not None:
            self._in_use[leg.line] = self._in_use.get(leg.line, 0) + 1
        self.on_change(leg)

    def _left(self, leg: LiveLeg) -> None:
        if self._legs.pop(leg.id, None) is None:
            return
        if self._by_call_id.get(leg.call_id) is leg:
            del self._by_call_id[leg.call_id]
        self.callers -= leg.direction is Direction.IN
        if leg.line is not None:
            self._in_use[leg.line] -= 1
        self.on_change(leg)

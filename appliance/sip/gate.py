"""The gate: every request passes here before PJSUA sees it.

PJSIP parses, transports and retransmits; the front (`appliance.sip.front`, free of PJSIP) decides; this module carries
requests to it and its answers back, and finds the leg that an in-dialog REFER means.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pjsua2 as pj
import structlog

from appliance.flows.ports import Party
from appliance.sip.engine import Engine, faults
from appliance.sip.front import Answer, Drop, Front, OutgoingNotify, Pass, Phone, Request, Trunk
from appliance.sip.leg import LiveLeg
from appliance.sip.message import Address, BadMessage
from appliance.sip.party import party_of, user_of
from appliance.sip.switch import Arrival, LiveSwitch

log = structlog.get_logger("sip.gate")

METHODS = ("REGISTER", "SUBSCRIBE", "PUBLISH", "MESSAGE", "OPTIONS", "REFER", "NOTIFY", "INVITE")
#: in-dialog requests the gate answers itself; the others belong to PJSUA's dialogs
OWN_IN_DIALOG = frozenset({"SUBSCRIBE", "REFER", "MESSAGE", "PUBLISH"})
#: beside these calls only emergency calls are let in
SPARE_CALLS = 12


class Gate(pj.SipFront):  # type: ignore[misc]  # pjsua2 carries no types
    """PJSIP's side of the front."""

    def __init__(
        self,
        engine: Engine,
        front: Front,
        switch: LiveSwitch,
        number: Callable[[str], str],
        is_emergency: Callable[[str], bool],
    ) -> None:
        """``number`` writes an outside number as E.164; ``is_emergency`` knows 911 as dialled."""
        super().__init__()
        self._engine = engine
        self._front = front
        self._switch = switch
        self._number = number
        self._is_emergency = is_emergency
        self._tokens = itertools.count(1)
        self._asked: dict[int, asyncio.Future[int]] = {}
        self._notified: set[int] = set()
        self.refused_busy = 0

    def open(self) -> None:
        names = pj.StringVector()
        for method in METHODS:
            names.append(method)
        self.start(names)

    # --- in ---

    def onRequest(
        self,
        rdata: Any,
        method: str,
        inDialog: bool,
        source: str,
        localPort: int,
        transport: str,
        message: str,
    ) -> bool:
        try:
            return self._request(rdata, method, inDialog, source, transport, message)
        except Exception as error:
            faults.note(f"a {method} from {source}", error)
            self._reply(rdata, Answer(500))
            return True

    def _request(self, rdata: Any, method: str, in_dialog: bool, source: str, transport: str, message: str) -> bool:
        if in_dialog and method not in OWN_IN_DIALOG:
            return False
        request = Request(message, source, transport)
        if in_dialog and method == "REFER":
            self._refer(rdata, request)
            return True
        verdict = self._front.handle(request)
        if isinstance(verdict, Answer):
            self._reply(rdata, verdict)
            self._engine.later(self._front.tend)
            return True
        if isinstance(verdict, Drop):
            return True
        if method != "INVITE":
            return False
        return self._invite(rdata, request, verdict)

    def _invite(self, rdata: Any, request: Request, verdict: Pass) -> bool:
        dialed = self._dialed(request, verdict)
        # Each caller may need a second leg, to whoever answers them.
        full = 2 * self._switch.callers >= self._engine.settings.max_calls - SPARE_CALLS
        if full and not self._is_emergency(dialed):
            self.refused_busy += 1
            self._reply(rdata, Answer(503, headers=(("Retry-After", "5"),)))
            return True
        if request.header("Replaces"):
            # A phone that wants to take a ringing call dials the pickup code; a bare Replaces would bypass the flows.
            self._reply(rdata, Answer(420, headers=(("Unsupported", "replaces"),)))
            return True
        identity = verdict.identity
        if isinstance(identity, Phone):
            far = Party(identity.extension, party_of(request.header("From")).name)
            arrival = Arrival(request.header("Call-ID"), far, dialed, None, identity.extension)
        else:
            self._switch.trunks[identity.name].heard()
            arrival = Arrival(request.header("Call-ID"), self._caller(request), dialed, identity.name, None)
        self._switch.expect(arrival)
        return False

    def _dialed(self, request: Request, verdict: Pass) -> str:
        dialed = user_of(request.uri)
        if isinstance(verdict.identity, Trunk):
            if not any(c.isdigit() for c in dialed):
                # A registered trunk rings our account name; the number called stands in To.
                dialed = party_of(request.header("To")).number
            return self._number(dialed)
        return dialed

    def _caller(self, request: Request) -> Party:
        """Who calls, as the trunk tells: the asserted identity before From (RFC 3325), unless privacy is asked for.

        Nobody outside passes for a phone of the house: its number and its name are not for them.
        """
        if "id" in request.header("Privacy"):
            return Party()
        party = party_of(request.header("P-Asserted-Identity") or request.header("From"))
        number = "" if self._front.is_extension(party.number) else self._number(party.number)
        return Party(number, party.name if party.name != party.number else "")

    def _refer(self, rdata: Any, request: Request) -> None:
        """RFC 3515 in a call's own dialog: blind, or attended with Replaces (RFC 3891)."""
        leg = self._switch.by_call_id(request.header("Call-ID"))
        refer_to = request.header("Refer-To")
        if leg is None or not self._same_dialog(leg, request):
            self._reply(rdata, Answer(481))
            return
        try:
            target = user_of(Address.parse(refer_to).uri)
        except BadMessage:
            target = ""
        if not target:
            self._reply(rdata, Answer(400, reason="Refer-To needs a SIP address"))
            return
        replaces = re.search(r"[?&]Replaces=([^&>]+)", refer_to, re.IGNORECASE)
        consulted = None
        if replaces:
            consulted = self._switch.by_call_id(unquote(replaces.group(1)).split(";", 1)[0].strip())
            if consulted is None or consulted.extension != leg.extension:
                self._reply(rdata, Answer(603, reason="The call to be replaced is not known here"))
                return
        self._reply(rdata, Answer(202, stateful=True))
        self._engine.later(lambda: leg.referred(target, consulted))

    @staticmethod
    def _same_dialog(leg: LiveLeg, request: Request) -> bool:
        if leg.call is None:
            return False
        tags = pj.callDialog(leg.call.getId()).split(" ")[1:]
        return bool(tags == [request.tag("To"), request.tag("From")])

    def _reply(self, rdata: Any, answer: Answer) -> None:
        headers = pj.SipHeaderVector()
        for name, value in answer.headers:
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            headers.append(header)
        try:
            self.respond(
                rdata,
                answer.code,
                answer.reason,
                headers,
                answer.content_type,
                answer.body,
                answer.to_tag,
                answer.stateful,
            )
        except pj.Error as error:
            log.info("an answer could not be sent", code=answer.code, reason=error.reason)

    # --- out ---

    async def ask(self, method: str, target: str, from_: str, *, seconds: float) -> int:
        """Send a request outside a dialog; the status of the far end's own answer, 0 when none came in time."""
        token = next(self._tokens)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._asked[token] = future
        tag = secrets.token_hex(6)
        try:
            self.sendRequest(
                token, method, target, f"<{from_}>", f"<{target}>", "", "", -1, tag, "", pj.SipHeaderVector(), "", ""
            )
            async with asyncio.timeout(seconds):
                return await future
        except (TimeoutError, pj.Error):
            return 0
        finally:
            self._asked.pop(token, None)

    def notify(self, out: OutgoingNotify) -> int:
        """Send a NOTIFY of a subscription; the token that :meth:`Front.notify_answered` will be told."""
        token = next(self._tokens)
        headers = pj.SipHeaderVector()
        for name, value in out.headers:
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            headers.append(header)
        self._notified.add(token)
        try:
            self.sendRequest(
                token,
                "NOTIFY",
                out.target,
                out.from_,
                out.to,
                out.contact,
                out.call_id,
                out.cseq,
                out.from_tag,
                out.to_tag,
                headers,
                out.content_type,
                out.body,
            )
        except pj.Error:
            self._engine.later(lambda: self.onResponse(token, 503, ""))
        return token

    def onResponse(self, token: int, code: int, message: str) -> None:
        try:
            future = self._asked.pop(token, None)
            if future is not None and not future.done():
                future.set_result(code if message else 0)
            if token in self._notified:
                self._notified.discard(token)
                self._front.notify_answered(token, code)
        except Exception as error:
            faults.note("an answer to our request", error)

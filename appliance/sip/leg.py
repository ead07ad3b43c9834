"""A call leg on PJSIP: the live implementation of :class:`appliance.flows.ports.Leg`.

:class:`PjCall` is the PJSIP object; its callbacks translate and hand over. :class:`LiveLeg` is what flows hold.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pjsua2 as pj
import structlog

from appliance.flows.ports import (
    Answered,
    Cause,
    Digit,
    Direction,
    EarlyMedia,
    Ended,
    Held,
    LegEvent,
    Party,
    Referred,
    Resumed,
    Ringing,
    Sound,
)
from appliance.sip.audio import TAIL_SECONDS, Ear, Studio, open_recorder, open_sound
from appliance.sip.engine import Engine, guarded
from appliance.sip.party import name_addr

log = structlog.get_logger("sip.leg")

#: an answered call whose media does not come within this time has none (an INVITE without SDP whose ACK has none)
MEDIA_SECONDS = 5.0

#: a telephone has these; INFO may carry anything
KEYS = frozenset("0123456789*#ABCD")

_CAUSE_OF_STATUS = {
    486: Cause.BUSY,
    600: Cause.BUSY,
    603: Cause.DECLINED,
    480: Cause.NO_ANSWER,
    408: Cause.UNREACHABLE,
    487: Cause.NO_ANSWER,
    404: Cause.NOT_FOUND,
    484: Cause.NOT_FOUND,
    604: Cause.NOT_FOUND,
    410: Cause.NOT_FOUND,
    401: Cause.FORBIDDEN,
    403: Cause.FORBIDDEN,
    407: Cause.FORBIDDEN,
    415: Cause.INCOMPATIBLE,
    488: Cause.INCOMPATIBLE,
    606: Cause.INCOMPATIBLE,
    503: Cause.CONGESTION,
    504: Cause.UNREACHABLE,
    502: Cause.UNREACHABLE,
}


def cause_of(status: int) -> Cause:
    """The cause behind a SIP status (RFC 3398 section 8.2.6.1)."""
    return Cause.NORMAL if status < 300 else _CAUSE_OF_STATUS.get(status, Cause.FAILED)


def call_options(flag: int = 0) -> Any:
    """Operation parameters with one audio stream; video, text and images are refused in SDP (port 0)."""
    prm = pj.CallOpParam(True)
    prm.opt.audioCount, prm.opt.videoCount, prm.opt.textCount = 1, 0, 0
    prm.opt.flag = flag
    return prm


class PjCall(pj.Call):  # type: ignore[misc]  # pjsua2 carries no types
    """PJSIP's call. It lives until DISCONNECTED; the leg outlives it."""

    def __init__(self, account: Any, leg: LiveLeg, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, call_id)
        self.leg = leg

    def refuse(self) -> None:
        """After a fault in a callback: end the call rather than leave it undefined."""
        self.leg.engine.later(functools.partial(self.leg.hang_up, Cause.FAILED))

    @guarded
    def onCallState(self, prm: Any) -> None:
        self.leg.state_changed()

    @guarded
    def onCallMediaState(self, prm: Any) -> None:
        self.leg.media_changed()

    @guarded
    def onDtmfDigit(self, prm: Any) -> None:
        if prm.digit in KEYS:
            self.leg.report(Digit(prm.digit))


class LiveLeg:
    """One call leg: us and one far end. See :class:`appliance.flows.ports.Leg` for the contract."""

    def __init__(
        self,
        engine: Engine,
        studio: Studio,
        *,
        id: str,
        direction: Direction,
        far: Party,
        dialed: str,
        line: str | None,
        extension: str | None,
        on_gone: Callable[[LiveLeg], None],
        on_change: Callable[[LiveLeg], None],
    ) -> None:
        self.engine = engine
        self._studio = studio
        self.id = id
        self.direction = direction
        self.far = far
        self.dialed = dialed
        self.line = line
        self.extension = extension
        self.answered = False
        self.ended: Cause | None = None
        self.on_hold = False
        self.call_id = id
        #: the name and address the far phone's display was given
        self.shown = ""
        self.ear = Ear()
        self.call: PjCall | None = None
        self._on_gone = on_gone
        self._on_change = on_change
        self._events: deque[LegEvent] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._media_up: asyncio.Future[None] | None = None
        self._task: asyncio.Task[object] | None = None
        self._why: Cause | None = None
        self._rung = False

    # --- what PJSIP tells (callbacks; they hand over only) ---

    def attach(self, call: PjCall) -> None:
        self.call = call
        self.engine.keep(call)
        self.engine.live += 1

    def state_changed(self) -> None:
        if self.call is None:
            return
        info = self.call.getInfo()
        state = info.state
        if state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.gone(self._why or cause_of(info.lastStatusCode))
        elif self.direction is Direction.OUT:
            if state == pj.PJSIP_INV_STATE_EARLY and not self._rung:
                self._rung = True
                self.report(Ringing())
            elif state == pj.PJSIP_INV_STATE_CONFIRMED and not self.answered:
                self.answered = True
                self.report(Answered())
                self._on_change(self)

    def media_changed(self) -> None:
        if self.call is None or self.ended:
            return
        info = self.call.getInfo()
        # ``info`` owns its media: they are gone when it is, so it keeps a name until the end of this method.
        media = next((m for m in info.media if m.type == pj.PJMEDIA_TYPE_AUDIO and m.audioConfSlot >= 0), None)
        if media is None:
            return
        if media.status in (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD):
            early = self.ear.media is None and self.direction is Direction.OUT and not self.answered
            self.ear.tune(self.call.getAudioMedia(media.index))
            if self._media_up is not None and not self._media_up.done():
                self._media_up.set_result(None)
            if early and info.state == pj.PJSIP_INV_STATE_EARLY:
                self.report(EarlyMedia())
        held = media.status == pj.PJSUA_CALL_MEDIA_REMOTE_HOLD
        if held != self.on_hold:
            self.on_hold = held
            self.report(Held() if held else Resumed())

    def report(self, event: LegEvent) -> None:
        """Queue an event for whoever reads this leg."""
        self._events.append(event)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def gone(self, cause: Cause) -> None:
        """PJSIP has let go of the call (or never will say so: the reconciler found it dead)."""
        if self.ended is not None:
            return
        self.ended = cause
        self.engine.discard(self.ear.close())
        if self.call is not None:
            self.engine.live -= 1
            self.engine.release(self.call)
            # the call and the leg hold each other; PJSIP still unwinds through the call now
            call, self.call = self.call, None
            self.engine.later(functools.partial(setattr, call, "leg", None))
        if self._media_up is not None and not self._media_up.done():
            self._media_up.set_result(None)
        self.report(Ended(cause))
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._on_gone(self)

    @property
    def alive(self) -> bool:
        """Whether PJSIP still knows the call."""
        return self.call is not None and bool(self.call.isActive())

    @property
    def trying(self) -> bool:
        return self.call is not None and bool(pj.callStatus(self.call.getId()) >= 100)

    # --- what flows order ---

    def served_by(self, task: asyncio.Task[object] | None) -> None:
        self._task = task
        if task is not None and self.ended is not None:
            task.cancel()

    async def event(self) -> LegEvent:
        while not self._events:
            if self.ended is not None:
                return Ended(self.ended)
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._events.popleft()

    def flush_digits(self) -> None:
        self._events = deque(event for event in self._events if not isinstance(event, Digit))

    def ring(self) -> None:
        if self.direction is Direction.IN and not self._rung and not self.answered:
            self._rung = True
            self._answer_with(180)

    def early_media(self) -> None:
        """Incoming and not answered: open audio towards the caller (183 with SDP, RFC 3960)."""
        if self.direction is Direction.IN and not self.answered and self.ear.media is None:
            self._answer_with(183)

    async def answer(self) -> None:
        if self.direction is Direction.OUT or self.answered or self.ended:
            return
        self.answered = True
        if self.ear.media is None:
            self._media_up = asyncio.get_running_loop().create_future()
        self._answer_with(200)
        self._on_change(self)
        if self._media_up is not None and self.ear.media is None and not self.ended:
            try:
                async with asyncio.timeout(MEDIA_SECONDS):
                    await self._media_up
            except TimeoutError:
                log.warning("an answered call has no media", leg=self.id)
                self.hang_up(Cause.INCOMPATIBLE)

    def _answer_with(self, status: int) -> None:
        if self.call is None or self.ended:
            return
        prm = call_options()
        prm.statusCode = status
        self._try("answer", self.call.answer, prm)

    def hang_up(self, cause: Cause = Cause.NORMAL) -> None:
        if self.call is None or self.ended or self._why is not None:
            return
        self._why = cause
        prm = pj.CallOpParam()
        if self.direction is Direction.IN:
            # Sent when the caller has no answer yet, also where our 200 was refused; else it is a BYE.
            prm.statusCode = cause.sip if cause.sip >= 300 else Cause.NO_ANSWER.sip
        reason = pj.SipHeader()
        reason.hName = "Reason"
        if cause is Cause.ELSEWHERE:
            reason.hValue = 'SIP;cause=200;text="Call completed elsewhere"'
        else:
            reason.hValue = f"Q.850;cause={cause.q850}"
        prm.txOption.headers.append(reason)
        try:
            self.call.hangup(prm)
        except pj.Error as error:
            # Ended in this very moment, or in a state that knows no end yet: whoever asks again is heard again.
            log.info("PJSIP refused", what="hangup", leg=self.id, reason=error.reason)
            self._why = None

    async def play(self, sound: Sound) -> None:
        if self.ended:
            return
        if self.direction is Direction.IN and not self.answered:
            self.early_media()
        if not sound.files:
            await asyncio.sleep(sound.seconds)
            return
        player = self._try("play", open_sound, sound.files)
        if player is None:
            return
        self.ear.hear(player)
        try:
            await asyncio.sleep(sound.seconds + TAIL_SECONDS)
        finally:
            if self.ear.hears(player):
                self.ear.hear()

    def music(self, name: str) -> None:
        if not self.ended:
            self.ear.hear(self._studio.music(name))

    def ringback(self) -> None:
        if not self.ended:
            self.ear.hear(self._studio.ringback())

    def silence(self) -> None:
        if not self.ended:
            self.ear.hear()

    async def record(self, path: Path, limit: float) -> float:
        recorder = self._try("record", open_recorder, path)
        if recorder is None:
            return 0.0
        loop = asyncio.get_running_loop()
        started = loop.time()
        self.ear.record(recorder)
        try:
            await asyncio.sleep(limit)
        finally:
            self.ear.stop_recording(recorder)
        return loop.time() - started

    def send_digits(self, keys: str) -> None:
        if self.call is not None and not self.ended:
            self._try("send digits", self.call.dialDtmf, keys)

    def referred(self, target: str, consulted: LiveLeg | None) -> None:
        """The gate saw an in-dialog REFER of this leg and answered 202."""
        self.report(Referred(target, consulted))

    def refer_result(self, cause: Cause) -> None:
        if self.call is None or self.ended:
            return
        prm = pj.CallSendRequestParam()
        prm.method = "NOTIFY"
        for name, value in (("Event", "refer"), ("Subscription-State", "terminated;reason=noresource")):
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            prm.txOption.headers.append(header)
        prm.txOption.contentType = "message/sipfrag;version=2.0"
        prm.txOption.msgBody = f"SIP/2.0 {cause.sip} {'OK' if cause is Cause.NORMAL else cause.name.title()}\r\n"
        self._try("notify the transfer", self.call.sendRequest, prm)

    def show(self, party: Party, via: str = "") -> None:
        identity = name_addr(party, self.engine.settings.domain, via)
        if self.call is None or self.ended or identity == self.shown:
            return
        self.shown = identity
        if not self.answered:
            return
        if self.call.remoteHasCap(pj.PJSIP_H_ALLOW, "", "UPDATE") != pj.PJSIP_DIALOG_CAP_SUPPORTED:
            return
        prm = call_options(pj.PJSUA_CALL_NO_SDP_OFFER)
        header = pj.SipHeader()
        header.hName, header.hValue = "P-Asserted-Identity", identity
        prm.txOption.headers.append(header)
        self._try("update the display", self.call.update, prm)

    def _try(self, what: str, act: Callable[..., Any], *args: object) -> Any:
        """PJSIP may refuse (the far end hung up in this very moment): that is an event to come, not an error here."""
        try:
            return act(*args)
        except pj.Error as error:
            log.info("PJSIP refused", what=what, leg=self.id, reason=error.reason)
            return None

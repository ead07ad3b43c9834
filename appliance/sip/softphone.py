"""Telephones in a process of their own: for the demo morning, for tests, and to call the box from a shell.

    python -m appliance.sip.softphone --address 127.0.0.1 --port 5090

Orders are JSON lines on standard input, events JSON lines on standard output. Each account speaks with a tone of its own
(its mark), and each call can be recorded to a WAV file, so that who hears whom is measured in sound.

Orders (``do``): ``account`` (name, user, password, registrar, transport, srtp, mark, codecs, domain), ``call`` (account, id,
to, display, number, record), ``answer``, ``ring``, ``reject`` (code), ``hangup``, ``hold``, ``resume``, ``keys`` (keys,
method),
``refer`` (to), ``replace`` (with), ``mute``, ``unmute``, ``quit``. Events: ``ready``, ``registered``, ``incoming``, ``state``,
``key``, ``error``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pjsua2 as pj
import structlog

from appliance.sip.accounts import PjAccount, account_config
from appliance.sip.audio import open_recorder
from appliance.sip.engine import Engine, EngineSettings, guarded
from appliance.sip.leg import call_options

Order = Mapping[str, Any]


class Line:
    """An account: a phone that registers, or an end of a trunk that does not."""

    def __init__(self, phones: Softphones, order: Order) -> None:
        self.name = str(order["name"])
        self.order = order
        self._phones = phones
        self.mark: Any = None
        self.account = PjAccount(self._incoming, self._registered)
        user = str(order.get("user", self.name))
        registrar = order.get("registrar")
        domain = str(order.get("domain") or registrar or f"{phones.engine.settings.address}:{phones.engine.settings.port}")
        config = account_config(phones.engine, f"sip:{user}@{domain}", str(order.get("srtp", "off")))
        transport = str(order.get("transport", "udp"))
        if registrar:
            suffix = "" if transport == "udp" else f";transport={transport}"
            config.regConfig.registrarUri = f"sip:{registrar}{suffix}"
            config.regConfig.timeoutSec = int(order.get("expires", 300))
            config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", user, 0, str(order.get("password", ""))))
            config.sipConfig.proxies.append(f"<sip:{registrar};lr;hide{suffix}>")
        self.account.create(config, make_default=phones.first())

    def tone(self) -> Any:
        """The account's mark as a source, made when first needed; ``None`` when it has none."""
        if self.mark is None and self.order.get("mark"):
            self.mark = pj.ToneGenerator()
            self.mark.createToneGenerator(8000, 1)
            tone = pj.ToneDesc()
            tone.freq1, tone.freq2, tone.on_msec, tone.off_msec = int(self.order["mark"]), 0, 1000, 0
            tone.volume = 8000
            tones = pj.ToneDescVector()
            tones.append(tone)
            self.mark.play(tones, True)
        return self.mark

    def _incoming(self, account: PjAccount, call_id: int) -> None:
        self._phones.incoming(self, call_id)

    def _registered(self, active: bool, code: int) -> None:
        self._phones.tell(event="registered", account=self.name, active=active, code=code)


class Talk(pj.Call):  # type: ignore[misc]  # pjsua2 carries no types
    """One call of a softphone."""

    def __init__(self, line: Line, id: str, phones: Softphones, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(line.account, call_id)
        self.line = line
        self.id = id
        self.recorder: Any = None
        self.record = ""
        self.silent = False
        self._phones = phones
        self._media: Any = None

    @guarded
    def onCallState(self, prm: Any) -> None:
        info = self.getInfo()
        names = {
            pj.PJSIP_INV_STATE_EARLY: "ringing",
            pj.PJSIP_INV_STATE_CONFIRMED: "answered",
            pj.PJSIP_INV_STATE_DISCONNECTED: "ended",
        }
        if info.state in names:
            extra = {}
            if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
                extra["message"] = prm.e.body.tsxState.src.rdata.wholeMsg[:2000]
            self._phones.tell(event="state", call=self.id, state=names[info.state], code=info.lastStatusCode, **extra)
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._phones.ended(self)

    @guarded
    def onCallMediaState(self, prm: Any) -> None:
        # A name for the info: its media are freed with it, and the loop alone does not hold it.
        info = self.getInfo()
        for media in info.media:
            if media.audioConfSlot >= 0 and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                self._media = self.getAudioMedia(media.index)
                self.speak(not self.silent)
                if self.record and self.recorder is None:
                    self.recorder = open_recorder(Path(self.record))
                if self.recorder is not None:
                    self._media.startTransmit(self.recorder)
                stream = self.getStreamInfo(media.index)
                self._phones.tell(event="media", call=self.id, codec=stream.codecName)

    @guarded
    def onDtmfDigit(self, prm: Any) -> None:
        self._phones.tell(event="key", call=self.id, key=prm.digit)

    def speak(self, loud: bool) -> None:
        self.silent = not loud
        tone = self.line.tone()
        if tone is None or self._media is None:
            return
        if loud:
            tone.startTransmit(self._media)
        else:
            tone.stopTransmit(self._media)


class Softphones:
    """All accounts and calls of the process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.lines: dict[str, Line] = {}
        self.calls: dict[str, Talk] = {}
        self._number = 0

    def first(self) -> bool:
        return not self.lines

    def tell(self, **event: object) -> None:
        print(json.dumps(event), flush=True)

    def incoming(self, line: Line, call_id: int) -> None:
        self._number += 1
        talk = Talk(line, f"in{self._number}", self, call_id)
        self._keep(talk)
        info = talk.getInfo()
        self.tell(event="incoming", call=talk.id, account=line.name, by=info.remoteUri, to=info.localUri, uri=info.localUri)

    def ended(self, talk: Talk) -> None:
        self.calls.pop(talk.id, None)
        self.engine.live -= 1
        self.engine.discard([talk.recorder])
        talk.recorder = None
        self.engine.release(talk)

    def order(self, order: Order) -> None:
        """Carry an order out; what PJSIP refuses is told as an ``error`` event."""
        what = str(order.get("do"))
        try:
            if what == "account":
                self.lines[str(order["name"])] = Line(self, order)
            elif what == "call":
                self._call(order)
            elif (talk := self.calls.get(str(order.get("id")))) is None:
                self.tell(event="error", order=what, why="no such call", call=order.get("id"))
            else:
                self._act(what, talk, order)
        except (pj.Error, KeyError, ValueError) as error:
            why = error.reason if isinstance(error, pj.Error) else f"{type(error).__name__} {error}"
            self.tell(event="error", order=what, why=why, call=order.get("id"))

    def _call(self, order: Order) -> None:
        talk = Talk(self.lines[str(order["account"])], str(order["id"]), self)
        talk.record = str(order.get("record", ""))
        self._keep(talk)
        prm = call_options()
        if order.get("number"):
            settings = self.engine.settings
            prm.txOption.localUri = f'"{order.get("display", "")}" <sip:{order["number"]}@{settings.address}:{settings.port}>'
        for name, value in dict(order.get("headers", {})).items():
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            prm.txOption.headers.append(header)
        talk.makeCall(str(order["to"]), prm)

    def _act(self, what: str, talk: Talk, order: Order) -> None:
        prm = call_options()
        match what:
            case "answer" | "ring" | "reject":
                talk.record = str(order.get("record", ""))
                prm.statusCode = int(order.get("code", {"answer": 200, "ring": 180, "reject": 486}[what]))
                talk.answer(prm)
            case "hangup":
                talk.hangup(pj.CallOpParam())
            case "hold":
                talk.setHold(prm)
            case "resume":
                prm.opt.flag = pj.PJSUA_CALL_UNHOLD
                talk.reinvite(prm)
            case "keys":
                if order.get("method") == "info":
                    send = pj.CallSendDtmfParam()
                    send.digits, send.method = str(order["keys"]), pj.PJSUA_DTMF_METHOD_SIP_INFO
                    talk.sendDtmf(send)
                else:
                    talk.dialDtmf(str(order["keys"]))
            case "refer":
                talk.xfer(str(order["to"]), pj.CallOpParam())
            case "replace":
                talk.xferReplaces(self.calls[str(order["with"])], pj.CallOpParam())
            case "mute":
                talk.speak(False)
            case "unmute":
                talk.speak(True)
            case _:
                self.tell(event="error", order=what, why="this order is not known", call=talk.id)

    def _keep(self, talk: Talk) -> None:
        self.calls[talk.id] = talk
        self.engine.keep(talk)
        self.engine.live += 1

    def close(self) -> None:
        for line in self.lines.values():
            line.account.shutdown()
            line.mark = None
        self.lines.clear()
        self.calls.clear()


async def serve(settings: EngineSettings) -> None:
    """Run until ``quit`` or the end of the input."""
    engine = Engine(settings)
    engine.start()
    phones = Softphones(engine)
    reader = asyncio.StreamReader(limit=1_000_000)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    phones.tell(event="ready")
    while line := await reader.readline():
        order = json.loads(line)
        if order.get("do") == "quit":
            break
        phones.order(order)
    phones.close()
    engine.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Softphones, driven by JSON lines")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5070)
    parser.add_argument("--rtp", type=int, default=30000, help="first RTP port")
    parser.add_argument("--codecs", default="PCMU,PCMA,G722,opus")
    options = parser.parse_args()
    # Standard output carries the events.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    settings = EngineSettings(
        options.address,
        options.port,
        rtp_ports=(options.rtp, options.rtp + 4000),
        codecs=tuple(options.codecs.split(",")),
        user_agent="clinicpbx-softphone",
    )
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()

"""PJSUA accounts: one for each way the house signs and protects its calls (phones by SRTP rule, each trunk its own)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pjsua2 as pj

from appliance.sip.engine import Engine, guarded

SRTP = {"off": pj.PJMEDIA_SRTP_DISABLED, "optional": pj.PJMEDIA_SRTP_OPTIONAL, "required": pj.PJMEDIA_SRTP_MANDATORY}


class PjAccount(pj.Account):  # type: ignore[misc]  # pjsua2 carries no types
    """Hands incoming calls and registration results over."""

    def __init__(
        self, on_call: Callable[[PjAccount, int], None], on_registration: Callable[[bool, int], None] | None = None
    ) -> None:
        super().__init__()
        self._on_call = on_call
        self._on_registration = on_registration

    @guarded
    def onIncomingCall(self, prm: Any) -> None:
        self._on_call(self, prm.callId)

    @guarded
    def onRegState(self, prm: Any) -> None:
        if self._on_registration is not None:
            self._on_registration(prm.code // 100 == 2 and prm.expiration > 0, prm.code)


def account_config(engine: Engine, uri: str, srtp: str) -> Any:
    """The common part: media on this box's own address, session timers offered, SDES keys per ``srtp``."""
    config = pj.AccountConfig()
    config.idUri = uri
    config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_OPTIONAL
    config.callConfig.prackUse = pj.PJSUA_100REL_NOT_USED
    media = config.mediaConfig
    first, last = engine.settings.rtp_ports
    media.transportConfig.port = first
    media.transportConfig.portRange = last - first
    media.transportConfig.boundAddress = media.transportConfig.publicAddress = engine.settings.address
    # Left at its default PJSUA looks the machine's own name up for every call, on the one thread that serves them all.
    media.ipv6Use = pj.PJSUA_IPV6_DISABLED
    media.srtpUse = SRTP[srtp]
    media.srtpSecureSignaling = 0
    config.natConfig.contactRewriteUse = 0
    config.natConfig.viaRewriteUse = 0
    config.natConfig.sdpNatRewriteUse = 0
    config.natConfig.udpKaIntervalSec = 0
    config.presConfig.publishEnabled = False
    config.mwiConfig.enabled = False
    return config

"""The SIP engine: PJSIP on the event loop's own thread.

PJSIP's epoll descriptor is a reader of the asyncio loop and PJSIP's next timer is a timer of it: a packet, a flow and a
timer all meet on one thread: no hand-over between threads, no lock, no waiting for the interpreter. Media does not pass
here: RTP and the mixing bridge run on two C threads of their own.

The rules of the room:

* every ``on…`` callback is wrapped by :func:`guarded`: an exception is counted and logged, never swallowed;
* callbacks only hand over: what a flow does in answer runs in a later turn of the loop, outside PJSIP's locks;
* every PJSIP object is held by the engine until PJSIP has let go of it;
* nothing here resolves a host name by the system's resolver: a lookup would stall every call (the day the internet is
  down it takes seconds). Trunks are resolved by `appliance.sip.trunks`; names met in messages by PJSIP's own resolver.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pjsua2 as pj
import structlog

log = structlog.get_logger("sip.engine")

_libc = ctypes.CDLL(None)
#: so many new objects are collected even while calls are up (about two milliseconds)
YOUNG_OBJECTS = 20_000
#: what questions to trunks and registrations make at any time
FEW_TRANSACTIONS = 8

#: The media threads' real-time priority: above every ordinary program, below the kernel's own threads.
MEDIA_PRIORITY = 10

#: DTMF and end-of-file events come from the media threads and wait in PJSIP's job list; fetched at least this often.
BUSY_TURN_MS = 20
IDLE_TURN_MS = 100

S = TypeVar("S")


class EngineError(RuntimeError):
    """PJSIP refused something that the box cannot run without; the text says what and how to mend it."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where the engine listens and what it offers.

    ``address`` is a literal IPv4 address of this box (never a name, never ``0.0.0.0``: it is written into SDP and
    Contact). ``rtp_ports`` is the first and last UDP port for media. ``codecs`` in order of preference.
    """

    address: str
    port: int = 5060
    tls_port: int | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    domain: str = "clinic.local"
    rtp_ports: tuple[int, int] = (16000, 20000)
    codecs: tuple[str, ...] = ("PCMU", "PCMA", "G722", "opus")
    max_calls: int = 500
    #: DNS servers ("ip" or "ip:port") for names in what peers send (Contact, Record-Route): asked without blocking
    nameservers: tuple[str, ...] = ()
    user_agent: str = "clinicpbx"


class Faults:
    """Exceptions that escaped a callback; ``status`` shows them and the leak test expects none."""

    def __init__(self) -> None:
        self.count = 0
        self.last = ""

    def note(self, where: str, error: BaseException) -> None:
        self.count += 1
        self.last = f"{where}: {type(error).__name__}: {error}"
        log.error("a callback failed", where=where, exc_info=error)


faults = Faults()


def guarded(callback: Callable[[S, Any], None]) -> Callable[[S, Any], None]:
    """Wraps a PJSIP callback so that an exception is noted; the object's ``refuse()`` then ends what was asked for."""

    @functools.wraps(callback)
    def inner(self: S, prm: Any) -> None:
        try:
            callback(self, prm)
        except Exception as error:
            faults.note(callback.__qualname__, error)
            refuse = getattr(self, "refuse", None)
            if refuse is not None:
                refuse()

    return inner


class _PjLog(pj.LogWriter):  # type: ignore[misc]  # pjsua2 carries no types
    """PJSIP's own complaints, as our log's lines."""

    def write(self, entry: Any) -> None:
        if entry.level <= 1:
            log.warning("pjsip", text=entry.msg.strip())


class _Endpoint(pj.Endpoint):  # type: ignore[misc]
    """PJSIP's endpoint; which account takes an incoming call is the gate's decision, made just before."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    @guarded
    def onSelectAccount(self, prm: Any) -> None:
        if self._engine.account_for_next is not None:
            prm.accountIndex = self._engine.account_for_next


class Engine:
    """PJSIP, started and stopped once per process (the library allows no second life)."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.endpoint: Any = None
        self._log_writer: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._fd = -1
        self._kept: dict[int, Any] = {}
        self.live = 0
        self._used = False
        self._tidied = 0
        self.transports: dict[str, int] = {}
        #: whether the media threads run before everything else (a right the system may refuse)
        self.media_first = False
        #: PJSUA id of the account that takes the INVITE being handed on right now
        self.account_for_next: int | None = None

    # --- life ---

    def start(self) -> None:
        """Open the transports and begin to answer. Raises :class:`EngineError` when a port is taken."""
        self._loop = asyncio.get_running_loop()
        pj.SipReactor.quiet(1)
        ours = _threads()
        endpoint = _Endpoint(self)
        endpoint.libCreate()
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.maxCalls = self.settings.max_calls
        config.uaConfig.userAgent = self.settings.user_agent
        # Without any PJSIP asks the system's resolver and waits: a stranger's Via with a name in it would stop every call.
        for server in self.settings.nameservers or ("127.0.0.1",):
            config.uaConfig.nameserver.append(server)
        config.logConfig.level = 1
        config.logConfig.consoleLevel = 0
        config.logConfig.msgLogging = 0
        self._log_writer = _PjLog()
        config.logConfig.writer = self._log_writer
        media = config.medConfig
        media.clockRate = media.sndClockRate = 8000
        media.channelCount = 1
        media.audioFramePtime = media.ptime = 20
        media.noVad = True
        media.ecTailLen = 0
        # Discarding frames to shorten the delay loses words in the steady state (0.1 % measured with the progressive
        # default); the static rule discards at most one frame in 200 ms and only when the delay is far too long.
        media.jbDiscardAlgo = pj.PJMEDIA_JB_DISCARD_STATIC
        endpoint.libInit(config)
        pj.SipReactor.deafen()
        self._open_transports(endpoint)
        endpoint.audDevManager().setNullDev()
        endpoint.libStart()
        self.media_first = _put_first(_threads() - ours)
        self._choose_codecs(endpoint)
        self.endpoint = endpoint
        self._fd = pj.SipReactor.descriptor()
        if self._fd < 0:
            raise EngineError("this pjsua2 was built without epoll; build it with image/pjsua2/build")
        self._loop.add_reader(self._fd, self.turn)
        # A collection in the middle of a burst stalls every call; the loop collects when it is idle instead.
        gc.collect()
        gc.freeze()
        gc.disable()
        self.turn()

    def _open_transports(self, endpoint: Any) -> None:
        wanted = [
            ("udp", pj.PJSIP_TRANSPORT_UDP, self.settings.port),
            ("tcp", pj.PJSIP_TRANSPORT_TCP, self.settings.port),
        ]
        if self.settings.tls_port and self.settings.tls_certificate and self.settings.tls_key:
            wanted.append(("tls", pj.PJSIP_TRANSPORT_TLS, self.settings.tls_port))
        for name, kind, port in wanted:
            config = pj.TransportConfig()
            config.port = port
            config.boundAddress = config.publicAddress = self.settings.address
            if name == "tls":
                config.tlsConfig.certFile = str(self.settings.tls_certificate)
                config.tlsConfig.privKeyFile = str(self.settings.tls_key)
                config.tlsConfig.method = pj.PJSIP_TLSV1_2_METHOD
                config.tlsConfig.proto = 0
            try:
                self.transports[name] = endpoint.transportCreate(kind, config)
            except pj.Error as error:
                raise EngineError(
                    f"cannot listen for SIP on {self.settings.address}:{port}/{name}: {error.reason}. Is "
                    f"another program using the port (`ss -lunp`)? Choose another in clinic.toml, [sip] port."
                ) from error

    def _choose_codecs(self, endpoint: Any) -> None:
        for codec in endpoint.codecEnum2():
            endpoint.codecSetPriority(codec.codecId, 0)
        known = {codec.codecId.split("/")[0].lower(): codec.codecId for codec in endpoint.codecEnum2()}
        for rank, name in enumerate(self.settings.codecs):
            if name.lower() in known:
                endpoint.codecSetPriority(known[name.lower()], 254 - rank)

    def stop(self) -> None:
        """Hang up what is left, let PJSIP finish and close it. Blocks for less than a second."""
        if self.endpoint is None or self._loop is None:
            return
        self._loop.remove_reader(self._fd)
        if self._timer is not None:
            self._timer.cancel()
        self.endpoint.hangupAllCalls()
        for _ in range(20):
            self.endpoint.libHandleEvents(10)
            if pj.SipCensus.take().calls == 0:
                break
        self._kept.clear()
        gc.enable()
        gc.collect()
        self.endpoint.libHandleEvents(0)
        self.endpoint.libDestroy()
        self.endpoint = None

    # --- turning ---

    def turn(self) -> None:
        """Let PJSIP do all that is due, then sleep until its next timer or packet."""
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        wait = pj.SipReactor.turn(BUSY_TURN_MS if self.live else IDLE_TURN_MS)
        self._timer = self._loop.call_later(wait / 1000, self.turn)

    def later(self, call: Callable[[], object]) -> None:
        """Run ``call`` in the next turn of the loop, outside PJSIP's locks."""
        assert self._loop is not None
        self._loop.call_soon(call)

    def keep(self, thing: object) -> None:
        """Hold a PJSIP object until :meth:`release`: Python must not collect what C still calls."""
        self._used = True
        self._kept[id(thing)] = thing

    def release(self, thing: object) -> None:
        """Let go of it in a later turn, when no callback of it is on the stack."""
        self.later(lambda: self._kept.pop(id(thing), None))

    def discard(self, things: list[Any]) -> None:
        """Drop the last references to players and recorders in a later turn: closing one takes PJSIP's locks."""
        if things:
            self.later(things.clear)

    def tidy(self) -> None:
        """Collect garbage, called every few seconds: all of it while nobody talks, on a busy day only when it is much."""
        if self.live:
            if gc.get_count()[0] > YOUNG_OBJECTS:
                gc.collect(0)
            return
        gc.collect()
        if self._used:
            # What a burst of calls needed goes back to the system; the allocator would keep the most it ever had. Again until
            # the last transaction has died, half a minute after its call (RFC 3261 section 17).
            self._used = pj.SipCensus.take().transactions > FEW_TRANSACTIONS
            _libc.malloc_trim(0)
        self._tidied += 1

    def census(self) -> dict[str, int]:
        """Live objects: PJSIP's own counts, what the engine keeps, descriptors and resident memory (kB)."""
        count = pj.SipCensus.take()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return {
            "calls": count.calls,
            "conference_ports": count.conferencePorts,
            "transactions": count.transactions,
            "dialogs": count.dialogs,
            "pools": count.pools,
            "kept": len(self._kept),
            "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - Path.iterdir costs ten times as much
            "rss_kb": pages * (os.sysconf("SC_PAGE_SIZE") // 1024),
            "media_first": int(self.media_first),
            "tidied": self._tidied,
        }


def _threads() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def _put_first(threads: set[int]) -> bool:
    """Let the media threads (RTP, bridge clock) run before everything else: when one is late, every call stutters.

    Needs CAP_SYS_NICE or LimitRTPRIO; without them sound is as good as the machine is idle.
    """
    try:
        for thread in threads:
            os.sched_setscheduler(thread, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(MEDIA_PRIORITY))
    except OSError as error:
        log.info("media threads run at ordinary priority", reason=error.strerror)
        return False
    return True

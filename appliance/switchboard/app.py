"""The switchboard process: everything is put together here, and only here."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import sdnotify
import structlog

from appliance.config.dialing import e164, emergency
from appliance.config.problem import ConfigFaults, Problem
from appliance.config.schema import Clinic
from appliance.config.secrets import Secrets
from appliance.config.store import Store
from appliance.flows.house import House
from appliance.flows.ports import Direction, Leg
from appliance.flows.reception import Reception
from appliance.prompts.library import Library, Progress, VoiceError, silent_progress
from appliance.records.store import Records
from appliance.sip.audio import Studio
from appliance.sip.engine import Engine, EngineSettings, faults
from appliance.sip.front import Front, OutgoingNotify, PhoneRule
from appliance.sip.gate import Gate
from appliance.sip.guard import Limits
from appliance.sip.switch import LiveSwitch
from appliance.sip.trunks import Trunk, TrunkSettings, sources
from appliance.switchboard.owned import Owned
from appliance.switchboard.socket import application, serve

log = structlog.get_logger("switchboard")

DESCRIPTORS = 16_384
TEND_SECONDS = 5.0


class SiteClock:
    """Wall time at the site; ``ahead`` of the real one when somebody wants to see another hour of the week."""

    def __init__(self, zone: ZoneInfo, ahead: timedelta = timedelta()) -> None:
        self.zone = zone
        self.ahead = ahead

    def now(self) -> datetime:
        return (datetime.now(UTC) + self.ahead).astimezone(self.zone)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the process keeps things. ``cache`` holds rendered prompts and may be shared; ``sounds`` the practice's own.
    ``at``: the local time it is to believe it starts at, for trying out what the night or a holiday does."""

    config: Path
    state: Path
    cache: Path
    at: datetime | None = None

    @property
    def socket(self) -> Path:
        return self.state / "switchboard.sock"

    @property
    def secrets(self) -> Path:
        return self.state / "secrets.json"

    @property
    def records(self) -> Path:
        return self.state / "records"

    @property
    def tls(self) -> Path:
        return self.state / "tls"

    @property
    def sounds(self) -> Path:
        return self.state / "sounds"


class Switchboard:
    """One running box. :meth:`start`, then :meth:`run` until it is to end, then :meth:`stop`."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._store = Store(places.config, places.state)
        self._started = time.time()
        #: the living legs of each extension, the oldest first
        self._legs: dict[str, dict[str, Leg]] = {}
        self._stopping = asyncio.Event()
        self._notifier = sdnotify.SystemdNotifier()

    # --- start ---

    async def start(self, progress: Progress = silent_progress) -> None:
        """Ready to take calls when it returns. Raises ``ConfigFaults``, ``EngineError``, ``SecretsError`` in plain words."""
        places = self._places
        places.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        _raise_descriptor_limit()
        self.clinic = clinic = self._store.open()
        self._owned = Owned()
        self._clock = SiteClock(clinic.zone)
        if places.at is not None:
            self._clock.ahead = places.at.replace(tzinfo=clinic.zone) - self._clock.now()
        self._secrets = Secrets(places.secrets)
        self._secrets.ensure(phone.extension for phone in clinic.phones)
        self._records = Records(places.records, self._clock, self._owned.die)
        self._library = Library(places.cache, places.sounds)
        await self._library.prepare(_texts(clinic), progress)
        self._open_sip(clinic)
        self._house = House(
            clinic,
            switch=self._switch,
            clock=self._clock,
            journal=self._records.journal,
            calls=self._records.calls,
            memory=self._records.memory,
            messages=self._records.messages,
            prompts=self._library,
        )
        self._switch.on_incoming = Reception(self._house).incoming
        self._switch.on_change = self._leg_changed
        self._records.messages.on_change = self._front.messages_waiting
        for mailbox in clinic.mailboxes:
            self._front.messages_waiting(mailbox, *self._records.messages.count(mailbox))
        await self._open_trunks(clinic)
        self._gate.open()
        self._owned.run(self._tend(), "tending")
        served = application(self.status, self.reload, self._records.journal.settle)
        self._owned.run(serve(places.socket, served), "the status socket")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._house.adopt(self.reload(), "reload"))
        gc.collect()
        gc.freeze()
        self._notifier.notify(f"READY=1\nSTATUS={clinic.clinic.name}: ready for calls")
        log.info("ready", clinic=clinic.clinic.name, address=str(clinic.sip.bind), port=clinic.sip.port)

    def _open_sip(self, clinic: Clinic) -> None:
        sip = clinic.sip
        certificate = key = None
        if sip.tls_certificate and sip.tls_key:
            certificate, key = Path(sip.tls_certificate), Path(sip.tls_key)
        elif sip.tls_port:
            from appliance.switchboard.certificate import ensure  # noqa: PLC0415 - cryptography takes 9 MB and 0.1 s

            certificate, key = ensure(self._places.tls, sip.domain, str(sip.bind))
        settings = EngineSettings(
            address=str(sip.bind),
            port=sip.port,
            tls_port=sip.tls_port,
            tls_certificate=certificate,
            tls_key=key,
            domain=sip.domain,
            rtp_ports=sip.rtp_ports,
            nameservers=_nameservers(),
        )
        self._engine = Engine(settings)
        self._engine.start()
        self._studio = Studio(self._library.music())
        self._front = Front(
            domain=sip.domain,
            contact=f"sip:{sip.bind}:{sip.port}",
            phones=_phone_rules(clinic),
            secret=self._secrets.phone,
            memory=self._records.memory,
            now=time.time,
            send=self._notify,
            limits=Limits(),
            on_ban=lambda address, banned: self._gate.ban(address) if banned else self._gate.pardon(address),
            on_registration=lambda extension: self._registered(),
        )
        self._switch = LiveSwitch(self._engine, self._studio, self._front)
        self._switch.open()
        self._gate = Gate(
            self._engine,
            self._front,
            self._switch,
            number=lambda text: e164(text, self.clinic.clinic.country) or text,
            is_emergency=self._is_emergency,
        )

    def _is_emergency(self, dialed: str) -> bool:
        clinic = self.clinic
        return emergency(dialed, clinic.dialing.outside_prefix, clinic.clinic.country) is not None

    async def _open_trunks(self, clinic: Clinic) -> None:
        for line in clinic.lines:
            settings = TrunkSettings(
                name=line.name,
                server=line.server,
                register=line.register_,
                username=line.username,
                password=self._secrets.trunk(line.name),
                capacity=line.capacity,
                srtp=line.srtp,
                transport=line.transport,
                asserted=line.identity == "asserted",
            )
            trunk = Trunk(settings, self._engine, self._records.memory)
            self._switch.trunks[line.name] = trunk
            await trunk.look_up()
            trunk.open(self._switch.arrived)
            self._owned.run(trunk.watch(self._gate.ask, self._trust, self._switch.arrived), f"watching line {line.name}")
        self._trust()

    def _trust(self) -> None:
        self._front.trust(sources(self._switch.trunks.values()))

    # --- life ---

    async def run(self) -> int:
        """Until told to stop (0), or until something the box lives by has died (1)."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([stopping, asyncio.ensure_future(self._owned.dead())], return_when=asyncio.FIRST_COMPLETED)
        if self._owned.fatal.done():
            log.error("ending", why=self._owned.fatal.result())
            stopping.cancel()
            return 1
        return 0

    def end(self) -> None:
        """Let :meth:`run` return."""
        self._stopping.set()

    async def stop(self) -> None:
        """End calls and close everything in order; within about two seconds."""
        self._notifier.notify("STOPPING=1")
        await self._house.close()
        await self._owned.stop()
        self._studio.close()
        self._engine.stop()
        await self._records.close()
        self._places.socket.unlink(missing_ok=True)

    async def reload(self) -> dict[str, object]:
        """Take the clinic file as it is now: all of it, or nothing. No call is touched."""
        try:
            clinic = self._store.reload()
        except ConfigFaults as bad:
            self._store.faults = bad.problems
            log.error("the clinic file is bad, nothing was changed", problems=[str(p) for p in bad.problems])
            return {"ok": False, "problems": [problem.to_json() for problem in bad.problems]}
        if clinic.sip != self.clinic.sip or clinic.lines != self.clinic.lines:
            note = "changes of [sip] and [[lines]] take effect at the next start"
        else:
            note = ""
        library = Library(self._places.cache, self._places.sounds)
        try:
            await library.prepare(_texts(clinic))
            self._secrets.ensure(phone.extension for phone in clinic.phones)
        except (VoiceError, OSError) as error:
            self._store.faults = (Problem(str(self._places.config), f"it could not be put to use: {error}", "reload it again"),)
            log.error("nothing was changed", why=str(error))
            return {"ok": False, "problems": [problem.to_json() for problem in self._store.faults]}
        self.clinic, self._library = clinic, library
        self._clock.zone = clinic.zone
        self._front.reload(_phone_rules(clinic))
        self._studio.replace(library.music())
        self._house.reload(clinic, library)
        log.info("the clinic file was reloaded", clinic=clinic.clinic.name)
        return {"ok": True, "note": note, "warnings": [problem.to_json() for problem in self._store.warnings]}

    async def _tend(self) -> None:
        """Every few seconds: expired registrations, dead calls, garbage, and the watchdog's sign of life."""
        while True:
            await asyncio.sleep(TEND_SECONDS)
            self._front.sweep()
            self._front.tend()
            self._switch.reconcile()
            self._engine.tidy()
            self._notifier.notify("WATCHDOG=1")

    def _notify(self, out: OutgoingNotify) -> int:
        return self._gate.notify(out)

    def _registered(self) -> None:
        if hasattr(self, "_house"):
            self._house.nudge()

    def _leg_changed(self, leg: Leg) -> None:
        """Busy lamps follow the legs."""
        if leg.extension is None:
            return
        legs = self._legs.setdefault(leg.extension, {})
        if leg.ended is None:
            legs[leg.id] = leg
        else:
            legs.pop(leg.id, None)
        if any(other.answered or other.direction is Direction.IN for other in legs.values()):
            state = "in-use"
        else:
            state = "ringing" if legs else "idle"
        self._front.extension_state(leg.extension, state, next(iter(legs), ""))

    # --- status ---

    def status(self) -> dict[str, object]:
        """All that `clinicpbx status`, the console and the panel show."""
        house = self._house.snapshot()
        alarms = list(house["alarms"])
        alarms += [f"The clinic file is bad, the last good one is in use: {p}" for p in self._store.faults]
        alarms += [f"Line {name} does not work" for name, trunk in self._switch.trunks.items() if not trunk.up]
        interrupted = [promise.to_json() for promise in self._records.journal.interrupted.values()]
        if interrupted:
            alarms.append(f"{len(interrupted)} callers were cut off by an interruption: call them back")
        health = self._records.health()
        if health["failed"] or health["little_space"]:
            alarms.append(f"Records: {health['last_error'] or 'little space is left on the disk'}")
        today = self._records.calls.today
        incoming = {key.removeprefix("in "): count for key, count in today.items() if key.startswith("in ")}
        return {
            **house,
            "clinic": self.clinic.clinic.name,
            "time": f"{self._clock.now():%A %H:%M:%S}",
            "state": "ready",
            "uptime": round(time.time() - self._started),
            "alarms": alarms,
            "config": {
                "path": str(self._places.config),
                "last_good_in_use": bool(self._store.faults),
                "problems": [p.to_json() for p in (*self._store.faults, *self._store.warnings)],
            },
            "lines": self._lines(),
            "phones": self._phones(),
            "bans": self._front.guard.state(),
            "dropped_requests": self._front.guard.dropped + self._gate.bannedRequests(),
            "interrupted": interrupted,
            "promises": {"open": len(self._records.journal.open)},
            "today": {
                "incoming": today["in"],
                "answered": incoming.get("answered", 0),
                "messages": incoming.get("message", 0),
                "abandoned": incoming.get("abandoned", 0),
            },
            "voice": self._library.faults,
            "health": health,
            "engine": {
                **self._engine.census(),
                "faults": faults.count,
                "last_fault": faults.last,
                "refused_busy": self._gate.refused_busy,
            },
        }

    def _lines(self) -> list[dict[str, object]]:
        states = {line.name: line for line in self._switch.lines()}
        return [
            {**trunk.state, "in_use": states[name].in_use, "capacity": states[name].capacity}
            for name, trunk in self._switch.trunks.items()
        ]

    def _phones(self) -> list[dict[str, object]]:
        found = []
        for phone in self.clinic.phones:
            bindings = self._front.bindings(phone.extension)
            devices = [{"source": b.source, "transport": b.transport, "agent": b.agent} for b in bindings]
            found.append({"extension": phone.extension, "name": phone.name, "registered": bool(bindings), "devices": devices})
        return found


def _phone_rules(clinic: Clinic) -> Mapping[str, PhoneRule]:
    return {phone.extension: PhoneRule(phone.devices, phone.srtp) for phone in clinic.phones}


def _texts(clinic: Clinic) -> list[str]:
    return [*clinic.spoken_texts(), *(phone.location for phone in clinic.phones if phone.location)]


def _nameservers() -> tuple[str, ...]:
    """DNS servers as the system knows them, for PJSIP's own resolver; ``CLINICPBX_DNS`` replaces them (tests)."""
    own = os.environ.get("CLINICPBX_DNS")
    if own is not None:
        return tuple(server for server in own.split(",") if server)
    try:
        lines = Path("/etc/resolv.conf").read_text().splitlines()
    except OSError:
        return ()
    servers = [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]
    return tuple(server for server in servers if ":" not in server)[:3]


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(DESCRIPTORS, hard) if hard != resource.RLIM_INFINITY else DESCRIPTORS
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

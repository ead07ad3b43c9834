"""The test stand: a box of its own with a clinic of fifty phones, a provider and the phones, and the meters beside them."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.agent import Agent, CallFailed, Dialog
from peers.box import Box

PHONES = 50
#: RTP ports of the generator; so many legs share one, each leg has another port of the box
FIRST_MEDIA_PORT, LEGS_A_PORT = 40000, 8
DOMAIN = "clinic.local"
SOURCE = Path(__file__).with_name("rtpload.c")
BUILD = Path(__file__).parents[2] / "build"
TICKS = os.sysconf("SC_CLK_TCK")

_addresses = (f"127.{10 + os.getpid() // 250 % 200}.{1 + os.getpid() % 250}.{n}" for n in itertools.count(200))


def extension(n: int) -> str:
    return f"{200 + n % PHONES}"


def number(n: int) -> str:
    """The clinic's number that leads to a phone."""
    return f"+1217555{1000 + n % PHONES}"


def clinic(text: str) -> str:
    """The demo clinic with fifty more phones, each with a number of its own, and a line wide enough for the load."""
    parts = [text.replace("capacity = 24", "capacity = 500")]
    for n in range(PHONES):
        parts.append(f'[[phones]]\nextension = "{extension(n)}"\nname = "Phone {n}"\nlocation = "Room {n}"\n')
        parts.append(f'[[numbers]]\nnumber = "{number(n)}"\nopen = "extension:{extension(n)}"\n')
    return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class Pair:
    """A bridged call: the provider's leg and the phone's."""

    outside: Dialog
    inside: Dialog


class Stand:
    """A running box with everything registered; made by :func:`stand`."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self._ports = itertools.count()
        target = (box.address, 5060)
        self.provider = Agent(box.address, 5090, target, self._media)
        self.backup = Agent(box.address, 5092, target, self._media)
        self.phones = Agent(box.address, 5070, target, self._media)
        self.phones.on_call = self._rang
        self._callers: dict[str, asyncio.Future[Dialog]] = {}
        self._calls = itertools.count()

    @property
    def pid(self) -> int:
        assert self.box.process is not None
        return self.box.process.pid

    def _media(self) -> int:
        return FIRST_MEDIA_PORT + 2 * (next(self._ports) // LEGS_A_PORT % 1000)

    def _rang(self, dialog: Dialog) -> None:
        waiting = self._callers.get(dialog.caller)
        if waiting is not None and not waiting.done():
            waiting.set_result(dialog)

    async def register(self) -> None:
        for n in range(PHONES):
            await self.phones.register(extension(n), self.box.secret(extension(n)), DOMAIN)

    async def call(self) -> Pair:
        """One patient calls through the provider, one phone answers. Raises :class:`CallFailed`."""
        n = next(self._calls)
        caller = f"+1312{5550000 + n % 1000000:07d}"
        rang = self._callers[caller] = asyncio.get_running_loop().create_future()
        try:
            outside = await self.provider.call(number(n), caller)
            if not rang.done():
                await self.provider.hang_up(outside)
                raise CallFailed("answered, but no phone rang")
            return Pair(outside, rang.result())
        finally:
            del self._callers[caller]

    async def hang_up(self, pair: Pair) -> None:
        """The patient hangs up; the phone must be told within two seconds. Raises :class:`CallFailed`."""
        await self.provider.hang_up(pair.outside)
        try:
            async with asyncio.timeout(2):
                await pair.inside.ended.wait()
        except TimeoutError:
            raise CallFailed("the phone was not told of the end") from None

    def legs(self, pairs: list[Pair]) -> str:
        """The generator's input: all outside legs, then all inside ones."""
        ip, count = self.box.address, len(pairs)
        rows = [(pair.outside, count + n) for n, pair in enumerate(pairs)] + [(p.inside, n) for n, p in enumerate(pairs)]
        return "".join(f"{ip} {leg.media} {ip} {leg.far_media} {peer}\n" for leg, peer in rows)

    def notes(self) -> list[str]:
        """What the stand itself did badly: it is told beside the figures."""
        found = []
        agents = (self.provider, self.backup, self.phones)
        if repeats := sum(agent.repeats for agent in agents):
            found.append(f"{repeats} SIP messages repeated")
        if overruns := sum(agent.overruns for agent in agents):
            found.append(f"the stand lost {overruns} SIP packets")
        return found

    def close(self) -> None:
        for agent in (self.provider, self.backup, self.phones):
            agent.close()


@asynccontextmanager
async def stand(registered: bool = True) -> AsyncIterator[Stand]:
    """A fresh box, ready, with its lines answering and its phones registered."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        box = Box(Path(folder), next(_addresses), clinic)
        box.environment = {"CLINICPBX_DNS": ""}
        made = Stand(box)
        try:
            await box.start()
            if registered:
                await made.register()
            await box.until(lambda status: all(line["up"] for line in status["lines"]), 10)
            yield made
            await box.until(lambda status: not status["calls"] and status["engine"]["calls"] == 0, 10)
            await box.stop()
        finally:
            if box.process is not None and box.process.returncode is None:
                await box.kill()
            made.close()


# --- meters ---


def cpu_seconds(pid: int) -> float:
    """Seconds of processor time a process has used, in user space and in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def stolen_share(before: tuple[int, int]) -> float:
    """The part of the machine's time since ``before`` (:func:`machine_ticks`) that its host gave to others."""
    stolen, all_ = machine_ticks()
    return (stolen - before[0]) / max(1, all_ - before[1])


def machine_ticks() -> tuple[int, int]:
    """Stolen and all ticks of the machine's processors."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return ticks[7], sum(ticks)


def rss_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def udp_drops(address: str) -> int:
    """Packets the kernel dropped at full sockets of this address: of the box (SIP and RTP) and of the stand."""
    packed = f"{int.from_bytes(bytes(int(part) for part in address.split('.')), 'little'):08X}"
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(row[-1]) for row in rows if row[1].startswith(packed))


def generator() -> Path:
    """The RTP generator, compiled when its source is newer. Raises ``RuntimeError`` with what is missing."""
    program = BUILD / "rtpload"
    if not program.exists() or program.stat().st_mtime < SOURCE.stat().st_mtime:
        if shutil.which("gcc") is None:
            raise RuntimeError("gcc is missing: apt-get install gcc libc6-dev")
        BUILD.mkdir(exist_ok=True)
        part = BUILD / f"rtpload.{os.getpid()}"
        status = os.spawnlp(os.P_WAIT, "gcc", "gcc", "-O2", "-Wall", "-std=c11", "-o", str(part), str(SOURCE))
        if status != 0:
            raise RuntimeError(f"gcc could not compile {SOURCE}")
        part.replace(program)
    return program


async def rtp_load(legs: str, settle: float, window: float, drop: int = 0) -> dict[str, Any]:
    """Run the generator over these legs and return its report."""
    process = await asyncio.create_subprocess_exec(
        generator(), str(settle), str(window), str(drop), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )  # fmt: skip
    try:
        async with asyncio.timeout(settle + window + 30):
            out, _ = await process.communicate(legs.encode())
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise RuntimeError(f"the RTP generator ended with {process.returncode}")
    report: dict[str, Any] = json.loads(out)
    return report

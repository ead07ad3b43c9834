"""The figures: how each is measured, what is wanted, what was reached."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.agent import CONTROL_BYTES, CallFailed, arrival, stamped
from bench.stand import (
    Pair,
    Stand,
    cpu_seconds,
    machine_ticks,
    rss_megabytes,
    rtp_load,
    stand,
    stolen_share,
    udp_drops,
)
from peers.box import Box

SETTLE = 3.0
#: a generator that is later than this disturbs what it measures
LATE_US = 5000
MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table. ``wanted`` and ``reached`` are in ``unit``; ``note`` tells what else was seen."""

    name: str
    unit: str
    wanted: tuple[float, ...]
    reached: tuple[float, ...]
    note: str = ""
    at_least: bool = False

    @property
    def met(self) -> bool:
        if not self.reached:
            return False
        pairs = zip(self.wanted, self.reached, strict=True)
        return all(reached >= wanted if self.at_least else reached <= wanted for wanted, reached in pairs)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


@dataclass(frozen=True, slots=True)
class Effort:
    """How long the figures take: all of it, or a quick look."""

    window: float = 30.0
    invites: int = 200
    starts: int = 5
    setup_seconds: float = 30.0
    idle_seconds: float = 20.0
    runs: int = 3


FULL = Effort()
QUICK = Effort(window=6.0, invites=40, starts=2, setup_seconds=5.0, idle_seconds=5.0, runs=1)


def part(values: Sequence[float], share: float) -> float:
    """A percentile: the smallest value that ``share`` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


async def idle(effort: Effort) -> list[Figure]:
    """Memory and processor time of a box on which fifty phones are registered and nobody calls."""
    async with stand() as bench:
        await asyncio.sleep(3)  # what a start leaves to do is not idling
        before, began = cpu_seconds(bench.pid), time.monotonic()
        await asyncio.sleep(effort.idle_seconds)
        share = (cpu_seconds(bench.pid) - before) / (time.monotonic() - began) * 100
        return [
            Figure("idle: memory", "MB", (100,), (rss_megabytes(bench.pid),), "50 phones registered"),
            Figure("idle: CPU", "% of a core", (2,), (share,)),
        ]


async def latency(effort: Effort) -> list[Figure]:
    """From the send call of an INVITE at the trunk to the kernel's arrival stamp of the INVITE at the phone."""
    found: list[float] = []
    async with stand() as bench:
        for n in range(effort.invites + 5):
            pair = await bench.call()
            if n >= 5:
                found.append((pair.inside.arrived_at - pair.outside.sent_at) / MILLION)
            await bench.hang_up(pair)
            await asyncio.sleep(0.03)
        notes = [f"{len(found)} calls, one after the other", *bench.notes()]
    bare = await echoes(effort.invites)
    notes.append(f"an empty Python program answers here in {part(bare, 0.5):.2f} / {part(bare, 0.99):.2f} / {max(bare):.2f} ms")
    reached = (part(found, 0.5), part(found, 0.99), max(found))
    return [Figure("INVITE in → INVITE out, p50 / p99 / max", "ms", (1.2, 2.5, 10), reached, "; ".join(notes))]


#: the least that can be between a packet in and a packet out
ECHO = """
import asyncio, sys
class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport = transport; print(transport.get_extra_info("sockname")[1], flush=True)
    def datagram_received(self, data, source): self.transport.sendto(data, source)
async def main():
    await asyncio.get_running_loop().create_datagram_endpoint(Echo, ("127.0.0.1", 0))
    await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


async def echoes(count: int) -> list[float]:
    """The same way through a program that does nothing: what the machine itself takes, in milliseconds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ECHO, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )  # fmt: skip
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            stamped(asking)
            asking.settimeout(2)
            found = []
            for _ in range(count):
                sent = time.time_ns()
                asking.sendto(b"?", ("127.0.0.1", port))
                _, control, _, _ = asking.recvmsg(16, CONTROL_BYTES)
                found.append((arrival(control) - sent) / MILLION)
                await asyncio.sleep(0.03)
            return found
    finally:
        await process.communicate(b"")


async def start(effort: Effort) -> list[Figure]:
    """From the start of the process to READY=1 (sd_notify), with the voice rendered by an earlier start."""
    found: list[float] = []
    for n in range(effort.starts + 1):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            seconds = await _until_ready(Path(folder), f"127.{9}.{1 + os.getpid() % 250}.{1 + n}")
            if n:  # the first one may have to render the voice
                found.append(seconds)
    note = f"median of {len(found)}, longest {max(found):.2f} s"
    return [Figure("start to ready (warm)", "s", (2,), (statistics.median(found),), note)]


async def _until_ready(folder: Path, address: str) -> float:
    box = Box(folder, address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(folder / "notify"))
        notify.setblocking(False)
        box.environment = {"CLINICPBX_DNS": "", "NOTIFY_SOCKET": str(folder / "notify")}
        began = time.monotonic()
        starting = asyncio.ensure_future(box.start())
        try:
            async with asyncio.timeout(120):
                while b"READY=1" not in await asyncio.get_running_loop().sock_recv(notify, 4096):
                    pass
            seconds = time.monotonic() - began
            await starting
        finally:
            starting.cancel()
        await box.stop()
        return seconds


async def setup(effort: Effort) -> list[Figure]:
    """Calls at a steady rate through number, flow, extension and phone, answered at once, hung up after one second."""
    rate = 100
    failures: list[str] = []
    waits: list[float] = []
    async with stand() as bench:

        async def one() -> None:
            try:
                pair = await bench.call()
                waits.append((pair.outside.answered_at - pair.outside.sent_at) / MILLION)
                await asyncio.sleep(1)
                await bench.hang_up(pair)
            except CallFailed as failed:
                failures.append(str(failed))

        before, began = cpu_seconds(bench.pid), time.monotonic()
        async with asyncio.TaskGroup() as calls:
            for n in range(int(rate * effort.setup_seconds)):
                due = began + n / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                calls.create_task(one())
            late = time.monotonic() - began - effort.setup_seconds
        spent = cpu_seconds(bench.pid) - before
        started = int(rate * effort.setup_seconds)
        reached = started / (effort.setup_seconds + max(0.0, late)) if not failures else 0.0
        notes = [
            f"{started} calls, {len(failures)} failed",
            f"set-up p50/p99 {part(waits, 0.5):.1f}/{part(waits, 0.99):.1f} ms",
        ]
        if failures:
            notes.append(f"first failure: {failures[0]}")
        if late > 0.1:
            notes.append(f"the stand was {late:.1f} s late")
        notes += bench.notes()
    return [
        Figure(
            "call set-up through a flow, none failed", "calls/s", (rate,), (round(reached, 1),), "; ".join(notes), at_least=True
        ),
        Figure("call set-up: CPU", "ms a call", (5,), (spent / started * 1000,)),
    ]


async def delay(effort: Effort) -> list[Figure]:
    """A frame's way through the bridge at ten calls, less the way through the kernel alone.

    A jitter buffer that ran empty while the machine stood still keeps one frame more for the rest of the call: a run that
    missed the figure is repeated, and every run is told.
    """
    direct = (await rtp_load(direct_legs(20), 1.0, 3.0))["delay"]["p50"]
    notes = [f"10 calls; direct path {direct / 1000:.2f} ms"]
    for run in range(1, effort.runs + 1):
        load = await bridged(10, effort.window)
        notes.append(f"run {run}: {load.note}")
        reached = tuple((load.rtp["delay"][p] - direct) / 1000 for p in ("p50", "p99"))
        figure = Figure("added one-way delay, p50 / p99", "ms", (14, 25), reached, " | ".join(notes))
        if figure.met:
            break
    return [figure]


async def calls(effort: Effort) -> list[Figure]:
    """Fifty and two hundred bridged calls with sound both ways: no frame lost, processor time for each call-minute.

    A machine that stops for some milliseconds (a virtual one) loses frames that are not the box's: a run with a loss is
    repeated, and every run is told.
    """
    few = await bridged(50, effort.window)
    runs = [await bridged(200, effort.window)]
    while runs[-1].lost and len(runs) < effort.runs:
        runs.append(await bridged(200, effort.window))
    clean = 0.0 if runs[-1].lost else 200.0
    note = " | ".join(f"run {n}: {run.note}" for n, run in enumerate(runs, 1))
    return [
        Figure("bridged calls, no content frame lost", "calls", (200,), (clean,), note, at_least=True),
        Figure("CPU per call-minute at 50 calls", "s", (0.20,), (few.cpu,), few.note),
        Figure("CPU per call-minute at 200 calls", "s", (0.15,), (runs[-1].cpu,)),
    ]


@dataclass(frozen=True, slots=True)
class Load:
    """What a run with sound gave: frames lost, processor seconds for each call-minute, the generator's report."""

    rtp: dict[str, Any]
    cpu: float
    lost: int
    note: str


async def bridged(count: int, window: float) -> Load:
    """So many calls at once, numbered frames both ways. Raises :class:`CallFailed`."""
    async with stand() as bench:
        pairs = [await bench.call() for _ in range(count)]
        drops, ticks = udp_drops(bench.box.address), machine_ticks()
        measuring = asyncio.create_task(_cpu_share(bench, window))
        rtp = await rtp_load(bench.legs(pairs), SETTLE, window)
        share = await measuring
        drops = udp_drops(bench.box.address) - drops
        await _all_hang_up(bench, pairs)
        notes = [heard(rtp), *troubles(rtp, drops, stolen_share(ticks)), *bench.notes()]
    return Load(rtp, share * 60 / count, rtp["missing"] + rtp["foreign"], "; ".join(notes))


async def _cpu_share(bench: Stand, window: float) -> float:
    """The box's processor time for each second of the window in which frames are judged."""
    await asyncio.sleep(SETTLE)
    before, began = cpu_seconds(bench.pid), time.monotonic()
    await asyncio.sleep(window)
    return (cpu_seconds(bench.pid) - before) / (time.monotonic() - began)


async def _all_hang_up(bench: Stand, pairs: list[Pair]) -> None:
    for pair in pairs:
        await bench.hang_up(pair)


def heard(rtp: dict[str, Any]) -> str:
    share = rtp["missing"] / rtp["wanted"] * 100 if rtp["wanted"] else 100.0
    return (
        f"{rtp['missing']} of {rtp['wanted']} frames missing ({share:.3f} %), {rtp['repeated']} repeated, "
        f"{rtp['damaged'] + rtp['silent']} made up; delay p50/p99/max "
        f"{rtp['delay']['p50'] / 1000:.1f}/{rtp['delay']['p99'] / 1000:.1f}/{rtp['delay']['max'] / 1000:.1f} ms"
    )


def troubles(rtp: dict[str, Any], drops: int, stolen: float) -> list[str]:
    """What was not the box's doing, or not its media's: a figure with one of these is to be read with care."""
    found = [f"{rtp['foreign']} frames of another call"] if rtp["foreign"] else []
    if rtp["packets_lost"]:
        found.append(f"{rtp['packets_lost']} packets missing from the box")
    if drops:
        found.append(f"{drops} packets dropped at full sockets")
    if rtp["overruns"] or rtp["not_sent"]:
        found.append(f"generator lost {rtp['overruns']} and could not send {rtp['not_sent']}")
    if rtp["late"]["max"] > LATE_US:
        found.append(f"generator late: p99 {rtp['late']['p99'] / 1000:.1f}, max {rtp['late']['max'] / 1000:.1f} ms")
    if rtp["missing_late"]:
        found.append(f"{rtp['missing_late']} of the missing follow a packet the generator sent late")
    if stolen > 0.001:
        found.append(f"the host took {stolen * 100:.1f} % of the machine's time")
    return found


def direct_legs(count: int) -> str:
    """Legs that send straight to one another, two by two."""
    ip = f"127.8.{1 + os.getpid() % 250}.1"
    return "".join(f"{ip} {42000 + 2 * n} {ip} {42000 + 2 * (n ^ 1)} {n ^ 1}\n" for n in range(count))


FIGURES: dict[str, Callable[[Effort], Awaitable[list[Figure]]]] = {
    "start": start,
    "idle": idle,
    "latency": latency,
    "setup": setup,
    "delay": delay,
    "calls": calls,
}

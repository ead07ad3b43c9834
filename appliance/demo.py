"""`make run`: the box in one process, the town in others, and the live picture on this terminal."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from appliance.config.load import load
from appliance.config.schema import Clinic
from appliance.config.secrets import Secrets
from appliance.live import fetch, watch
from appliance.simulation.morning import Morning
from appliance.simulation.phones import Phones

#: the staff's and the patients' marks, Hz: each hears who speaks
MARKS = {"101": 1790, "102": 1850, "103": 1910, "110": 2350, "111": 2410, "120": 2470, "130": 2690}
PATIENTS_MARK = 1130
START_SECONDS = 90.0


class BoxFailed(RuntimeError):
    """The box did not start; the text is what it said."""


async def play(options: argparse.Namespace) -> int:
    """Run the box and show it; with ``options.demo`` also play a morning. Returns the exit status."""
    console = Console(stderr=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if options.seconds:
        loop.call_later(options.seconds, stop.set)
    try:
        async with contextlib.AsyncExitStack() as stack:
            started = time.monotonic()
            await stack.enter_async_context(_box(options, console))
            clinic = load(options.config)
            console.print(f"ready in {time.monotonic() - started:.1f} s")
            work = [stop.wait(), watch(options.state / "switchboard.sock")]
            if options.demo:
                work.append((await stack.enter_async_context(_town(clinic, options))).run())
            await _until_one_ends(work)
    except BoxFailed as failed:
        console.print(str(failed), style="red")
        return 1
    console.print("ended. The calls of this morning: clinicpbx calls")
    return 0


async def _until_one_ends(work: list[Any]) -> None:
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _box(options: argparse.Namespace, console: Console) -> AsyncIterator[None]:
    """The switchboard in a process of its own, ready when this is entered, ended in order when it is left."""
    arguments = ["--config", options.config, "--state", options.state]
    if options.cache:
        arguments += ["--cache", options.cache]
    if options.at:
        arguments += ["--at", options.at]
    options.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    log_path = options.state / "switchboard.log"
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "appliance.cli", "run", *map(str, arguments), stdout=log, stderr=log, start_new_session=True
        )  # fmt: skip
    try:
        with console.status("the switchboard starts (the first time it prepares its voice) …"):
            await _ready(process, options.state / "switchboard.sock", log_path)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()


async def _ready(process: asyncio.subprocess.Process, socket: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.returncode is not None:
            raise BoxFailed(f"the switchboard did not start:\n{log.read_text()[-2000:]}")
        with contextlib.suppress(httpx.HTTPError, OSError, ValueError):
            await fetch(socket)
            return
        await asyncio.sleep(0.05)
    raise BoxFailed(f"the switchboard was not ready after {START_SECONDS:.0f} s; it says: {log.read_text()[-2000:]}")


@asynccontextmanager
async def _town(clinic: Clinic, options: argparse.Namespace) -> AsyncIterator[Morning]:
    """The provider's ends of the lines with the patients behind them, and the staff's phones."""
    address, port = str(clinic.sip.bind), clinic.sip.port
    outside, backup, inside = Phones(), Phones(), Phones()
    ends = [line.server.rpartition(":") for line in clinic.lines]
    wanted = [(outside, int(ends[0][2]), 30000), (inside, port + 10, 34000)]
    if len(ends) > 1:
        wanted.append((backup, int(ends[1][2]), 38000))
    try:
        await asyncio.gather(*(phones.start(address, number, rtp) for phones, number, rtp in wanted))
        await outside.account("patients", mark=PATIENTS_MARK)
        secrets = Secrets(options.state / "secrets.json")
        for phone in clinic.phones:
            await inside.account(
                phone.extension,
                user=phone.extension,
                password=secrets.phone(phone.extension),
                registrar=f"{address}:{port}",
                domain=clinic.sip.domain,
                mark=MARKS.get(phone.extension, 2000),
            )
        yield Morning(f"{address}:{port}", clinic.numbers[0].number, outside, inside, pace=options.pace)
    finally:
        await asyncio.gather(*(phones.stop() for phones, _, _ in wanted), return_exceptions=True)

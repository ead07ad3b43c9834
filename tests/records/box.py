"""A process that keeps records and tells on standard output what was confirmed to it; orders are its arguments.

``kill``: write until killed. ``full``: write against a limit of file size, tell what was refused; an order on standard input
makes room again.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import structlog
from records.people import Caller, Wall, opened, record

from appliance.flows.ports import Kept, Party
from appliance.records import writer
from appliance.records.store import Records


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


async def until_killed(records: Records) -> None:
    """Several callers at once; each is told as far as it is durable."""

    async def caller(desk: int) -> None:
        for n in itertools.count():
            number = f"+1217{desk:03}{n:04}"
            id = await records.journal.promise(Caller.leg(number), "+12175550100")
            tell(promised=id, number=number)
            await records.journal.step(id, "queue:frontdesk", position=desk + 1)
            tell(at=id, position=desk + 1)
            if n % 3:
                await records.journal.keep(id, Kept.ANSWERED)
                tell(kept=id)

    await asyncio.gather(*(caller(desk) for desk in range(8)))


async def on_a_full_disk(records: Records) -> None:
    """Room for some calls; then none; then enough again. No call may fail meanwhile."""
    writer.RETRY_SECONDS = 0.2
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    ids: list[str] = []
    for n in itertools.count():
        ids.append(await records.journal.promise(Caller.leg(f"+1217{n:07}"), "+12175550100"))
        records.calls.write(record(f"call-{n}", datetime(2026, 11, 30, 8, tzinfo=UTC)))
        records.memory.put(f"fact/{n}", n)
        path = records.messages.begin("frontdesk", Party())
        path.write_bytes(b"sound")
        await records.messages.finish("frontdesk", Party(), path, 5.0)
        if records.health()["failed"] and len(ids) > 20:
            break
    tell(calls=len(ids), refused=records.health()["failed"], why=records.health()["last_error"])
    for id in ids[::2]:
        await records.journal.keep(id, Kept.ANSWERED)
    tell(still_refused=records.health()["failed"], open=[*records.journal.open])
    await asyncio.to_thread(sys.stdin.readline)
    written = asyncio.Event()
    records.messages.on_change = lambda mailbox, new, old: written.set()
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    # Nobody calls any more: what was refused must be written all the same.
    async with asyncio.timeout(10):
        await written.wait()
    new = records.messages.count("frontdesk")[0]
    await records.close()
    tell(refused=records.health()["failed"], new=new)


async def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    folder = Path(sys.argv[2])
    records = opened(folder, Wall())
    tell(ready=True)
    if sys.argv[1] == "kill":
        await until_killed(records)
    else:
        await on_a_full_disk(records)


if __name__ == "__main__":
    asyncio.run(main())

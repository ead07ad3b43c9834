"""Twenty thousand broken messages, from strangers and from the trunk: the box goes on as if nothing had been."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import os
import random
from pathlib import Path

import pytest
from peers.box import Box
from peers.conftest import MakePhones, Strangers
from peers.marks import FRONT_DESK, PATIENT, heard, sounding
from peers.mutations import mutant
from peers.rawsip import DOMAIN, Peer

from appliance.simulation.phones import Phones

#: CLINICPBX_FUZZ_SEED repeats a run
SEED = int(os.environ.get("CLINICPBX_FUZZ_SEED", "20261124"))
STRANGERS, TRUNK, STREAM = 10_000, 6_000, 4_000
#: what the kernel keeps for the box while it is busy: more at once would be lost on the way
BATCH = 30


async def shower(box: Box, peers: list[Peer], count: int, chance: random.Random, honest: Peer) -> None:
    """Send broken messages as fast as the box works through them; ``honest`` speaks from an address that is not held back."""
    for number, peer in zip(range(count), itertools.cycle(peers), strict=False):
        peer.send(mutant(peer, box.address, chance))
        if number % BATCH == 0:
            await honest.ask(honest.write("OPTIONS", f"sip:{DOMAIN}"), 20)


async def stream(box: Box, stranger: Strangers, count: int, chance: random.Random, honest: Peer) -> None:
    """The same over TCP, where a broken message spoils what follows: a fresh connection for every few."""
    for number in range(0, count, 8):
        peer = await stranger(box, "TCP", number=chance.randrange(40))
        await shower(box, [peer], min(8, count - number), chance, honest)
        peer.close()


def lost_on_the_way(address: str) -> int:
    """Datagrams that the kernel dropped before the box could read them: the last column of its socket."""
    local = ipaddress.ip_address(address).packed[::-1].hex().upper() + f":{5060:04X}"
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()]
    return next(int(row[-1]) for row in rows if row[1] == local)


async def conversation(box: Box, desk: Phones, provider: Phones) -> None:
    """A patient talks with the front desk, and both hear each other."""
    call = provider.call("trunk", f"sip:+12175550100@{box.address}:5060", number="+12175559001", display="Pat Doe")
    await call.reaches("answered")
    await sounding(call.record)
    call.do("keys", keys="1")
    _, phone = await desk.incoming()
    phone.answer()
    await heard(call.record, FRONT_DESK)
    await heard(phone.record, PATIENT)
    call.hang_up()
    await phone.reaches("ended")


async def back_to(box: Box, before: dict[str, int]) -> None:
    """Wait until nothing is left of all calls and transactions.

    An answer that nobody acknowledges is given up after 32 s (RFC 3261 section 13.3.1.4), the BYE that follows it after
    another 32 s (timer F).
    """
    idle = ("calls", "dialogs", "transactions", "kept", "conference_ports")
    found = await box.until(lambda s: all(s["engine"][name] <= before[name] for name in idle) and s["calls"] == [], 75)
    after = found["engine"]
    assert after["faults"] == 0 == found["faults"]["count"], (after["last_fault"], found["faults"]["last"])
    assert found["promises"]["open"] == 0
    assert after["descriptors"] <= before["descriptors"] + 10
    assert after["rss_kb"] <= before["rss_kb"] + 60_000


@pytest.mark.timeout(150)
async def test_it_survives_twenty_thousand_broken_messages(
    box: Box, desk: Phones, softphones: MakePhones, stranger: Strangers
) -> None:
    print(f"CLINICPBX_FUZZ_SEED={SEED}")
    await box.register(desk, "101", mark=FRONT_DESK)
    before = (await box.status())["engine"]
    trunk = await stranger(box, own=box.address, port=5090)
    strangers = [await stranger(box, number=number) for number in range(40)]
    await asyncio.gather(
        shower(box, strangers, STRANGERS, random.Random(SEED), await stranger(box, own=box.address)),
        shower(box, [trunk], TRUNK, random.Random(SEED + 1), await stranger(box, own=box.address)),
        stream(box, stranger, STREAM, random.Random(SEED + 2), await stranger(box, own=box.address)),
    )
    trunk.close()
    assert lost_on_the_way(box.address) == 0, "all of them reached the box"
    assert (await box.status())["engine"]["calls"] > 20, "some of the trunk's became calls"
    assert sum(peer.came.qsize() for peer in strangers) > 1000, "many of the strangers' were understood and refused"
    provider = await softphones(5090)
    await provider.account("trunk", mark=PATIENT)
    await conversation(box, desk, provider)
    assert [row for row in await box.records() if row["caller_number"] == "+12175559001" and row["answered_by"] == "101"]
    await back_to(box, before)

"""Scenarios of sipp, a SIP traffic tool of others' making: what it expects of a far end, the box does.

The scenarios are in ``sipp/``; ``<include part="..."/>`` stands for a file of ``sipp/parts/``, its other attributes for words
in brackets there.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import numpy as np
import pytest
from peers import rawrtp
from peers.box import Box
from peers.conftest import Patient, Strangers
from peers.marks import FRONT_DESK, PATIENT, heard, sounding
from peers.rawsip import DOMAIN, Dialog, Message, Peer, challenge, elsewhere, sdp
from sip.parts import credentials

from appliance.simulation.phones import Phones

SCENARIOS = Path(__file__).parent / "sipp"
INCLUDE = re.compile(r'<include part="(?P<part>[^"]+)"(?P<values>[^/]*)/>')
MAIN = "+12175550100"


def assembled(text: str) -> str:
    """A scenario with its parts in place."""

    def part(found: re.Match[str]) -> str:
        content = (SCENARIOS / "parts" / found["part"]).read_text().rstrip("\n")
        for name, value in re.findall(r'(\w+)="([^"]*)"', found["values"]):
            content = content.replace(f"[{name}]", value)
        return assembled(content)

    return INCLUDE.sub(part, text)


class Sipp:
    """Runs scenarios against a box."""

    def __init__(self, box: Box, folder: Path) -> None:
        self._box = box
        self._folder = folder

    async def run(
        self,
        scenario: str,
        *,
        own: str = "",
        port: int = 5090,
        to: str = MAIN,
        calls: int = 1,
        rate: int = 10,
        **keys: str,
    ) -> None:
        """Fails when sipp was not content with a single call. Without ``own`` it is the provider of the main line."""
        path = self._folder / f"{scenario}-{port}.xml"
        path.write_text(assembled((SCENARIOS / f"{scenario}.xml").read_text()))
        errors = self._folder / f"{scenario}-{port}.errors"
        known = {"number": "+12175559001", "domain": DOMAIN, **keys}
        process = await asyncio.create_subprocess_exec(
            "sipp", "-sf", path, "-i", own or self._box.address, "-p", str(port), "-mi", own or self._box.address,
            "-s", to, "-m", str(calls), "-r", str(rate), "-l", str(4 * rate), "-nostdin", "-timeout", "75s", "-timeout_error",
            "-recv_timeout", "8000", "-trace_err", "-error_file", errors,
            *(word for name, value in known.items() for word in ("-key", name, value)), f"{self._box.address}:5060",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={"TERM": "dumb", "PATH": "/usr/bin:/bin"}, start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        told = errors.read_text()[-3000:] if errors.exists() else output.decode("utf-8", "replace")[-2000:]
        assert process.returncode == 0, f"{scenario}: sipp ended with {process.returncode}\n{told}"


@pytest.fixture
def sipp(box: Box, tmp_path: Path) -> Sipp:
    return Sipp(box, tmp_path)


async def test_phones_register(box: Box, sipp: Sipp, stranger: Strangers) -> None:
    # sipp knows no SHA-256 and stumbles over its challenge: the credentials are made here, for the address it speaks from
    peer = await stranger(box)
    for scenario, user, word in (("register", "101", box.secret("101")), ("register_wrong", "102", "a guess")):
        uri = f"sip:{DOMAIN}"
        asked = challenge(await peer.ask(peer.write("REGISTER", uri, user=user)))
        value = credentials(asked, "REGISTER", uri, user, word)
        await sipp.run(scenario, own=peer.address, port=5062, to=user, authorization=value)
    phones = {phone["extension"]: phone["devices"] for phone in (await box.status())["phones"]}
    assert [device["source"] for device in phones["101"]] == [f"{peer.address}:5062"]
    assert phones["102"] == []


async def test_what_a_provider_may_do_with_a_call(box: Box, sipp: Sipp) -> None:
    # the box refreshes the session after 45 s; meanwhile the other line does the rest
    refreshed = asyncio.create_task(sipp.run("timer_theirs", port=5092))
    for scenario in ("options", "hold", "timer_ours", "fax_alone", "fax_later", "video", "late_offer"):
        await sipp.run(scenario)
        assert (await box.status())["engine"]["faults"] == 0, scenario
    await sipp.run("info_key", number="+12175559077")
    assert (await box.record("+12175559077"))["path"] == ["menu:day", "mailbox:refills"]
    await refreshed
    await box.until(lambda status: status["engine"]["calls"] == 0)


async def test_a_flood_does_not_reach_the_patients(box: Box, sipp: Sipp, desk: Phones, patient: Patient) -> None:
    await box.register(desk, "101", mark=FRONT_DESK)
    flood = asyncio.create_task(sipp.run("flood", own=elsewhere(box.address), port=5066, calls=3000, rate=500))
    call = patient()
    await call.reaches("answered", 3)
    await sounding(call.record)
    call.do("keys", keys="1")
    _, phone = await desk.incoming()
    phone.answer()
    await heard(call.record, FRONT_DESK)
    await heard(phone.record, PATIENT)
    assert not flood.done(), "the flood went on all the while"
    call.hang_up()
    await phone.reaches("ended")
    await flood
    status = await box.status()
    assert status["dropped_requests"] > 1000
    assert [row["caller_number"] for row in await box.records()] == ["+12175559001"]
    assert status["bans"] == [], "a flood is forged easily: it is cut off, nobody is banned for it"


async def test_a_call_cancelled_while_it_rings(box: Box, sipp: Sipp, stranger: Strangers) -> None:
    phone = await stranger(box)
    assert (await phone.register(box.secret("120"), user="120")).code == 200
    caller = asyncio.create_task(sipp.run("cancel_ringing", to="+12175550101", number="+12175559088"))
    invite = await phone.request("INVITE")
    phone.reply(invite, 180, tag="t1")
    cancel = await phone.request("CANCEL")
    phone.reply(cancel, 200, tag="t1")
    phone.reply(invite, 487, tag="t1")
    await caller
    record = await box.record("+12175559088")
    assert (record["outcome"], record["answered_by"]) == ("abandoned", "")
    await box.until(lambda status: status["engine"]["calls"] == 0)


async def cancelled(call: Dialog, after: int) -> int:
    """A call is cancelled as soon as the box has said ``after`` (0: at once): the call's end."""
    call.peer.send(call.write("INVITE", body=sdp(call.peer.address, 42000)))
    via, said, ends = call.via, {0}, dict[str, Message]()
    sent = False
    while not (sent and ends.keys() >= {"INVITE", "CANCEL"}):
        if not sent and after in said:
            sent = True
            call.peer.send(call.write("CANCEL", via=via, cseq=1))
            continue
        message = await call.peer.next(lambda message: message.header("call-id") == call.call_id)
        if message.method == "INVITE":
            said.add(message.code)
        if message.code >= 200:
            ends[message.method] = message
    assert ends["CANCEL"].code in {200, 481}
    call.learn(ends["INVITE"])
    call.ack(ends["INVITE"], via=via)
    return ends["INVITE"].code


async def test_a_cancel_that_crosses_the_answer(box: Box, stranger: Strangers) -> None:
    """CANCEL right behind INVITE, or behind the answer: each call ends one way or the other, none stays."""
    trunk = await stranger(box, own=box.address, port=5090)
    callers, ends = [f"+1217555{8000 + number}" for number in range(40)], set()
    for number, caller in enumerate(callers):
        call = Dialog(trunk, f"sip:{MAIN}@{box.address}", number=caller)
        after = (0, 200)[number % 2]
        end = await cancelled(call, after)
        assert end == 200 or (end == 487 and after != 200)
        if end == 200:
            assert (await call.bye()).code == 200
        ends.add((after, end))
    assert {(0, 487), (200, 200)} <= ends
    status = await box.until(lambda status: status["engine"]["calls"] == 0 and status["calls"] == [])
    assert status["promises"]["open"] == 0
    await box.record(callers[-1])
    assert {row["caller_number"] for row in await box.records()} == set(callers), "also who left before they heard anything"


@pytest.mark.parametrize("lost", [None, 40])
def test_the_meter_finds_a_lost_frame(tmp_path: Path, lost: int | None) -> None:
    """A recording put together by hand: the meter hears all numbers, or all but the one that was left out."""
    sent = [rawrtp.frame(number) for number in range(100) if number != lost]
    path = tmp_path / "direct.wav"
    path.write_bytes(bytes(44) + np.concatenate([np.zeros(1234), *sent]).astype("<i2").tobytes())
    assert rawrtp.missing(rawrtp.numbers(path), 100) == ([] if lost is None else [lost])


async def lost_frames(trunk: Peer, desk: Phones, first: int, frames: int) -> list[int]:
    """A call in which the caller sends numbered frames: the numbers that the front desk never heard."""
    call = Dialog(trunk, f"sip:{MAIN}@{trunk.address}")
    answer = await call.invite(sdp(trunk.address, 42000))
    assert answer.code == 200
    await call.ask("INFO", body="Signal=1\r\nDuration=160\r\n", Content_Type="application/dtmf-relay")
    _, phone = await desk.incoming()
    phone.answer()
    await phone.reaches("answered")
    port = int(re.findall(r"m=audio (\d+)", answer.body)[0])
    await rawrtp.speak((trunk.address, 42000), (trunk.address, port), first=first, frames=frames)
    assert (await call.bye()).code == 200
    await phone.reaches("ended")
    assert phone.record is not None
    return rawrtp.missing(rawrtp.numbers(phone.record), frames)


async def test_audio_goes_on_when_its_sequence_numbers_begin_anew(box: Box, desk: Phones, stranger: Strangers) -> None:
    """RTP counts to 65535 and begins at 0 again (RFC 3550 section 5.1): nothing is lost there.

    A machine busy with other work may lose a frame anywhere, so there is a second and a third call; what were lost at the
    turn would be lost in each.
    """
    await box.register(desk, "101")
    trunk = await stranger(box, own=box.address, port=5090)
    turn, lost = 120, []
    for _ in range(3):
        # a jitter buffer may trim the beginning until it knows the line, and at the end hanging up overtakes what is in it
        frames = await lost_frames(trunk, desk, 65536 - turn, 2 * turn)
        lost.append([number for number in frames if abs(number - turn) <= 60])
        if not lost[-1]:
            break
    else:
        pytest.fail(f"frame {turn} is the first after 65535; never heard in one call after another: {lost}")

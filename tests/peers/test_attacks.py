"""Strangers at a running box: guessers, scanners, forgers. Nothing of theirs reaches a flow, and phones do not notice."""

from __future__ import annotations

import asyncio
import re
import xml.etree.ElementTree as ET
from pathlib import Path

from peers.box import Box
from peers.conftest import Patient, Strangers
from peers.marks import FRONT_DESK, WINDOW, level, loudness, sounding, tail
from peers.rawsip import DOMAIN, Dialog, Message, Peer, challenge, sdp
from sip.parts import credentials

from appliance.simulation.phones import Phones, Telephone

HOUSE = f"sip:101@{DOMAIN}"


async def handled(peer: Peer) -> None:
    """Wait until the box has worked through what was sent to it so far: it answers one more, from an honest address."""
    assert (await peer.ask(peer.write("OPTIONS", f"sip:{DOMAIN}"))).code == 200


async def untouched(box: Box) -> None:
    """No call, no record, no fault."""
    status = await box.status()
    assert (status["calls"], status["engine"]["calls"], status["engine"]["dialogs"]) == ([], 0, 0)
    assert (status["engine"]["faults"], status["faults"]["count"]) == (0, 0), status["engine"]["last_fault"]
    assert await box.records() == []


async def test_guessers_and_scanners_are_banned_and_get_no_answer(box: Box, stranger: Strangers) -> None:
    guesser, scanner, good = [await stranger(box, number=n) for n in range(3)]
    for _ in range(8):
        assert (await guesser.register("a guess")).code == 401
    scanner.send(scanner.write("OPTIONS", f"sip:100@{box.address}", User_Agent="friendly-scanner"))
    await handled(good)
    bans = {ban["address"]: ban["why"] for ban in (await box.status())["bans"]}
    assert bans == {guesser.address: "8 wrong passwords", scanner.address: "a scanner"}
    dropped = (await box.status())["dropped_requests"]
    for peer in (guesser, scanner):
        for method in ("OPTIONS", "REGISTER", "INVITE", "BYE"):
            peer.send(peer.write(method, HOUSE))
    await handled(good)
    assert guesser.came.empty() and scanner.came.empty()
    assert (await box.status())["dropped_requests"] == dropped + 8


async def test_a_trunk_is_never_banned(box: Box, stranger: Strangers) -> None:
    trunk = await stranger(box, own=box.address, port=5090)
    for _ in range(12):
        assert (await trunk.register("a guess")).code == 401
        trunk.send(trunk.write("OPTIONS", HOUSE, User_Agent="friendly-scanner", From="<sip:1@a>;tag=1"))
    assert (await box.status())["bans"] == []
    call = Dialog(trunk, f"sip:+12175550100@{box.address}")
    assert (await call.invite(sdp(trunk.address, 42000))).code == 200
    assert (await call.bye()).code == 200


async def test_calls_without_credentials_reach_nothing(box: Box, stranger: Strangers) -> None:
    for transport in ("UDP", "TCP"):
        peer = await stranger(box, transport)
        for uri in (HOUSE, f"sip:+12175550100@{box.address}", f"sip:911@{box.address}", "tel:+19005550100"):
            for sender in ("", "<sip:101@clinic.local>;tag=1", f"<sip:+12175559001@{box.address}:5090>;tag=2"):
                call = Dialog(peer, uri)
                answer = await call.invite(sdp(peer.address, 42000), **({"From": sender} if sender else {}))
                assert answer.code == 401
                assert challenge(answer)["realm"] == DOMAIN
    await untouched(box)


async def test_requests_of_no_dialog_are_refused(box: Box, stranger: Strangers) -> None:
    peer = await stranger(box)
    tagged = {"To": f"<{HOUSE}>;tag=madeup"}
    expected = {
        "BYE": {481},
        "INVITE": {481},
        "INFO": {481},
        "UPDATE": {481},
        "PRACK": {481},
        "OPTIONS": {481},
        "NOTIFY": {481},
        "REFER": {481},
        "SUBSCRIBE": {401, 481},
        "MESSAGE": {405, 481},
        "PUBLISH": {405, 481, 489},
    }
    for method, codes in expected.items():
        answer = await peer.ask(peer.write(method, HOUSE, Refer_To="<sip:+19005550100@x>", Event="dialog", **tagged))
        assert answer.code in codes, (method, answer)
    for method, code in {"REFER": 401, "NOTIFY": 405, "MESSAGE": 405, "PUBLISH": 489, "CANCEL": 481}.items():
        answer = await peer.ask(peer.write(method, HOUSE, Refer_To="<sip:+19005550100@x>", Event="dialog"))
        assert answer.code == code, (method, answer)
    # of what means nothing outside a call nobody takes notice
    for method in ("BYE", "INFO", "UPDATE", "PRACK", "FROBNICATE", "ACK"):
        peer.send(peer.write(method, HOUSE))
    peer.send(peer.write("ACK", HOUSE, **tagged))
    await handled(peer)
    assert peer.came.empty()
    await untouched(box)


async def test_with_a_password_too_only_calls_call(box: Box, stranger: Strangers) -> None:
    phone, password = await stranger(box), box.secret("101")
    assert (await phone.signed("REFER", HOUSE, password=password, Refer_To="<sip:+19005550100@x>")).code == 405
    for value in ("a-call-id;to-tag=1;from-tag=2", "a-call-id;to-tag=1;from-tag=2;early-only"):
        answer = await phone.signed("INVITE", HOUSE, password=password, Replaces=value, Require="replaces")
        assert answer.code == 420
    await untouched(box)


async def test_a_caught_call_cannot_be_made_again(box: Box, stranger: Strangers) -> None:
    phone, thief = await stranger(box), await stranger(box, number=1)
    uri = f"sip:999@{DOMAIN}"
    asked = challenge(await phone.ask(phone.write("INVITE", uri)))
    value = credentials(asked, "INVITE", uri, "101", box.secret("101"))
    assert (await phone.ask(phone.write("INVITE", uri, Authorization=value))).code == 404
    for peer in (phone, thief):
        for target in (uri, f"sip:911@{DOMAIN}"):
            assert (await peer.ask(peer.write("INVITE", target, Authorization=value))).code == 401
    fresh = credentials(asked, "INVITE", uri, "101", box.secret("101"), count=2)
    assert (await phone.ask(phone.write("INVITE", f"sip:911@{DOMAIN}", Authorization=fresh))).code == 401, (
        "made for another call"
    )
    assert len(await box.records()) == 1


async def answered_at_the_desk(call: Dialog, desk: Phones) -> Telephone:
    """The caller presses 1 and the front desk answers."""
    assert (await call.invite(sdp(call.peer.address, 42000))).code == 200
    assert (await call.ask("INFO", body="Signal=1\r\nDuration=160\r\n", Content_Type="application/dtmf-relay")).code == 200
    _, phone = await desk.incoming()
    phone.answer()
    await phone.reaches("answered")
    return phone


async def test_a_call_is_ended_and_moved_by_its_own_parties_only(box: Box, desk: Phones, stranger: Strangers) -> None:
    await box.register(desk, "101", mark=FRONT_DESK)
    trunk, peer = await stranger(box, own=box.address, port=5090), await stranger(box)
    call = Dialog(trunk, f"sip:+12175550100@{box.address}")
    phone = await answered_at_the_desk(call, desk)
    # who overhears the Call-ID, but not the tags
    forged = {"Call-ID": call.call_id, "To": f"{call.remote.partition(';tag=')[0]};tag=1", "From": call.local}
    for method in ("BYE", "REFER", "INVITE", "UPDATE", "INFO", "NOTIFY", "CANCEL"):
        answer = await peer.ask(peer.write(method, HOUSE, Refer_To="<sip:+19005550100@x>", Event="refer", **forged))
        assert answer.code == 481, method
    # an outside party may not send the clinic's calls to a number of its own choice
    refused = await call.ask("REFER", Refer_To="<sip:+19005550100@x>")
    told = await trunk.request("NOTIFY") if refused.code == 202 else refused
    trunk.reply(told, 200)
    assert refused.code >= 400 or told.body.startswith("SIP/2.0 403")
    assert [leg["with"] for leg in (await box.status())["calls"]] == ["101"]
    assert phone.state == "answered"
    assert (await call.bye()).code == 200
    await phone.reaches("ended")
    assert (await box.record("+12175559001"))["path"] == ["menu:day", "queue:frontdesk"]


async def test_a_hostile_caller_still_rings_the_front_desk(box: Box, desk: Phones, stranger: Strangers) -> None:
    """Whatever a provider passes on as the caller's name and number: a person answers, and the records can be read."""
    await box.register(desk, "101", mark=FRONT_DESK)
    trunk = await stranger(box, own=box.address, port=5090)
    senders = [
        '"Eve\\" <sip:911@x>" <sip:%3c%3e%0d%0aX-Evil:%20yes@203.0.113.5>;tag=1',
        '"Ren\udce9 \x1b[2J\x07" <sip:+12175559001@203.0.113.5>;tag=1',
        "<tel:+12175559001>;tag=1",
        '"' + "x" * 900 + '" <sip:' + "9" * 300 + "@203.0.113.5>;tag=1",
        '"Anuj Tiwari" <sip:anonymous@anonymous.invalid>;tag=1',
        "<sip:130@203.0.113.5>;tag=1",
    ]
    for sender in senders:
        call = Dialog(trunk, f"sip:+12175550100@{box.address}")
        call.local = sender
        phone = await answered_at_the_desk(call, desk)
        assert re.fullmatch(r'"[^"\x00-\x1f]+" <sip:[0-9A-Za-z+-]+@clinic\.local>', phone.by)
        assert "Williams" not in phone.by, "nobody outside passes for the phone of the house whose number they send"
        assert (await call.bye()).code == 200
        await phone.reaches("ended")
        await box.until(lambda status: status["calls"] == [])
    assert len(await box.records()) == len(senders)


def lamp(notify: Message) -> tuple[int, str]:
    """Version and state of a busy lamp's NOTIFY."""
    root = ET.fromstring(notify.body)
    found = root.find(".//{*}state")
    return int(root.get("version", "-1")), "terminated" if found is None else str(found.text)


async def watch(box: Box, peer: Peer, resource: str, event: str = "dialog", **fields: str) -> tuple[Message, Message]:
    """Phone 102 watches a resource: the answer, and the first NOTIFY, answered."""
    uri = f"sip:{resource}@{DOMAIN}"
    answer = await peer.signed("SUBSCRIBE", uri, user="102", password=box.secret("102"), Event=event, **fields)
    assert answer.code == 200
    notify = await peer.request("NOTIFY")
    peer.reply(notify, 200)
    return answer, notify


async def test_a_busy_lamp_follows_a_real_call(box: Box, desk: Phones, patient: Patient, stranger: Strangers) -> None:
    await box.register(desk, "101", mark=FRONT_DESK)
    peer = await stranger(box)
    answer, notify = await watch(box, peer, "101")
    seen = [lamp(notify)]
    assert notify.header("subscription-state").startswith("active;expires=")
    call = patient()
    await call.reaches("answered")
    await sounding(call.record)
    call.do("keys", keys="1")
    _, phone = await desk.incoming()

    async def next_lamp() -> None:
        notify = await peer.request("NOTIFY")
        peer.reply(notify, 200)
        seen.append(lamp(notify))

    await next_lamp()
    phone.answer()
    await next_lamp()
    call.hang_up()
    await phone.reaches("ended")
    await next_lamp()
    assert seen == [(0, "terminated"), (1, "early"), (2, "confirmed"), (3, "terminated")]
    # un-SUBSCRIBE in the dialog: a last NOTIFY, then the dialog is gone
    inside = {"To": answer.header("to"), "From": answer.header("from"), "Call-ID": answer.header("call-id")}
    for code in (200, 481):
        gone = await peer.signed(
            "SUBSCRIBE", f"sip:101@{DOMAIN}", user="102", password=box.secret("102"), Event="dialog", Expires="0", **inside
        )
        assert gone.code == code
        if code == 200:
            last = await peer.request("NOTIFY")
            assert last.header("subscription-state").startswith("terminated")
            peer.reply(last, 200)


async def after_the_tone(path: Path | None) -> None:
    """Wait for the tone of a mailbox (700 Hz and nothing else), and then as long as a message must last to be one."""
    assert path is not None
    async with asyncio.timeout(40):
        while (samples := tail(path)).size < WINDOW or level(samples, 700) < loudness(samples):  # noqa: ASYNC110 - as below
            await asyncio.sleep(0.1)
        heard_so_far = path.stat().st_size
        while path.stat().st_size < heard_so_far + 2 * 16_000:  # noqa: ASYNC110 - another process writes the file
            await asyncio.sleep(0.1)


async def test_a_message_lamp_lights_when_a_message_is_left(box: Box, patient: Patient, stranger: Strangers) -> None:
    peer = await stranger(box)
    await watch(box, peer, "refills", "message-summary")
    call = patient()
    await call.reaches("answered")
    await sounding(call.record)
    call.do("keys", keys="2")
    await after_the_tone(call.record)
    call.hang_up()
    notify = await peer.request("NOTIFY")
    assert "Messages-Waiting: yes" in notify.body and "Voice-Message: 1/0" in notify.body
    peer.reply(notify, 200)


async def test_a_watcher_that_is_gone_is_forgotten(box: Box, desk: Phones, stranger: Strangers) -> None:
    peer, other = await stranger(box), await stranger(box, number=1)
    unknown = await peer.signed("SUBSCRIBE", HOUSE, user="102", password=box.secret("102"), Event="presence")
    assert (unknown.code, unknown.header("allow-events")) == (489, "dialog, message-summary")
    await watch(box, peer, "101")
    await watch(box, other, "101")
    await box.register(desk, "101", mark=FRONT_DESK)
    phone = desk.call("101", f"sip:999@{box.address}:5060")
    # a phone that was restarted does not know the dialog any more
    peer.reply(await peer.request("NOTIFY"), 481)
    other.reply(await other.request("NOTIFY"), 200)
    await phone.reaches("ended")
    other.reply(await other.request("NOTIFY"), 200)
    await handled(peer)
    assert peer.came.empty()

"""Phones register at a running box over UDP, TCP and TLS; it finds them again after a power cut."""

from __future__ import annotations

import itertools

from peers.box import Box
from peers.conftest import Patient, Strangers
from peers.marks import FRONT_DESK, NURSE, heard, sounding
from peers.rawsip import DOMAIN, Message, Peer, challenge, sdp
from sip.parts import credentials

from appliance.simulation.phones import Phones

REGISTRAR = f"sip:{DOMAIN}"


async def devices(box: Box, extension: str = "101") -> list[dict[str, str]]:
    """What the status shows of an extension."""
    phones = (await box.status())["phones"]
    return next(list(phone["devices"]) for phone in phones if phone["extension"] == extension)


def bound(answer: Message) -> list[str]:
    """The contacts a 200 lists, without their seconds."""
    assert answer.code == 200, answer
    return sorted(contact.partition("<")[2].partition(">")[0] for contact in answer.all("contact"))


def final(message: Message) -> bool:
    return message.method == "INVITE" and message.code >= 200


async def ring(box: Box, caller: Peer, target: str = "101") -> None:
    """Phone 102 calls; whoever listens sees what becomes of it."""
    uri = f"sip:{target}@{DOMAIN}"
    caller.send(await caller.sign("INVITE", uri, user="102", password=box.secret("102")))


async def test_a_phone_registers_and_signs_off(box: Box, stranger: Strangers) -> None:
    password = box.secret("101")
    for transport, algorithm in itertools.product(("UDP", "TCP"), ("MD5", "SHA-256")):
        phone = await stranger(box, transport)
        granted = await phone.register(password, algorithm=algorithm, Expires="120", User_Agent="Desk phone")
        assert len(bound(granted)) == 1 and "expires=120" in granted.header("contact")
        assert await devices(box) == [{"source": phone.at, "transport": transport.lower(), "agent": "Desk phone"}]
        assert bound(await phone.register(password, algorithm=algorithm, Contact="")) == bound(granted)
        assert bound(await phone.register(password, algorithm=algorithm, Contact="*", Expires="0")) == []
        assert await devices(box) == []


async def test_over_tls(secure_box: Box, stranger: Strangers) -> None:
    phone, caller = await stranger(secure_box, "TLS"), await stranger(secure_box, number=1)
    assert bound(await phone.register(secure_box.secret("101")))
    assert await devices(secure_box) == [{"source": phone.at, "transport": "tls", "agent": ""}]
    await ring(secure_box, caller)
    # the call reaches the phone on the connection that it keeps open
    invite = await phone.request("INVITE")
    assert "transport=tls" in invite.start
    phone.reply(invite, 486, tag="t1")
    assert (await caller.next(final)).code == 486


async def test_a_phone_whose_connection_is_gone(box: Box, stranger: Strangers) -> None:
    """Its binding stays until it expires, but a ring there fails at once, and holds up no other phone."""
    gone, there, caller = await stranger(box, "TCP"), await stranger(box, number=1), await stranger(box, number=2)
    await gone.register(box.secret("101"))
    gone.close()
    await ring(box, caller)
    assert (await caller.next(final, seconds=2)).code == 480
    await there.register(box.secret("101"))
    await ring(box, caller)
    there.reply(await there.request("INVITE"), 200, tag="t1", body=sdp(there.address, 40000))
    assert (await there.request("ACK")).code == 0


async def test_a_wrong_password_and_an_unknown_name_look_alike(box: Box, stranger: Strangers) -> None:
    phone = await stranger(box)
    seen = []
    for user in ("101", "987"):
        answer = await phone.register("wrong", user=user)
        shown = [(name, value.partition("nonce=")[0]) for name, value in answer.fields if name not in {"from", "to", "via"}]
        seen.append((answer.start, [(n, v) for n, v in shown if n not in {"call-id", "cseq"}]))
    assert seen[0] == seen[1]
    assert "401" in seen[0][0]
    assert await devices(box) == []


async def test_a_caught_answer_is_refused(box: Box, stranger: Strangers) -> None:
    phone, thief = await stranger(box), await stranger(box, number=1)
    asked = challenge(await phone.ask(phone.write("REGISTER", REGISTRAR)))
    value = credentials(asked, "REGISTER", REGISTRAR, "101", box.secret("101"))
    assert (await phone.ask(phone.write("REGISTER", REGISTRAR, Authorization=value))).code == 200
    for peer in (phone, thief):
        again = await peer.ask(peer.write("REGISTER", REGISTRAR, Authorization=value, Contact="<sip:101@203.0.113.66>"))
        assert (again.code, challenge(again)["stale"]) == (401, "true")
    assert [device["source"] for device in await devices(box)] == [phone.at]


async def test_several_phones_ring_for_one_extension(box: Box, stranger: Strangers) -> None:
    first, second, caller = [await stranger(box, number=n) for n in range(3)]
    for phone in (first, second):
        await phone.register(box.secret("101"))
    assert len(await devices(box)) == 2
    await ring(box, caller)
    for phone in (first, second):
        invite = await phone.request("INVITE")
        assert invite.start.startswith(f"INVITE sip:101@{phone.at}")
        phone.reply(invite, 486, tag="t1")


async def test_behind_a_proxy_the_path_is_the_way_back(box: Box, stranger: Strangers) -> None:
    proxy, caller = await stranger(box), await stranger(box, number=1)
    path = f"<sip:edge@{proxy.at};lr>"
    contact = "sip:101@10.9.8.7:5062"
    granted = await proxy.register(box.secret("101"), Path=path, Contact=f"<{contact}>", Supported="path")
    assert granted.header("path") == path
    await ring(box, caller)
    invite = await proxy.request("INVITE")
    assert invite.start == f"INVITE {contact} SIP/2.0"
    assert invite.all("route") == [path]
    proxy.reply(invite, 486, tag="t1")


async def test_what_is_refused_binds_nothing(box: Box, stranger: Strangers) -> None:
    phone, victim = await stranger(box), await stranger(box, number=1)
    assert (await phone.register(box.secret("101"), Path=f"<sip:{victim.at};lr>")).code == 403
    assert (await phone.register(box.secret("101"), To=f"<sip:102@{DOMAIN}>")).code == 403
    short = await phone.register(box.secret("101"), Expires="10")
    assert (short.code, short.header("min-expires")) == (423, "60")
    assert await devices(box) == [] == await devices(box, "102")


async def test_registrations_outlive_a_power_cut(box: Box, desk: Phones, patient: Patient) -> None:
    await box.register(desk, "101", mark=FRONT_DESK)
    await box.register(desk, "110", mark=NURSE)
    before = [await devices(box, extension) for extension in ("101", "110")]
    await box.kill()
    await box.start()
    assert [await devices(box, extension) for extension in ("101", "110")] == before
    call = patient()
    await call.reaches("answered")
    await sounding(call.record)
    call.do("keys", keys="4")
    account, phone = await desk.incoming()
    assert account == "110"
    phone.answer()
    await phone.reaches("answered")
    await heard(call.record, NURSE)
    call.hang_up()
    await phone.reaches("ended")

"""Busy lamps and message lamps: RFC 6665, RFC 4235, RFC 3842."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sip.parts import HOME, Desk, message, signed

from appliance.sip.dialoginfo import Presence, dialog_info, message_summary
from appliance.sip.front import Answer, OutgoingNotify
from appliance.sip.subscriptions import LONGEST, MOST_PER_PHONE

NS = "{urn:ietf:params:xml:ns:dialog-info}"


@pytest.fixture
def desk() -> Desk:
    return Desk()


def subscribe(
    desk: Desk, to: str = "sip:102@clinic.local", *, source: str = HOME, transport: str = "UDP", **headers: str
) -> Answer:
    fields = {"Event": "dialog", "Contact": "<sip:101@10.0.0.9:5060>", "Expires": "600"} | headers
    return desk.answer(signed(desk, "SUBSCRIBE", to, source=source, transport=transport, **fields), source, transport)  # type: ignore[arg-type]


def within(desk: Desk, answer: Answer, first: OutgoingNotify, **headers: str) -> Answer:
    """A SUBSCRIBE in the subscription's own dialog."""
    return subscribe(desk, To=f"{first.from_};tag={answer.to_tag}", **{"Call-ID": first.call_id}, **headers)


def lamp(out: OutgoingNotify) -> tuple[int, str]:
    """Version and state of a busy lamp's NOTIFY."""
    root = ET.fromstring(out.body)
    states = [str(state.text) for state in root.iter(f"{NS}state")]
    assert root.get("state") == "full"
    return int(root.get("version", "-1")), states[0] if states else "terminated"


def state(out: OutgoingNotify) -> str:
    return dict(out.headers)["Subscription-State"]


def confirm(desk: Desk, code: int = 200) -> None:
    desk.front.notify_answered(len(desk.sent), code)


def test_a_busy_lamp_follows_a_call(desk: Desk) -> None:
    answer = subscribe(desk)
    assert (answer.code, ("Expires", "600") in answer.headers, bool(answer.to_tag)) == (200, True, True)
    confirm(desk)
    for name in ("ringing", "in-use", "idle"):
        desk.front.extension_state("102", name, "call-1")
        confirm(desk)
    assert [lamp(out) for out in desk.sent] == [(0, "terminated"), (1, "early"), (2, "confirmed"), (3, "terminated")]
    assert [out.cseq for out in desk.sent] == [1, 2, 3, 4]
    assert {(out.target, out.from_tag, out.content_type) for out in desk.sent} == {
        ("sip:101@192.0.2.10:5060", answer.to_tag, "application/dialog-info+xml")
    }


def test_while_a_notify_is_under_way_changes_are_gathered(desk: Desk) -> None:
    subscribe(desk)
    for name in ("ringing", "in-use", "idle", "ringing"):
        desk.front.extension_state("102", name, "call-1")
    assert len(desk.sent) == 1
    confirm(desk)
    assert [lamp(out) for out in desk.sent] == [(0, "terminated"), (1, "early")]


def test_the_same_state_again_is_not_told(desk: Desk) -> None:
    subscribe(desk)
    confirm(desk)
    desk.front.extension_state("102", "idle")
    desk.front.extension_state("101", "in-use", "call-2")
    assert len(desk.sent) == 1


def test_a_message_lamp_follows_the_mailbox(desk: Desk) -> None:
    assert subscribe(desk, "sip:refills@clinic.local", Event="message-summary").code == 200
    confirm(desk)
    desk.front.messages_waiting("refills", 2, 1)
    assert [out.body.split("\r\n")[0] for out in desk.sent] == ["Messages-Waiting: no", "Messages-Waiting: yes"]
    assert "Voice-Message: 2/1 (0/0)\r\n" in desk.sent[1].body


def test_a_refresh_keeps_the_dialog_and_moves_with_the_phone(desk: Desk) -> None:
    answer = subscribe(desk)
    confirm(desk)
    desk.time += 500
    text = {"To": f"{desk.sent[0].from_};tag={answer.to_tag}", "Call-ID": desk.sent[0].call_id}
    again = subscribe(desk, source="192.0.2.10:7000", **text)
    assert (again.code, again.to_tag) == (200, answer.to_tag)
    assert (desk.sent[-1].target, lamp(desk.sent[-1])[0], state(desk.sent[-1])) == (
        "sip:101@192.0.2.10:7000",
        1,
        "active;expires=600",
    )


def test_to_unsubscribe_gives_a_last_notify(desk: Desk) -> None:
    answer = subscribe(desk)
    assert within(desk, answer, desk.sent[0], Expires="0").code == 200
    assert state(desk.sent[-1]).startswith("terminated")
    desk.front.extension_state("102", "ringing", "call")
    assert (len(desk.sent), len(desk.front.subscriptions)) == (2, 0)
    assert within(desk, answer, desk.sent[0], Expires="60").code == 481


def test_expiry_gives_a_last_notify(desk: Desk) -> None:
    subscribe(desk, Expires="90")
    confirm(desk)
    desk.time += 91
    desk.front.sweep()
    assert state(desk.sent[-1]) == "terminated;reason=timeout"
    assert len(desk.front.subscriptions) == 0


def test_to_ask_once(desk: Desk) -> None:
    assert subscribe(desk, Expires="0").code == 200
    assert state(desk.sent[0]).startswith("terminated")
    assert len(desk.front.subscriptions) == 0


@pytest.mark.parametrize("code", [408, 481, 503])
def test_a_dead_watcher_is_forgotten(desk: Desk, code: int) -> None:
    subscribe(desk)
    confirm(desk, code)
    desk.front.extension_state("102", "ringing", "call")
    assert (len(desk.sent), len(desk.front.subscriptions)) == (1, 0)


def test_what_cannot_be_watched_is_refused(desk: Desk) -> None:
    answer = subscribe(desk, Event="presence")
    assert (answer.code, ("Allow-Events", "dialog, message-summary") in answer.headers) == (489, True)
    assert subscribe(desk, Event="").code == 489
    short = subscribe(desk, Expires="5")
    assert (short.code, ("Min-Expires", "60") in short.headers) == (423, True)
    assert subscribe(desk, Expires="x").code == 400
    assert ("Expires", str(LONGEST)) in subscribe(desk, Expires="99999999").headers


def test_nobody_watches_without_a_password(desk: Desk) -> None:
    assert desk.answer(message("SUBSCRIBE", "sip:102@clinic.local", Event="dialog", Contact="<sip:x@203.0.113.9>")).code == 401
    assert desk.sent == []


def test_another_phone_cannot_end_or_move_a_subscription(desk: Desk) -> None:
    answer = subscribe(desk)
    tagged = {"To": f"{desk.sent[0].from_};tag={answer.to_tag}", "Call-ID": desk.sent[0].call_id}
    stranger = signed(desk, "SUBSCRIBE", user="102", Event="dialog", Contact="<sip:102@10.0.0.7>", Expires="0", **tagged)
    assert desk.answer(stranger).code == 481
    assert len(desk.front.subscriptions) == 1


def test_notifications_go_to_whoever_asked_and_to_nobody_else(desk: Desk) -> None:
    """A forged Contact must not turn the box's notifications on a third machine."""
    subscribe(desk, Contact="<sip:victim@203.0.113.9:53>", **{"Record-Route": "<sip:203.0.113.9;lr>\rX-Evil: 1"})
    assert desk.sent[0].target == "sip:victim@192.0.2.10:5060"
    assert all("\r" not in value and "\n" not in value for _, value in desk.sent[0].headers)


def test_a_phone_has_so_many_subscriptions_and_no_more(desk: Desk) -> None:
    codes = []
    for _ in range(MOST_PER_PHONE + 3):
        desk.time += 0.2
        codes.append(subscribe(desk).code)
    assert codes == [200] * MOST_PER_PHONE + [503] * 3


def test_the_id_of_an_event_comes_back_with_each_notify(desk: Desk) -> None:
    subscribe(desk, Event="dialog;id=17")
    assert dict(desk.sent[0].headers)["Event"] == "dialog;id=17"


#: what an address may hold: readers refuse control characters
names = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc", "Cn")), max_size=40)


@given(entity=names, call=names, version=st.integers(0, 2**31), name=st.sampled_from(["idle", "ringing", "in-use"]))
def test_a_lamp_is_well_formed_whatever_it_is_called(entity: str, call: str, version: int, name: str) -> None:
    root = ET.fromstring(dialog_info(entity, version, Presence(name, call)))
    assert (root.tag, root.get("version")) == (f"{NS}dialog-info", str(version))
    assert len(list(root.iter(f"{NS}dialog"))) == (0 if name == "idle" else 1)


@given(st.integers(0, 99), st.integers(0, 99))
def test_a_summary_has_one_line_for_each_thing(new: int, old: int) -> None:
    lines = message_summary("sip:refills@clinic.local", new, old).split("\r\n")
    assert lines == [
        f"Messages-Waiting: {'yes' if new else 'no'}",
        "Message-Account: sip:refills@clinic.local",
        f"Voice-Message: {new}/{old} (0/0)",
        "",
    ]


@given(st.lists(st.sampled_from(["idle", "ringing", "in-use", "answered", "refreshed"]), max_size=20))
def test_versions_and_sequence_rise_by_one_whatever_happens(events: list[str]) -> None:
    desk = Desk()
    answer = subscribe(desk)
    for number, event in enumerate(events):
        match event:
            case "answered":
                confirm(desk)
            case "refreshed":
                within(desk, answer, desk.sent[0], Expires="600")
            case _:
                desk.front.extension_state("102", event, f"call-{number}")
    for before, after in itertools.pairwise(desk.sent):
        assert (after.cseq - before.cseq, lamp(after)[0] - lamp(before)[0]) == (1, 1)

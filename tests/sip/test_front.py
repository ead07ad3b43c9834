"""Who comes in and who does not; and that nothing anybody sends upsets the front."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sip.parts import ELSEWHERE, HOME, PASSWORDS, Desk, message, register, signed

from appliance.sip.front import Answer, Drop, Pass, Phone, Request, Trunk

TRUNK = "203.0.113.5:5060"
DID = "sip:+12175550100@192.0.2.1"
METHODS = ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "PUBLISH", "MESSAGE", "NOTIFY", "REFER", "FROBNICATE"]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def verdict(desk: Desk, text: str, source: str = HOME) -> Answer | Pass | Drop:
    return desk.front.handle(Request(text, source, "UDP"))


def test_a_call_comes_in_from_a_phone_that_signs(desk: Desk) -> None:
    assert desk.answer(message("INVITE", "sip:102@clinic.local")).code == 401
    assert verdict(desk, signed(desk, "INVITE", "sip:102@clinic.local")) == Pass(Phone("101"))


@pytest.mark.parametrize(
    "sender",
    [
        '"Pat" <sip:+12175559001@203.0.113.5>',
        "<tel:+12175559001>",
        "<sip:anonymous@anonymous.invalid>",
        "sip:+12175559001@a",
        "<",
        "",
    ],
)
def test_a_call_comes_in_from_a_trunks_address_whoever_calls(desk: Desk, sender: str) -> None:
    assert verdict(desk, message("INVITE", DID, From=f"{sender};tag=1"), TRUNK) == Pass(Trunk("main"))
    other = verdict(desk, message("INVITE", DID, From=f"{sender};tag=1"), ELSEWHERE)
    assert isinstance(other, Answer) and other.code == 401


def test_a_trunk_that_says_it_is_a_phone_has_to_sign(desk: Desk) -> None:
    assert desk.answer(message("INVITE", "sip:+19005550100@192.0.2.1"), TRUNK).code == 401


def test_a_phone_cannot_call_as_another(desk: Desk) -> None:
    answer = verdict(desk, signed(desk, "INVITE", "sip:102@clinic.local", From="<sip:102@clinic.local>;tag=1"))
    assert isinstance(answer, Answer) and answer.code == 403


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("source", [HOME, ELSEWHERE])
def test_nothing_but_options_is_done_without_a_password(desk: Desk, method: str, source: str) -> None:
    answer = desk.answer(message(method, Contact="<sip:x@203.0.113.9>", Event="dialog"), source)
    expected = {"OPTIONS": 200, "PUBLISH": 489, "MESSAGE": 405, "NOTIFY": 405}
    assert answer.code == expected.get(method, 401)
    assert desk.sent == [] and desk.front.registrar.all() == []


@pytest.mark.parametrize("method", ["REFER", "FROBNICATE"])
def test_what_a_phone_may_not_ask_outside_a_call(desk: Desk, method: str) -> None:
    answer = desk.answer(signed(desk, method, "sip:102@clinic.local", **{"Refer-To": "<sip:+19005550100@a>"}))
    assert answer.code == 405


def test_options_tell_what_we_can_do_and_not_whom_we_have(desk: Desk) -> None:
    answers = [desk.answer(message("OPTIONS", f"sip:{user}@clinic.local")) for user in ("101", "987")]
    assert answers[0] == answers[1]
    assert "INVITE" in dict(answers[0].headers)["Allow"]


raw = st.binary(max_size=300).map(lambda data: data.decode("utf-8", "surrogateescape"))
values = raw | st.sampled_from(
    ["", "*", "<sip:101@clinic.local>", "sip:", "<sip:a@b:99999999>", "9" * 5000, "²", "1 REGISTER", "dialog"]
)
NAMES = ["From", "To", "Contact", "Expires", "Call-ID", "CSeq", "Path", "Event", "User-Agent", "Authorization", "Record-Route"]


@given(
    method=st.sampled_from(METHODS),
    source=st.sampled_from([HOME, TRUNK, ELSEWHERE]),
    headers=st.dictionaries(st.sampled_from(NAMES), values),
)
def test_a_stranger_cannot_upset_it(method: str, source: str, headers: dict[str, str]) -> None:
    assert verdict(Desk(), message(method, **headers), source) is not None


@given(raw)
def test_no_bytes_upset_it(text: str) -> None:
    assert verdict(Desk(), text) is not None


@given(
    method=st.sampled_from(METHODS),
    headers=st.dictionaries(st.sampled_from([n for n in NAMES if n != "Authorization"]), values),
)
def test_a_phone_with_a_password_cannot_upset_it(method: str, headers: dict[str, str]) -> None:
    desk = Desk()
    answer = verdict(desk, signed(desk, method, **headers))
    desk.front.tend()
    if isinstance(answer, Answer):
        written = [
            answer.reason,
            *(value for _, value in answer.headers),
            *(value for out in desk.sent for _, value in out.headers),
        ]
        assert not any("\r" in text or "\n" in text for text in written), "no header can be smuggled into an answer"


def test_a_reload_keeps_phones_that_stay(desk: Desk) -> None:
    register(desk)
    desk.front.reload({"101": desk.front._phones["101"]})
    assert desk.front.bindings("101")
    assert desk.answer(signed(desk, "REGISTER", user="102", password=PASSWORDS["102"], source=ELSEWHERE), ELSEWHERE).code == 401

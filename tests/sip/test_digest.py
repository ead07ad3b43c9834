"""Signing in: who knows the password comes in, once for each answer, for the request it was made for."""

from __future__ import annotations

import pytest
from sip.parts import ELSEWHERE, HOME, Desk, challenge, credentials, message, signed

from appliance.sip.digest import NONCE_SECONDS, USED_NONCES
from appliance.sip.front import Answer, Pass, Request

DOMAIN_URI = "sip:clinic.local"
CALL = "sip:102@clinic.local"


def verdict(desk: Desk, text: str, source: str = HOME) -> object:
    return desk.front.handle(Request(text, source, "UDP"))


def invite(asked: dict[str, str], uri: str = CALL, *, made_for: str = CALL, count: int = 1, **more: str) -> str:
    value = credentials(
        asked, more.pop("method", "INVITE"), made_for, "101", more.pop("password", "open sesame"), count=count, **more
    )
    return message("INVITE", uri, Authorization=value)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def asked(desk: Desk) -> dict[str, str]:
    """A challenge given to the phone at HOME."""
    return challenge(desk.answer(message("INVITE", CALL)))


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_the_right_password_comes_in(desk: Desk, algorithm: str) -> None:
    assert isinstance(verdict(desk, signed(desk, "INVITE", CALL, algorithm=algorithm)), Pass)


def test_the_stronger_hash_is_offered_first(desk: Desk) -> None:
    offered = [value for name, value in desk.answer(message("INVITE", CALL)).headers if name == "WWW-Authenticate"]
    assert ["SHA-256" in offered[0], "MD5" in offered[1], len(offered)] == [True, True, 2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "open sesam"},
        {"method": "REGISTER"},
        {"qop": "auth-int"},
        {"made_for": "sip:911@clinic.local"},
        {"made_for": "sip:102@elsewhere.example"},
    ],
)
def test_an_answer_for_something_else_is_wrong(desk: Desk, asked: dict[str, str], wrong: dict[str, str]) -> None:
    answer = verdict(desk, invite(asked, **wrong))
    assert isinstance(answer, Answer) and answer.code == 401
    assert all("stale" not in value for _, value in answer.headers)


def test_port_and_parameters_of_the_address_do_not_matter(desk: Desk, asked: dict[str, str]) -> None:
    assert isinstance(verdict(desk, invite(asked, f"{CALL}:5060;transport=tcp")), Pass)


def test_a_caught_answer_is_no_use(desk: Desk, asked: dict[str, str]) -> None:
    caught = invite(asked)
    assert isinstance(verdict(desk, caught), Pass)
    again = verdict(desk, caught)
    assert isinstance(again, Answer) and challenge(again)["stale"] == "true"
    assert isinstance(verdict(desk, invite(asked, count=2)), Pass), "the phone itself counts on"


def test_an_old_nonce_is_stale_and_the_next_answer_right(desk: Desk, asked: dict[str, str]) -> None:
    desk.time += NONCE_SECONDS + 1
    answer = verdict(desk, invite(asked))
    assert isinstance(answer, Answer)
    fresh = challenge(answer)
    assert fresh["stale"] == "true"
    assert isinstance(verdict(desk, invite(fresh)), Pass)


def test_a_nonce_is_good_at_the_address_it_was_given_to(desk: Desk, asked: dict[str, str]) -> None:
    answer = verdict(desk, invite(asked), ELSEWHERE)
    assert isinstance(answer, Answer) and challenge(answer)["stale"] == "true"


def test_a_made_up_nonce_tells_nothing_about_the_password(desk: Desk, asked: dict[str, str]) -> None:
    made_up = asked | {"nonce": "0" * len(asked["nonce"])}
    answers = [verdict(desk, invite(made_up, password=word)) for word in ("open sesame", "wrong") for _ in range(20)]
    assert {a.code for a in answers if isinstance(a, Answer)} == {401}
    assert all(isinstance(a, Answer) and challenge(a)["stale"] == "true" for a in answers)
    assert desk.front.guard.state() == [], "no forged packet bans the address it names"


def test_an_unknown_name_is_answered_like_a_wrong_password(desk: Desk) -> None:
    answers = []
    for user in ("101", "987"):
        text = signed(desk, "REGISTER", user=user, password="wrong")
        answer = desk.answer(text)
        answers.append((answer.code, answer.reason, [(n, v.partition("nonce=")[0]) for n, v in answer.headers]))
    assert answers[0] == answers[1]


def test_a_name_that_is_not_utf_8_is_only_wrong(desk: Desk, asked: dict[str, str]) -> None:
    value = credentials(asked, "REGISTER", DOMAIN_URI, "101", "x").replace('"101"', '"\udcff\udc80"')
    answer = desk.answer(message("REGISTER", Authorization=value))
    assert answer.code == 401


@pytest.mark.parametrize("count", ["0x000001", "1", "00000_01", "-0000001", "", "²0000001"])
def test_a_count_that_is_none_is_wrong(desk: Desk, asked: dict[str, str], count: str) -> None:
    text = invite(asked).replace("nc=00000001", f"nc={count}")
    assert isinstance(verdict(desk, text), Answer)


def test_what_is_remembered_of_nonces_is_forgotten_with_them(desk: Desk) -> None:
    for _ in range(50):
        assert isinstance(verdict(desk, signed(desk, "INVITE", CALL)), Pass)
        desk.time += 1
    remembered = desk.front.digest._used
    assert len(remembered) == 50
    desk.time += NONCE_SECONDS
    assert isinstance(verdict(desk, signed(desk, "INVITE", CALL)), Pass)
    assert len(remembered) == 1
    assert USED_NONCES > 50

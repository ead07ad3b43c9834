"""Who is shut out, for how long, and who never is."""

from __future__ import annotations

import pytest
from sip.parts import ELSEWHERE, HOME, Desk, message, register, signed

from appliance.sip.front import Answer, Drop, Front, Pass, Request, Trunk
from appliance.sip.guard import SOURCES, Guard, Limits

TRUNK = "203.0.113.5:5060"
CALLER = {"From": '"Pat Doe" <sip:+12175559001@203.0.113.5>;tag=1'}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def guess(desk: Desk, times: int, source: str, user: str = "101") -> object:
    """Wrong passwords, each for a fresh nonce; what the last got."""
    last: object = None
    for _ in range(times):
        first = desk.front.handle(Request(message("REGISTER", user=user), source, "UDP"))
        if isinstance(first, Drop):
            return first
        last = desk.front.handle(Request(signed(desk, "REGISTER", user=user, password="guess", source=source), source, "UDP"))
    return last


def dropped(front: Front, text: str, source: str) -> bool:
    return isinstance(front.handle(Request(text, source, "UDP")), Drop)


def test_a_guesser_is_banned_and_pardoned_in_time(desk: Desk) -> None:
    limits = Limits()
    assert isinstance(guess(desk, limits.failures, ELSEWHERE), Answer)
    assert dropped(desk.front, message("OPTIONS"), ELSEWHERE)
    (ban,) = desk.front.guard.state()
    assert (ban["address"], ban["why"]) == ("198.51.100.7", "8 wrong passwords")
    assert not dropped(desk.front, message("OPTIONS"), HOME)
    desk.time += limits.ban_seconds + 1
    desk.front.sweep()
    assert not dropped(desk.front, message("OPTIONS"), ELSEWHERE)
    assert desk.bans == [("198.51.100.7", True), ("198.51.100.7", False)]


def test_the_next_ban_is_longer(desk: Desk) -> None:
    lengths = []
    for _ in range(3):
        guess(desk, 8, ELSEWHERE)
        (ban,) = desk.front.guard.state()
        lengths.append(ban["seconds"])
        desk.time += float(str(ban["seconds"])) + 1
    assert lengths == [600, 1200, 2400]


def test_a_typing_mistake_is_forgiven(desk: Desk) -> None:
    for _ in range(5):
        guess(desk, 7, HOME)
        assert register(desk).code == 200
        desk.time += 10
    assert desk.front.guard.state() == []


@pytest.mark.parametrize("headers", [{"User-Agent": "friendly-scanner"}, {"From": '"sipvicious"<sip:100@1.1.1.1>;tag=1'}])
def test_an_attack_tool_is_banned_by_its_name(desk: Desk, headers: dict[str, str]) -> None:
    assert dropped(desk.front, message("OPTIONS", **headers), ELSEWHERE)
    assert [ban["why"] for ban in desk.front.guard.state()] == ["a scanner"]


@pytest.mark.parametrize("name", ["Anuj Tiwari", "Osmap Ltd", "sipvicious", "friendly-scanner"])
def test_a_patient_may_have_any_name(desk: Desk, name: str) -> None:
    text = message("INVITE", "sip:+12175550100@192.0.2.1", From=f'"{name}" <sip:+12175559001@203.0.113.5>;tag=1')
    assert desk.front.handle(Request(text, TRUNK, "UDP")) == Pass(Trunk("main"))


def test_a_name_that_contains_a_tools_name_is_not_banned(desk: Desk) -> None:
    assert not dropped(desk.front, message("OPTIONS", **{"User-Agent": "Tiwari Softphone 1.0"}), ELSEWHERE)


def test_a_trunk_is_never_banned(desk: Desk) -> None:
    for _ in range(30):
        desk.front.handle(Request(signed(desk, "REGISTER", password="x", source=TRUNK), TRUNK, "UDP"))
        desk.front.handle(Request(message("OPTIONS", **{"User-Agent": "friendly-scanner"}), TRUNK, "UDP"))
    assert desk.front.guard.state() == []
    assert desk.front.handle(Request(message("INVITE", **CALLER), TRUNK, "UDP")) == Pass(Trunk("main"))


def test_a_forged_packet_does_not_take_911_from_a_phone(desk: Desk) -> None:
    """Anybody can write a phone's address on a UDP packet: to be silenced by that would be to lose 911."""
    assert register(desk).code == 200
    for _ in range(20):
        assert dropped(desk.front, message("OPTIONS", **{"User-Agent": "friendly-scanner"}), HOME)
    assert desk.front.guard.state() == []
    call = signed(desk, "INVITE", "sip:911@clinic.local")
    assert isinstance(desk.front.handle(Request(call, HOME, "UDP")), Pass)


def test_a_guesser_beside_a_phone_is_shut_out_alone(desk: Desk) -> None:
    """Two phones behind one router: one with a wrong password must not cost the other its line."""
    assert register(desk).code == 200
    assert isinstance(guess(desk, 9, "192.0.2.10:6001", user="102"), Answer | Drop)
    assert [ban["address"] for ban in desk.front.guard.state()] == ["192.0.2.10 as 102"]
    right = signed(desk, "REGISTER", user="102", source="192.0.2.10:6001")
    assert dropped(desk.front, right, "192.0.2.10:6001"), "not even the right password is told from the wrong ones"
    assert isinstance(desk.front.handle(Request(signed(desk, "INVITE", "sip:911@clinic.local"), HOME, "UDP")), Pass)


def test_a_flood_is_cut_off_and_its_end_noticed(desk: Desk) -> None:
    limits = Limits()
    seen = [dropped(desk.front, message("OPTIONS"), ELSEWHERE) for _ in range(200)]
    assert seen.count(False) == limits.burst
    assert not dropped(desk.front, message("OPTIONS"), HOME), "others are not held up"
    desk.time += 1
    assert [dropped(desk.front, message("OPTIONS"), ELSEWHERE) for _ in range(30)].count(False) == limits.rate


def test_a_million_addresses_cost_no_memory() -> None:
    pardoned: list[str] = []
    guard = Guard(Limits(failures=1), lambda: 0.0, lambda address, banned: None if banned else pardoned.append(address))
    for number in range(SOURCES + 500):
        guard.admit(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        guard.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(guard._sources) <= SOURCES + 1
    assert len(guard.state()) == SOURCES
    assert len(pardoned) == 500

"""Which algorithms a phone is offered, and that a stranger learns nothing from it."""

from __future__ import annotations

from appliance.simulation.books import SimMemory
from appliance.sip.offers import BOTH, PLAIN, Offers


def test_a_phone_that_answers_is_offered_both_each_time() -> None:
    offers = Offers(SimMemory())
    for _ in range(3):
        assert offers.to("10.0.0.7", "101") == BOTH
        offers.answered("10.0.0.7", "101")


def test_one_that_gives_up_at_sha256_is_offered_md5_alone_and_remembered() -> None:
    memory = SimMemory()
    offers = Offers(memory)
    assert offers.to("10.0.0.7", "101") == BOTH
    assert offers.to("10.0.0.7", "101") == PLAIN
    offers.answered("10.0.0.7", "101")
    assert offers.to("10.0.0.7", "101") == PLAIN
    assert Offers(memory).to("10.0.0.7", "101") == PLAIN, "also after a restart of the box"


def test_a_stranger_sees_no_difference_between_names() -> None:
    memory = SimMemory()
    offers = Offers(memory)
    offers.to("10.0.0.7", "101")
    offers.to("10.0.0.7", "101")
    offers.answered("10.0.0.7", "101")
    known = [offers.to("203.0.113.5", "101") for _ in range(3)]
    unknown = [offers.to("203.0.113.5", "999") for _ in range(3)]
    assert known == unknown


def test_a_million_strangers_cost_no_memory() -> None:
    offers = Offers(SimMemory())
    for number in range(20_000):
        offers.to(f"203.0.{number % 250}.{number % 199}", f"{number}")
    assert len(offers._asked) <= 5_000

"""The ways through a clinic file: every target exists, nobody goes round in a circle, every menu can be left."""

from __future__ import annotations

import time
from typing import Any

import pytest
from config.trees import Path_, at, changed, demo, errors_of, problems_of
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config.problem import Problem


def menus(ways: dict[str, dict[str, str]], operator: str = "queue:frontdesk") -> dict[str, Any]:
    """The demo clinic with these menus: keys to targets, ``no_input`` among them."""
    tree = changed(("clinic", "operator"), operator)
    tree["menus"] = {}
    for name, targets in ways.items():
        keys = {key: target for key, target in targets.items() if len(key) == 1}
        rest = {key: target for key, target in targets.items() if len(key) > 1}
        tree["menus"][name] = {"greeting": "Press a key.", "keys": keys, **rest}
    first = f"menu:{next(iter(ways))}"
    for number in tree["numbers"]:
        number.update({key: first for key in ("open", "lunch", "closed", "holiday") if key in number})
    return tree


def circles(problems: list[Problem]) -> list[str]:
    return [problem.what.partition("circle: ")[2] for problem in problems if "circle" in problem.what]


def trapped(problems: list[Problem]) -> set[str]:
    return {problem.value for problem in problems if "nobody can leave" in problem.what}


@pytest.mark.parametrize(
    ("path", "target", "near"),
    [
        (("clinic", "operator"), "queue:frontdeks", "queue:frontdesk"),
        (("numbers", 0, "open"), "menu:dai", "menu:day"),
        (("menus", "day", "keys", "2"), "mailbox:refill", "mailbox:refills"),
        (("menus", "day", "no_input"), "extension:109", "extension:1"),
        (("queues", "frontdesk", "overflow", "full"), "group:nurse", "group:nurses"),
        (("groups", "nurses", "no_answer"), "announce:polici", "announce:policy"),
        (("phones", 3, "forward_no_answer"), "group:nurces", "group:nurses"),
        (("queues", "frontdesk", "agents", 1), "109", "1"),
        (("queues", "frontdesk", "messages", 0), "flue", "flu"),
        (("groups", "nurses", "members", 0), "119", "1"),
        (("phones", 0, "mailbox"), "frontdeks", "frontdesk"),
        (("numbers", 0, "hours"), "ofice", "office"),
    ],
)
def test_an_unknown_target_names_the_nearest_known_one(path: Path_, target: str, near: str) -> None:
    (problem,) = errors_of(changed(path, target))
    assert problem.mend.startswith(f"did you mean '{near}")
    assert problem.value == target
    parent = at(demo(), path[:-1])
    assert problem.where.startswith(str(path[0]))
    assert problem.line > 0 or isinstance(parent, list)


def test_a_circle_of_callers_whom_nobody_answers_is_told_as_a_story() -> None:
    tree = changed(("queues", "frontdesk", "overflow", "wait"), "menu:day")
    (problem,) = errors_of(tree)
    (circle,) = circles([problem])
    steps = circle.split(" → ")
    assert steps[0] == steps[-1]
    assert set(steps) == {"menu:day", "queue:frontdesk"}
    assert problem.mend


def test_a_place_that_leads_to_itself_is_a_circle() -> None:
    tree = changed(("groups", "nurses", "no_answer"), "group:nurses")
    assert circles(errors_of(tree)) == ["group:nurses → group:nurses"]


def test_forwards_in_a_circle_are_told() -> None:
    tree = changed(("phones", 0, "forward_no_answer"), "extension:102")
    tree = changed(("phones", 1, "forward_busy"), "extension:101", tree)
    (circle,) = circles(errors_of(tree))
    assert set(circle.split(" → ")) == {"extension:101", "extension:102"}


def test_going_back_by_a_key_is_no_circle() -> None:
    """Whoever presses a key goes where they want to; only doing nothing must not lead round."""
    tree = menus(
        {"day": {"1": "menu:sub", "no_input": "queue:frontdesk"}, "sub": {"1": "menu:day", "no_input": "queue:frontdesk"}}
    )
    assert errors_of(tree) == []


def test_a_menu_nobody_can_leave_is_told() -> None:
    tree = menus({"a": {"1": "menu:b", "no_input": "menu:b"}, "b": {"1": "menu:a", "no_input": "menu:a"}}, "menu:a")
    found = errors_of(tree)
    assert trapped(found) == {"menu:a", "menu:b"}
    assert circles(found)


@pytest.mark.parametrize("way", ["queue:frontdesk", "mailbox:frontdesk", "extension:101", "hangup", "number:+12175550123"])
def test_one_way_out_far_away_is_enough_to_leave(way: str) -> None:
    ways = {f"m{i}": {"1": f"menu:m{i + 1}", "no_input": f"menu:m{i + 1}"} for i in range(9)}
    ways["m9"] = {"1": way, "no_input": way}
    assert trapped(errors_of(menus(ways, "menu:m0"))) == set()


def test_zero_is_a_way_out_unless_it_is_taken() -> None:
    ring = {"a": {"no_input": "menu:b"}, "b": {"no_input": "menu:a"}}
    assert trapped(errors_of(menus(ring))) == set()
    taken = {name: {**ways, "0": "menu:a"} for name, ways in ring.items()}
    assert trapped(errors_of(menus(taken))) == {"menu:a", "menu:b"}


def test_sixty_menus_that_all_lead_to_one_another_are_checked_in_a_moment() -> None:
    names = [f"m{i}" for i in range(60)]
    ways = {name: {str(k): f"menu:{names[(i + k + 1) % 60]}" for k in range(10)} for i, name in enumerate(names)}
    for i, name in enumerate(names):
        ways[name]["no_input"] = f"menu:{names[(i * 7 + 1) % 60]}"
    began = time.process_time()
    found = errors_of(menus(ways, "menu:m0"))
    assert time.process_time() - began < 5
    assert trapped(found) == {f"menu:{name}" for name in names}
    assert 1 <= len(circles(found)) <= 60


def test_a_lattice_of_queues_is_checked_in_a_moment() -> None:
    """Two ways at each of forty stages: a million million trails, and no circle."""
    tree = demo()
    queue = tree["queues"]["frontdesk"]
    for i in range(40):
        after = {"wait": f"queue:a{i + 1}", "full": f"queue:b{i + 1}", "no_agents": "mailbox:frontdesk"}
        last = dict.fromkeys(after, "mailbox:frontdesk")
        for side in "ab":
            tree["queues"][f"{side}{i}"] = {**queue, "overflow": after if i < 39 else last}
    began = time.process_time()
    assert errors_of(tree) == []
    assert time.process_time() - began < 5


targets = st.sampled_from([*(f"menu:m{i}" for i in range(5)), "queue:frontdesk", "hangup"])


@given(st.lists(st.tuples(targets, st.lists(targets, max_size=2)), min_size=5, max_size=5))
@settings(max_examples=60, deadline=None)
def test_circles_and_traps_are_those_a_caller_would_find(plan: list[tuple[str, list[str]]]) -> None:
    """Against a caller who walks: doing nothing for long enough, or trying every key."""
    ways = {f"m{i}": {"no_input": quiet, **dict(zip("12", keys, strict=False))} for i, (quiet, keys) in enumerate(plan)}
    for keys in ways.values():
        keys["0"] = keys["no_input"]
    found = problems_of(menus(ways))

    def quiet_end(menu: str) -> bool:
        for _ in range(10):
            if not menu.startswith("menu:"):
                return True
            menu = ways[menu[5:]]["no_input"]
        return False

    def reached(menu: str) -> set[str]:
        seen = {menu}
        for _ in range(6):
            seen |= {target for place in seen if place.startswith("menu:") for target in ways[place[5:]].values()}
        return seen

    assert bool(circles(found)) == any(not quiet_end(f"menu:{name}") for name in ways)
    assert trapped(found) == {f"menu:{n}" for n in ways if all(t.startswith("menu:") for t in reached(f"menu:{n}"))}


# --- numbers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", ["911", "9911", "933", "9933", "1911"])
def test_no_phone_has_an_emergency_number(extension: str) -> None:
    found = errors_of(changed(("phones", 6, "extension"), extension))
    assert [problem.where for problem in found if "emergency" in problem.what] == ["phones[6].extension"]


def test_no_park_slot_has_an_emergency_number_with_another_prefix() -> None:
    tree = changed(("dialing", "outside_prefix"), "8")
    tree = changed(("dialing", "park_slots"), ["8911"], tree)
    (problem,) = errors_of(tree)
    assert problem.where == "dialing.park_slots[0]"


def test_one_hundred_and_twelve_is_an_extension_in_america_and_none_in_germany() -> None:
    tree = changed(("phones", 6, "extension"), "112")
    tree["groups"]["oncall"]["members"] = ["112"]
    assert errors_of(tree) == []
    tree["clinic"].update(country="DE", subdivision="BY")
    assert [problem.where for problem in errors_of(tree)] == ["phones[3].extension", "phones[6].extension"]


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("phones", 1, "extension"), "103", "phones[2].extension"),
        (("dialing", "park_slots", 0), "103", "dialing.park_slots[0]"),
        (("dialing", "park_slots", 0), "702", "dialing.park_slots[1]"),
    ],
)
def test_one_number_is_one_thing(path: Path_, value: str, where: str) -> None:
    tree = changed(path, value)
    tree["queues"]["frontdesk"]["agents"] = ["101", "103"]
    (problem,) = errors_of(tree)
    assert problem.where == where
    assert "already" in problem.what


@pytest.mark.parametrize("location", ["", "   "])
def test_a_phone_without_a_location_is_refused(location: str) -> None:
    (problem,) = errors_of(changed(("phones", 4, "location"), location))
    assert problem.where == "phones[4].location"
    assert problem.value == "111"


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("lines", 1, "name"), "main", "lines[1].name"),
        (("lines", 1, "register"), True, "lines[1].username"),
        (("numbers", 1, "number"), "+12175550100", "numbers[1].number"),
        (("queues", "frontdesk", "agents"), [], "queues.frontdesk.agents"),
    ],
)
def test_what_contradicts_itself_is_told(path: Path_, value: object, where: str) -> None:
    assert [problem.where for problem in errors_of(changed(path, value))] == [where]


def test_hours_without_a_way_for_closed_are_refused() -> None:
    tree = demo()
    del tree["numbers"][0]["closed"]
    assert [problem.where for problem in errors_of(tree)] == ["numbers[0].closed"]


def test_what_may_be_meant_so_is_a_warning_only() -> None:
    tree = changed(("phones", 6, "extension"), "930")
    tree["groups"]["oncall"]["members"] = ["930"]
    tree = changed(("clinic", "operator"), "hangup", tree)
    tree = changed(("lines", 0, "numbers"), [], tree)
    assert {(p.where, p.severity) for p in problems_of(tree)} == {
        ("phones[6].extension", "warning"),
        ("clinic.operator", "warning"),
        ("numbers[0].number", "warning"),
        ("numbers[1].number", "warning"),
    }


def test_public_holidays_of_an_unknown_country_are_told_before_a_call_needs_them() -> None:
    tree = changed(("clinic", "country"), "AQ")
    del tree["clinic"]["subdivision"]
    assert all("holidays" in problem.where or "country" in problem.where for problem in errors_of(tree))
    assert errors_of(tree)

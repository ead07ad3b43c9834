"""A clinic file that is wrong is told in words: where, what, what is allowed, how to mend it."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time
from pathlib import Path

import pytest
from config.trees import Path_, at, changed, clinic_of, demo, errors_of, paths, problems_of, text_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from appliance.config import words
from appliance.config.load import MAX_BYTES, parse, read
from appliance.config.problem import ConfigFaults, Problem
from appliance.config.schema import Clinic
from appliance.config.store import examine
from appliance.simulation.office import DEMO

#: words of programmers, of pydantic and of Python: no practice manager is to read them
JARGON = re.compile(
    r"[Ii]nput should|tuple|dictionary|[Vv]alidat|instance|integer|boolean|pattern|pars(e|ing)|\bNone\b|regex|\^|<class"
)


def told_in_words(problem: Problem) -> bool:
    return bool(problem.where and problem.what and problem.mend) and not JARGON.search(f"{problem.what} {problem.mend}")


def the_fault(text: str) -> Problem:
    with pytest.raises(ConfigFaults) as caught:
        examine(text)
    return caught.value.problems[0]


def test_the_demo_clinic_is_good_and_without_a_warning() -> None:
    clinic, warnings = examine(DEMO.read_text(encoding="utf-8"))
    assert clinic.clinic.name == "Maple Street Family Medicine"
    assert warnings == []


# --- the file itself ----------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_or_cannot_be_read_is_told(tmp_path: Path) -> None:
    loop = tmp_path / "loop.toml"
    loop.symlink_to(loop)
    for path, what in ((tmp_path / "no.toml", "no such file"), (tmp_path, "folder"), (loop, "cannot be read")):
        with pytest.raises(ConfigFaults) as caught:
            read(path)
        (problem,) = caught.value.problems
        assert what in problem.what
        assert problem.where == str(path)
        assert problem.mend


def test_a_huge_file_is_no_clinic_file(tmp_path: Path) -> None:
    path = tmp_path / "clinic.toml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigFaults, match="over 1 MB"):
        read(path)


def test_a_character_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "clinic.toml"
    path.write_bytes('[clinic]\nname = "Dr. Müller"\n'.encode("latin-1"))
    with pytest.raises(ConfigFaults) as caught:
        read(path)
    (problem,) = caught.value.problems
    assert problem.line == 2
    assert "UTF-8" in problem.mend


def test_a_byte_order_mark_of_windows_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "clinic.toml"
    path.write_bytes(b"\xef\xbb\xbf" + DEMO.read_bytes().replace(b"\n", b"\r\n"))
    assert examine(read(path))[1] == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[clinic]\nname = "Maple\n', 2),
        ("[clinic\nname = 1\n", 1),
        ("[clinic]\nname == 1\n", 2),
        ('[clinic]\nname = "a"\nname = "b"\n', 3),
        ("[clinic]\nname = 2026-13-01\n", 2),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(text: str, line: int) -> None:
    problem = the_fault(text)
    assert problem.line == line
    assert "TOML" in problem.what
    assert problem.mend


def test_brackets_without_end_and_endless_numbers_are_told() -> None:
    for text in ("a = " + "[" * 100_000, "a = " + "9" * 10_000):
        problem = the_fault(text)
        assert problem.what
        assert problem.mend


# --- values -------------------------------------------------------------------------------------------------------------

WRONG: list[tuple[Path_, object, str, str]] = [
    (("menus", "day", "tries"), 0, "menus.day.tries", "from 1 to 10"),
    (("queues", "frontdesk", "ring_seconds"), 90000, "queues.frontdesk.ring_seconds", "from 1 to 86400"),
    (("menus", "day", "tries"), "three", "menus.day.tries", "whole number from 1 to 10"),
    (("menus", "day", "tries"), True, "menus.day.tries", "does not belong"),
    (("queues", "frontdesk", "strategy"), "random", "queues.frontdesk.strategy", "'ring_all', 'linear' or 'longest_idle'"),
    (("phones", 1, "extension"), "1", "phones[1].extension", "2 to 6 digits"),
    (("phones", 1, "extension"), "١٠٢", "phones[1].extension", "2 to 6 digits"),
    (("lines", 0, "caller_id"), "2175550100", "lines[0].caller_id", "+12175550100"),
    (("lines", 0, "register"), "maybe", "lines[0].register", "true or false"),
    (("hours", "office", "mon"), ["8-17"], "hours.office.mon[0]", "08:00-17:00"),
    (("hours", "office", "mon"), ["17:00-08:00"], "hours.office.mon[0]", "two, one for each day"),
    (("hours", "office", "mon"), ["08:00-25:00"], "hours.office.mon[0]", "24:00"),
    (("hours", "office", "mon"), [["08:00", "17:00"]], "hours.office.mon[0]", "08:00-17:00"),
    (("hours", "office", "mon"), "08:00-17:00", "hours.office.mon", "square brackets"),
    (("hours", "office", "closures", 0, "from"), 12, "hours.office.closures[0].from", "08:00"),
    (("hours", "office", "closures", 0, "until"), "11:00", "hours.office.closures[0]", "earlier"),
    (("hours", "office", "holidays", 0, "date"), "12/24/2026", "hours.office.holidays[0].date", "2026-12-24"),
    (("hours", "office", "holidays", 0, "date"), "2026-02-30", "hours.office.holidays[0].date", "calendar"),
    (("hours", "office", "holidays", 0, "date"), 0, "hours.office.holidays[0].date", "2026-12-24"),
    (("clinic", "timezone"), "Chicago", "clinic.timezone", "America/Chicago"),
    (("clinic", "country"), "USA", "clinic.country", "'US'"),
    (("clinic", "country"), "ZZ", "clinic.country", "'US'"),
    (("clinic", "subdivision"), "Illinois", "clinic.subdivision", "IL"),
    (("clinic", "operator"), "frontdesk", "clinic.operator", "queue:"),
    (("clinic", "operator"), "queue:", "clinic.operator", "name"),
    (("numbers", 0, "holiday"), "number:2175550100", "numbers[0].holiday", "+12175550100"),
    (("dialing", "outside_prefix"), "99", "dialing.outside_prefix", "one digit"),
    (("dialing", "area_code"), "21", "dialing.area_code", "three digits"),
    (("sip", "bind"), "localhost", "sip.bind", "192.168.1.10"),
    (("sip", "bind"), 1, "sip.bind", "192.168.1.10"),
    (("sip", "rtp_ports"), [16000], "sip.rtp_ports[1]", "two"),
    (("sip", "tls_port"), 5060, "sip.tls_port", "another"),
    (("sip", "port"), 17000, "sip.port", "another"),
    (("lines", 0, "server"), "sip.example.com:70000", "lines[0].server", "65535"),
    (("lines", 0, "name"), "Main line", "lines[0].name", "small letters"),
    (("menus", "day", "keys"), {"12": "hangup"}, "menus.day.keys.12", "0 to 9"),
    (("menus", "day", "greeting"), "", "menus.day.greeting", "at least 1 character"),
    (("groups", "nurses", "members"), [], "groups.nurses.members", "at least 1 entry"),
    (("queues", "frontdesk"), 7, "queues.frontdesk", "keys and values"),
    (("phones",), 7, "phones", "list"),
]


@pytest.mark.parametrize(("path", "value", "where", "allowed"), WRONG, ids=[f"{w[2]}={w[1]!r}" for w in WRONG])
def test_a_wrong_value_is_told_with_its_path_and_what_is_allowed(path: Path_, value: object, where: str, allowed: str) -> None:
    found = [problem for problem in errors_of(changed(path, value)) if problem.where == where]
    assert found, errors_of(changed(path, value))
    assert allowed in found[0].mend or allowed in found[0].what, found[0]
    assert told_in_words(found[0]), found[0]
    assert found[0].line > 0


def test_a_wrong_value_stands_in_the_message() -> None:
    (problem,) = errors_of(changed(("menus", "day", "tries"), 99))
    assert problem.value == "99"
    assert "(it is 99)" in str(problem)


def test_all_problems_are_told_at_once() -> None:
    tree = changed(("menus", "day", "tries"), 0)
    tree = changed(("clinic", "timezone"), "x", tree)
    tree = changed(("dialing", "park"), [], tree)
    assert {problem.where for problem in errors_of(tree)} == {"menus.day.tries", "clinic.timezone", "dialing.park"}


@pytest.mark.parametrize(
    ("path", "near"),
    [
        (("clinic", "time_zone"), "timezone"),
        (("queues", "frontdesk", "agent"), "agents"),
        (("queues", "frontdesk", "overflow", "ful"), "full"),
        (("menus", "day", "greting"), "greeting"),
        (("phones", 2, "devises"), "devices"),
        (("hours", "office", "closures", 0, "form"), "from"),
        (("lines", 0, "callerid"), "caller_id"),
        (("queue",), "queues"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(path: Path_, near: str) -> None:
    (problem,) = errors_of(changed(path, "x"))
    assert problem.what == "this key is not known"
    assert problem.mend == f"did you mean '{near}'?"


def test_an_unknown_key_that_is_like_none_lists_those_that_are() -> None:
    (problem,) = errors_of(changed(("dialing", "zzz"), 1))
    assert "outside_prefix" in problem.mend


def test_something_missing_says_how_to_add_it() -> None:
    tree = demo()
    del tree["queues"]["frontdesk"]["overflow"]
    del tree["numbers"][0]["open"]
    mends = {problem.where: problem.mend for problem in errors_of(tree)}
    assert mends["queues.frontdesk.overflow"] == "add a table [queues.frontdesk.overflow]"
    assert mends["numbers[0].open"] == "add a line open = …"
    assert the_fault("").mend == "add a table [clinic]"


def test_every_pattern_of_the_schema_has_words() -> None:
    schema = str(TypeAdapter(Clinic).core_schema)
    patterns = set(re.findall(r"'pattern': '([^']+)'", schema))
    assert len(patterns) > 4
    assert {pattern.replace("\\\\", "\\") for pattern in patterns} <= set(words.PATTERNS)


def test_the_day_ends_at_twenty_four_hours() -> None:
    clinic = clinic_of(changed(("hours", "office", "sat"), ["00:00-24:00"]))
    assert clinic.hours["office"].model_dump(mode="json")["sat"] == ["00:00-24:00"]


def test_times_and_dates_of_toml_may_be_used_as_they_are() -> None:
    tree = changed(("hours", "office", "closures"), [{"date": date(2026, 12, 31), "from": time(12), "until": time(17)}])
    (closure,) = clinic_of(tree).hours["office"].closures
    assert (closure.date, closure.from_, closure.until) == (date(2026, 12, 31), time(12), time(17))
    bad = changed(("hours", "office", "closures"), [{"date": datetime(2026, 12, 31, 8)}])
    assert "2026-12-24" in errors_of(bad)[0].mend


# --- anything ------------------------------------------------------------------------------------------------------------

scalars = st.one_of(
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=12).filter(lambda text: text.isprintable()),
    st.sampled_from(
        ["", "menu:day", "queue:nowhere", "number:+1", "hangup", "08:00-17:00", "24:00", "+12175550100", "101", "IL"]
    ),
    st.dates(),
    st.times(),
    st.datetimes(),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "1", "from", "name"]), inner, max_size=2),
    max_leaves=5,
)
PLACES = list(paths(demo()))
places = st.sampled_from(PLACES)


@given(st.lists(st.tuples(places, st.sampled_from(["put", "drop", "swap", "rename"]), values, places), min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_however_a_file_is_bent_it_is_good_or_told_in_words(bends: list[tuple[Path_, str, object, Path_]]) -> None:
    tree = demo()
    for path, how, value, other in bends:
        try:
            parent = at(tree, path[:-1])
            if how == "put":
                parent[path[-1]] = value
            elif how == "drop":
                del parent[path[-1]]
            elif how == "swap":
                parent[path[-1]] = at(demo(), other)
            elif isinstance(parent, dict):
                parent[f"{path[-1]}x"] = parent.pop(path[-1])
        except (KeyError, IndexError, TypeError):
            continue  # an earlier bend took the place away
    for problem in problems_of(tree):
        assert told_in_words(problem), problem
        assert problem.severity in {"error", "warning"}


@given(st.binary(max_size=200), st.integers(0, 8000), st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_however_the_text_is_damaged_nothing_else_is_raised(junk: bytes, place: int, cut: int) -> None:
    data = DEMO.read_bytes()
    text = (data[:place] + junk + data[place + cut :]).decode("utf-8", "replace")
    try:
        clinic, _ = examine(text)
    except ConfigFaults as faults:
        assert all(problem.where and problem.what and problem.mend for problem in faults.problems), faults
    else:
        assert clinic.clinic.name


def test_nan_and_infinity_are_no_numbers_of_seconds() -> None:
    for value in (math.nan, math.inf):
        (problem,) = errors_of(changed(("queues", "frontdesk", "ring_seconds"), value))
        assert told_in_words(problem), problem


def test_what_was_read_can_be_written_and_read_again() -> None:
    clinic = clinic_of(demo())
    written = clinic.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert parse(text_of(written)) == clinic

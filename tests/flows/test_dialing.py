"""What somebody dialled (REQ-E1): an emergency before everything, then star codes, slots, extensions, outside numbers."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from appliance.config.dialing import FEATURES, Dialed, Kind, e164, understand
from appliance.config.schema import Clinic, Dialing, Phone, Site
from appliance.lines.choice import LineState, emergency_ways, ways
from appliance.simulation.office import demo_clinic

DEMO = demo_clinic()


def clinic(country: str = "US", extensions: tuple[str, ...] = ("101",), **dialing: object) -> Clinic:
    phones = tuple(Phone(extension=e, name=f"Phone {e}", location="Room 1") for e in extensions)
    return Clinic(clinic=Site(name="Test", country=country), phones=phones, dialing=Dialing.model_validate(dialing))


def dialed(number: str, house: Clinic = DEMO) -> tuple[Kind, str]:
    found = understand(number, house)
    return found.kind, found.number


# --- emergencies --------------------------------------------------------------------------------------------------------

EMERGENCIES = ["911", "9911", "9-911", "9 911", "1911", "91911", "9-1-911", "+911", "+1911", "(911)", "911#", " 911 "]


@pytest.mark.parametrize("number", EMERGENCIES)
def test_an_emergency_is_understood_however_it_is_dialled(number: str) -> None:
    assert dialed(number) == (Kind.EMERGENCY, "911")


@pytest.mark.parametrize("number", ["933", "9933", "+1933", "9-933"])
def test_the_test_number_reads_the_location_back(number: str) -> None:
    assert dialed(number) == (Kind.EMERGENCY_TEST, "933")


@pytest.mark.parametrize("number", ["9110", "91", "91110", "912", "19110", "0911", "*911", "9119115555"])
def test_what_is_no_emergency_does_not_call_one(number: str) -> None:
    assert dialed(number)[0] is not Kind.EMERGENCY


digits = st.text("0123456789", max_size=6)
countries = st.sampled_from(["US", "CA", "DE", "GB", "AU", "PT", "JM", "MX", "JP", "AQ", "ZZ"])
configurations = st.fixed_dictionaries(
    {
        "outside_prefix": digits.map(lambda text: text[:1]),
        "area_code": st.sampled_from(["", "911", "217", "933"]),
        "park_slots": st.lists(st.sampled_from(["911", "9911", "1911", "70", "933"]) | digits, max_size=4),
        "allow_international": st.booleans(),
    }
)
extensions = st.lists(st.sampled_from(["911", "9911", "91911", "1911", "933", "112", "101"]) | digits, max_size=6)


@given(configurations, extensions, countries, st.sampled_from(["911", "9911", "+911", "1911", "PREFIX"]))
@settings(max_examples=400, deadline=None)
def test_911_is_an_emergency_under_every_configuration(
    plan: dict[str, object], phones: list[str], country: str, number: str
) -> None:
    try:
        house = clinic(country, tuple(phones), **plan)
    except ValidationError:
        assume(False)
        raise
    number = house.dialing.outside_prefix + "911" if number == "PREFIX" else number
    found = understand(number, house)
    assert found.kind is Kind.EMERGENCY
    if country in {"US", "CA"}:
        assert found.number == "911"


@given(st.text(max_size=20), countries)
@settings(deadline=None)
def test_anything_can_be_dialled_and_is_understood_or_refused_with_a_reason(number: str, country: str) -> None:
    found = understand(number, clinic(country))
    assert isinstance(found, Dialed)
    assert bool(found.why) == (found.kind is Kind.INVALID)


@pytest.mark.parametrize(
    ("country", "number", "called"),
    [
        ("DE", "112", "112"),
        ("DE", "110", "110"),
        ("GB", "999", "999"),
        ("AU", "000", "000"),
        # A person who knows 911 from films, or a phone with that key: the country's own number is called.
        ("DE", "911", "112"),
        ("AU", "911", "000"),
        ("JP", "911", "119"),
        ("AU", "9000", "000"),
    ],
)
def test_each_country_has_its_own_emergency_number_and_911_leads_there(country: str, number: str, called: str) -> None:
    assert dialed(number, clinic(country)) == (Kind.EMERGENCY, called)


def test_112_is_an_extension_like_any_other_in_america() -> None:
    assert dialed("112", clinic(extensions=("112",))) == (Kind.EXTENSION, "112")
    assert dialed("112")[0] is Kind.INVALID


# --- star codes, slots, extensions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", FEATURES)
def test_a_star_code_is_its_feature_and_what_follows_its_argument(code: str) -> None:
    assert understand(code, DEMO) == Dialed(Kind.FEATURE, FEATURES[code])
    assert understand(f"{code}101", DEMO) == Dialed(Kind.FEATURE, FEATURES[code], "101")


def test_a_longer_star_code_is_not_taken_for_a_shorter_one_with_an_argument() -> None:
    shorter = [(a, b) for a in FEATURES for b in FEATURES if a != b and b.startswith(a)]
    for short, long in shorter:
        assert understand(long, DEMO).number == FEATURES[long] != FEATURES[short]
    assert understand("*8", DEMO).number == "group pickup"


def test_an_unknown_star_code_is_refused_in_words() -> None:
    found = understand("*99", DEMO)
    assert found.kind is Kind.INVALID
    assert "star code" in found.why


def test_slots_and_extensions_are_found_before_numbers() -> None:
    assert dialed("701") == (Kind.PARK, "701")
    assert dialed("130") == (Kind.EXTENSION, "130")
    assert dialed("2175550", clinic(extensions=(), area_code="312"))[0] is Kind.OUTSIDE


# --- outside numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "called"),
    [
        ("5550123", "+12175550123"),
        ("95550123", "+12175550123"),
        ("3125550123", "+13125550123"),
        ("93125550123", "+13125550123"),
        ("13125550123", "+13125550123"),
        ("913125550123", "+13125550123"),
        ("(312) 555-0123", "+13125550123"),
        ("+1 312 555 0123", "+13125550123"),
        ("9 1-312-555-0123", "+13125550123"),
        ("8005551234", "+18005551234"),
        # New York's 917 begins with the prefix of this office.
        ("9175550123", "+19175550123"),
        ("99175550123", "+19175550123"),
        ("9217555", "+12179217555"),
        ("7875550123", "+17875550123"),
        ("4165550123", "+14165550123"),
    ],
)
def test_numbers_are_understood_as_people_dial_them(number: str, called: str) -> None:
    assert dialed(number) == (Kind.OUTSIDE, called)


@pytest.mark.parametrize("number", ["5550123", "95550123"])
def test_seven_digits_are_no_number_where_the_area_is_not_known(number: str) -> None:
    assert dialed(number, clinic(area_code=""))[0] is Kind.INVALID
    assert e164("5550123", "US") == ""


def test_without_a_prefix_a_nine_is_part_of_the_number() -> None:
    assert dialed("9175550123", clinic(outside_prefix="")) == (Kind.OUTSIDE, "+19175550123")
    assert dialed("93125550123", clinic(outside_prefix=""))[0] is Kind.INVALID


ABROAD = ["011442079460000", "9011442079460000", "+442079460000", "18765551234", "8095551234", "+12424561234"]


@pytest.mark.parametrize("number", ABROAD)
def test_calls_abroad_leave_only_where_they_are_allowed(number: str) -> None:
    """The Caribbean shares country code 1 and is abroad all the same: that is where stolen telephones call."""
    refused = understand(number, DEMO)
    assert refused.kind is Kind.INVALID
    assert "abroad" in refused.why
    assert dialed(number, clinic(allow_international=True))[0] is Kind.OUTSIDE


def test_numbers_that_cost_extra_are_refused() -> None:
    assert understand("9005551234", DEMO).kind is Kind.INVALID


@pytest.mark.parametrize("number", ["", "1", "12", "99", "#", "abc", "012345678901234567890", "2175550"])
def test_what_is_no_number_is_refused(number: str) -> None:
    assert dialed(number, clinic(area_code=""))[0] is Kind.INVALID


def test_a_german_practice_dials_as_germans_do() -> None:
    house = clinic("DE", outside_prefix="0")
    assert dialed("030 901820", house) == (Kind.OUTSIDE, "+4930901820")
    assert dialed("0030901820", house) == (Kind.OUTSIDE, "+4930901820")
    assert dialed("00012175550100", house)[0] is Kind.INVALID


# --- which way out ----------------------------------------------------------------------------------------------------------


lines = st.lists(
    st.builds(
        LineState,
        st.text("abc", min_size=1, max_size=3),
        st.sampled_from(["sip", "analog", "lte"]),
        st.booleans(),
        st.integers(0, 3),
        st.integers(1, 3),
    ),
    max_size=6,
    unique_by=lambda line: line.name,
)


@given(lines)
def test_an_ordinary_call_takes_working_lines_with_room_in_order(states: list[LineState]) -> None:
    chosen = ways(states)
    assert chosen == [line.name for line in states if line.name in chosen]
    by_name = {line.name: line for line in states}
    assert all(by_name[name].up and by_name[name].in_use < by_name[name].capacity for name in chosen)


@given(lines)
def test_an_emergency_call_tries_every_line_and_copper_first(states: list[LineState]) -> None:
    chosen = emergency_ways(states)
    assert sorted(chosen) == sorted(line.name for line in states)
    usable = set(ways(states))
    assert set(chosen[: len(usable)]) == usable, "a line that works is tried before one that does not"
    kinds = [next(line.kind for line in states if line.name == name) for name in chosen[: len(usable)]]
    assert kinds == sorted(kinds, key=["analog", "lte", "sip"].index)


@given(lines)
def test_a_full_line_is_tried_before_a_dead_one(states: list[LineState]) -> None:
    """On a full line an ordinary call gives way; a line thought dead is tried last, not never."""
    up = {line.name: line.up for line in states}
    works = [up[name] for name in emergency_ways(states)]
    assert works == sorted(works, reverse=True)

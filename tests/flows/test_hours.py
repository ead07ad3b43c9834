"""Open, lunch, closed, holiday (REQ-A3): against a clock on the wall that is read minute by minute, clock changes included."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.config.schema import Hours, Site
from appliance.flows.hours import Period, holiday_name, next_change, state

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONES = ["America/Chicago", "America/New_York", "Australia/Sydney", "Europe/Lisbon", "Australia/Lord_Howe", "Africa/Cairo"]
#: days on which a clock is changed in one of these zones, the days around a year's end, a leap day
TURNS = [
    date(2026, 3, 8), date(2026, 11, 1), date(2026, 3, 29), date(2026, 10, 25), date(2026, 4, 5), date(2026, 10, 4),
    date(2026, 4, 24), date(2026, 10, 30), date(2026, 12, 31), date(2027, 1, 1), date(2028, 2, 29), date(2026, 7, 15),
]  # fmt: skip


def site(zone: str = "America/Chicago") -> Site:
    return Site(name="Test", timezone=zone, country="US", subdivision="IL")


def moment(text: str, zone: str = "America/Chicago") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def minutes(begin: datetime, count: int) -> Iterator[datetime]:
    """Real minutes one after another, each as the wall shows it."""
    at = begin.astimezone(UTC)
    for _ in range(count):
        yield at.astimezone(begin.tzinfo)
        at += timedelta(minutes=1)


def on_the_wall(rules: dict[str, Any], at: datetime) -> Period:
    """The rules read by somebody with a calendar, a clock on the wall and no other knowledge: times are texts."""
    wall, day = f"{at:%H:%M}", f"{at:%Y-%m-%d}"

    def inside(spans: list[str]) -> bool:
        return any(span[:5] <= wall < span[6:] for span in spans)

    def listed(key: str) -> bool:
        return any(e["date"] == day and e.get("from", "00:00") <= wall < e.get("until", "24:00") for e in rules[key])

    if listed("openings"):
        return Period.OPEN
    if listed("closures"):
        return Period.CLOSED
    if any(holiday["date"] == day for holiday in rules["holidays"]):
        return Period.HOLIDAY
    if not inside(rules[DAYS[at.weekday()]]):
        return Period.CLOSED
    return Period.LUNCH if inside(rules["lunch"]) else Period.OPEN


@st.composite
def spans(draw: st.DrawFn) -> str:
    """``08:15-12:00``; the small hours, in which clocks are changed, more often than others."""
    times = st.sampled_from(["00:00", "00:30", "01:00", "01:30", "02:00", "02:15", "02:30", "03:00", "08:00", "12:00", "24:00"])
    start, end = sorted(draw(st.lists(times, min_size=2, max_size=2, unique=True)))
    return f"{start}-{end}"


@st.composite
def rules(draw: st.DrawFn, days: list[date]) -> dict[str, Any]:
    dates = st.sampled_from([day.isoformat() for day in days])

    def exceptions() -> list[dict[str, str]]:
        found = []
        for day, span, whole in draw(st.lists(st.tuples(dates, spans(), st.booleans()), max_size=2)):
            found.append({"date": day} if whole else {"date": day, "from": span[:5], "until": span[6:]})
        return found

    week = {day: draw(st.lists(spans(), max_size=2)) for day in DAYS}
    own = [{"date": day, "name": "Founders' Day"} for day in draw(st.lists(dates, max_size=1))]
    lunch = draw(st.lists(spans(), max_size=1))
    return {**week, "lunch": lunch, "holidays": own, "closures": exceptions(), "openings": exceptions()}


@st.composite
def scenes(draw: st.DrawFn) -> tuple[str, datetime, dict[str, Any]]:
    zone, turn = draw(st.sampled_from(ZONES)), draw(st.sampled_from(TURNS))
    begin = datetime.combine(turn - timedelta(days=1), time(draw(st.integers(0, 23)), 17), tzinfo=ZoneInfo(zone))
    return zone, begin, draw(rules([turn + timedelta(days=offset) for offset in (-1, 0, 1, 2)]))


@given(scenes())
@settings(max_examples=40, deadline=None)
def test_the_period_is_what_the_wall_says(scene: tuple[str, datetime, dict[str, Any]]) -> None:
    zone, begin, written = scene
    hours = Hours.model_validate(written)
    for at in minutes(begin, 36 * 60):
        assert state(hours, at, site(zone)) is on_the_wall(written, at), at


@given(scenes())
@settings(max_examples=80, deadline=None)
def test_the_next_change_is_the_first_there_is(scene: tuple[str, datetime, dict[str, Any]]) -> None:
    zone, begin, written = scene
    hours = Hours.model_validate(written)
    found = next_change(hours, begin, site(zone))
    now = on_the_wall(written, begin)
    first = next(((at, then) for at in minutes(begin, 72 * 60) if (then := on_the_wall(written, at)) is not now), None)
    if first is None:
        assert found is None or found[0] - begin >= timedelta(hours=70)
        return
    assert found is not None
    assert found[0].timestamp() == first[0].timestamp(), (found, first)
    assert found[1] is first[1]


@pytest.mark.parametrize(
    ("zone", "at", "span", "begins"),
    [
        # 02:30 does not exist on this day: the office opens when the clock jumps from 02:00 to 03:00.
        ("America/New_York", "2026-03-08T00:00", "02:30-05:00", "2026-03-08T03:00-04:00"),
        ("Europe/Lisbon", "2026-03-29T00:00", "01:30-05:00", "2026-03-29T02:00+01:00"),
        ("Australia/Sydney", "2026-10-04T00:00", "02:30-05:00", "2026-10-04T03:00+11:00"),
        # Midnight itself does not exist in Cairo on this day.
        ("Africa/Cairo", "2026-04-23T12:00", "00:00-05:00", "2026-04-24T01:00+03:00"),
        # 01:30 comes twice: it opens at the first.
        ("America/Chicago", "2026-11-01T00:00", "01:30-05:00", "2026-11-01T01:30-05:00"),
    ],
)
def test_hours_that_begin_in_a_changed_clock(zone: str, at: str, span: str, begins: str) -> None:
    hours = Hours.model_validate({DAYS[datetime.fromisoformat(begins).weekday()]: [span]})
    found = next_change(hours, moment(at, zone), site(zone))
    assert found is not None
    assert found[1] is Period.OPEN
    assert found[0].timestamp() == datetime.fromisoformat(begins).timestamp()


def test_on_the_day_of_a_change_the_office_opens_by_the_wall() -> None:
    hours = Hours.model_validate({"sun": ["08:00-17:00"]})
    before = next_change(hours, moment("2026-03-07T12:00"), site())
    assert before is not None
    assert before[0].isoformat() == "2026-03-08T08:00:00-05:00"


# --- precedence -----------------------------------------------------------------------------------------------------------

OFFICE = Hours.model_validate(
    {
        **{day: ["08:00-17:00"] for day in DAYS[:5]},
        "lunch": ["12:00-12:45"],
        "public_holidays": True,
        "holidays": [{"date": "2026-12-24", "name": "Christmas Eve"}],
        "closures": [{"date": "2026-12-31", "from": "12:00", "until": "17:00"}, {"date": "2026-12-05"}],
        "openings": [
            {"date": "2026-12-05", "from": "09:00", "until": "12:00"},
            {"date": "2026-12-25", "from": "10:00", "until": "11:00"},
        ],
    }
)


@pytest.mark.parametrize(
    ("at", "period"),
    [
        ("2026-11-30T07:59:59", Period.CLOSED),
        ("2026-11-30T08:00:00", Period.OPEN),
        ("2026-11-30T12:00:00", Period.LUNCH),
        ("2026-11-30T12:44:59", Period.LUNCH),
        ("2026-11-30T12:45:00", Period.OPEN),
        ("2026-11-30T17:00:00", Period.CLOSED),
        ("2026-11-29T10:00:00", Period.CLOSED),
        ("2026-11-26T10:00:00", Period.HOLIDAY),
        ("2026-12-24T10:00:00", Period.HOLIDAY),
        ("2026-12-24T03:00:00", Period.HOLIDAY),
        # a closure beats the week and lunch, an opening beats a closure and a holiday
        ("2026-12-31T11:59:59", Period.OPEN),
        ("2026-12-31T12:10:00", Period.CLOSED),
        ("2026-12-05T09:00:00", Period.OPEN),
        ("2026-12-05T12:00:00", Period.CLOSED),
        ("2026-12-25T10:30:00", Period.OPEN),
        ("2026-12-25T11:00:00", Period.HOLIDAY),
        ("2027-01-01T10:00:00", Period.HOLIDAY),
    ],
)
def test_an_opening_beats_a_closure_a_closure_a_holiday_a_holiday_the_week(at: str, period: Period) -> None:
    assert state(OFFICE, moment(at), site()) is period


def test_lunch_outside_the_hours_is_no_lunch() -> None:
    hours = Hours.model_validate({"mon": ["08:00-12:00"], "lunch": ["11:30-13:00"]})
    assert state(hours, moment("2026-11-30T11:45"), site()) is Period.LUNCH
    assert state(hours, moment("2026-11-30T12:30"), site()) is Period.CLOSED


@pytest.mark.parametrize("day", ["2026-11-30", "2026-12-31", "2026-03-08", "2026-11-01"])
def test_a_day_open_to_its_end_is_open_to_its_last_moment(day: str) -> None:
    hours = Hours.model_validate({day: ["00:00-24:00"] for day in DAYS})
    for last in ("23:58", "23:59", "23:59:59", "23:59:59.999999"):
        assert state(hours, moment(f"{day}T{last}"), site()) is Period.OPEN
    assert next_change(hours, moment(f"{day}T12:00"), site()) is None


def test_a_closure_of_a_whole_day_lasts_to_its_last_moment() -> None:
    hours = Hours.model_validate({**{day: ["00:00-24:00"] for day in DAYS}, "closures": [{"date": "2026-11-30"}]})
    assert state(hours, moment("2026-11-30T23:59:59.5"), site()) is Period.CLOSED
    assert state(hours, moment("2026-12-01T00:00"), site()) is Period.OPEN


def test_holidays_have_names() -> None:
    assert holiday_name(OFFICE, date(2026, 11, 26), site()) == "Thanksgiving Day"
    assert holiday_name(OFFICE, date(2026, 12, 24), site()) == "Christmas Eve"
    assert holiday_name(OFFICE, date(2026, 11, 30), site()) == ""
    assert holiday_name(Hours(), date(2026, 12, 25), site()) == ""


def test_the_hour_that_comes_twice_is_the_same_hour_twice() -> None:
    hours = Hours.model_validate({"sun": ["01:15-01:45"]})
    twice = moment("2026-11-01T01:30")
    assert state(hours, twice, site()) is state(hours, twice.replace(fold=1), site()) is Period.OPEN


@given(st.integers(0, 10**6))
@example(0)
@settings(max_examples=30, deadline=None)
def test_following_the_changes_one_by_one_tells_the_whole_story(start: int) -> None:
    """From change to change the period never differs from what was said last."""
    at = moment("2026-10-01T00:00") + timedelta(minutes=start % (90 * 1440))
    for _ in range(12):
        found = next_change(OFFICE, at, site())
        assert found is not None
        then, period = found
        assert then.timestamp() > at.timestamp()
        assert state(OFFICE, then, site()) is period
        just_before = (then.astimezone(UTC) - timedelta(seconds=1)).astimezone(then.tzinfo)
        assert state(OFFICE, just_before, site()) is state(OFFICE, at, site()) is not period
        at = then

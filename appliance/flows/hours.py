"""Open, lunch, closed or holiday: a pure function of the hours and the moment (REQ-A3).

All comparisons are made in the site's local time as people read it off the wall: a span is half-open, ``08:00-17:00``
holds at 08:00 and not at 17:00, and ``24:00`` is the end of the day. Where a changed clock leaves an hour out, what begins in
it begins when the clock is moved; in the hour that comes twice, what the wall says holds both times.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

import holidays

from appliance.config.schema import Exception_, Hours, Site
from appliance.config.values import END_OF_DAY


class Period(enum.Enum):
    OPEN = "open"
    LUNCH = "lunch"
    CLOSED = "closed"
    HOLIDAY = "holiday"


def state(hours: Hours, at: datetime, site: Site) -> Period:
    """The period that holds at this moment (``at`` aware, in the site's zone).

    A one-off opening beats everything; then a one-off closure, a holiday, lunch, the week.
    """
    day, moment = at.date(), at.time().replace(fold=0)
    if _covers(hours.openings, day, moment):
        return Period.OPEN
    if _covers(hours.closures, day, moment):
        return Period.CLOSED
    if holiday_name(hours, day, site):
        return Period.HOLIDAY
    if not any(_within(start, moment, end) for start, end in hours.week()[day.weekday()]):
        return Period.CLOSED
    if any(_within(start, moment, end) for start, end in hours.lunch):
        return Period.LUNCH
    return Period.OPEN


def holiday_name(hours: Hours, day: date, site: Site) -> str:
    """The holiday's name; ``""`` on a working day."""
    for own in hours.holidays:
        if own.date == day:
            return own.name
    if not hours.public_holidays:
        return ""
    return _public(site.country, site.subdivision, day.year).get(day, "")


def next_change(hours: Hours, at: datetime, site: Site, days: int = 400) -> tuple[datetime, Period] | None:
    """When the period next becomes another, and which; ``None`` when it does not within ``days``."""
    now, since = state(hours, at, site), at.timestamp()
    for offset in range(days + 1):
        day = at.date() + timedelta(days=offset)
        for moment in sorted(_moments(hours, day, at.tzinfo), key=datetime.timestamp):
            if moment.timestamp() > since and (then := state(hours, moment, site)) is not now:
                return moment, then
    return None


def _moments(hours: Hours, day: date, zone: tzinfo | None) -> Iterator[datetime]:
    """Every moment of a day at which the period may change."""
    spans = [*hours.week()[day.weekday()], *hours.lunch]
    spans += [(e.from_, e.until) for e in (*hours.openings, *hours.closures) if e.date == day]
    for edge in {time(0, 0), *(start for start, _ in spans), *(end for _, end in spans if end != END_OF_DAY)}:
        for fold in (0, 1):
            moment = datetime.combine(day, edge, tzinfo=zone).replace(fold=fold)
            if moment.astimezone(UTC).astimezone(zone).time() == edge:
                yield moment
    if (moved := _clock_moved(day, zone)) is not None:
        yield moved


def _clock_moved(day: date, zone: tzinfo | None) -> datetime | None:
    """The first moment under the new time, on a day on which the clock is changed."""
    first = datetime.combine(day, time(0, 0), tzinfo=zone).astimezone(UTC) - timedelta(hours=2)
    last = first + timedelta(hours=30)
    before = first.astimezone(zone).utcoffset()
    if before == last.astimezone(zone).utcoffset():
        return None
    while last - first > timedelta(seconds=1):
        middle = first + (last - first) // 2
        if middle.astimezone(zone).utcoffset() == before:
            first = middle
        else:
            last = middle
    moved = last.replace(microsecond=0).astimezone(zone)
    return moved if moved.date() == day else None


def _within(start: time, moment: time, end: time) -> bool:
    return start <= moment and (moment < end or end == END_OF_DAY)


def _covers(exceptions: Iterable[Exception_], day: date, moment: time) -> bool:
    return any(e.date == day and _within(e.from_, moment, e.until) for e in exceptions)


@lru_cache(maxsize=64)
def _public(country: str, subdivision: str | None, year: int) -> dict[date, str]:
    return dict(holidays.country_holidays(country, subdiv=subdivision, years=year))

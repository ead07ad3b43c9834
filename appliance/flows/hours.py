"""Open, lunch, closed or holiday: a pure function of the hours and the moment (REQ-A3).

All comparisons are made in the site's local time as people read it off the wall: a span is half-open, ``08:00-17:00``
holds at 08:00 and not at 17:00. On the days the clock is changed nothing special happens, since nobody opens at an hour
that does not exist; the hour that comes twice is the same hour twice.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from functools import lru_cache

import holidays

from appliance.config.schema import Exception_, Hours, Site


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
    if not any(start <= moment < end for start, end in hours.week()[day.weekday()]):
        return Period.CLOSED
    if any(start <= moment < end for start, end in hours.lunch):
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
    now = state(hours, at, site)
    for offset in range(days + 1):
        day = at.date() + timedelta(days=offset)
        for edge in sorted(_edges(hours, day)):
            moment = datetime.combine(day, edge, tzinfo=at.tzinfo)
            if moment > at and (then := state(hours, moment, site)) is not now:
                return moment, then
    return None


def _edges(hours: Hours, day: date) -> set[time]:
    spans = [*hours.week()[day.weekday()], *hours.lunch]
    spans += [(e.from_, e.until) for e in (*hours.openings, *hours.closures) if e.date == day]
    return {time(0, 0), *(start for start, _ in spans), *(end for _, end in spans)}


def _covers(exceptions: Iterable[Exception_], day: date, moment: time) -> bool:
    return any(e.date == day and e.from_ <= moment < e.until for e in exceptions)


@lru_cache(maxsize=64)
def _public(country: str, subdivision: str | None, year: int) -> dict[date, str]:
    return dict(holidays.country_holidays(country, subdiv=subdivision, years=year))

"""The ways through a clinic file as a graph: circles nobody gets out of, menus nobody can leave.

Each place is looked at once and each way followed once, however the menus are connected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from appliance.config.problem import Problem
from appliance.config.schema import Clinic, Destination

_Ways = Callable[[Destination], Sequence[Destination]]


def places(clinic: Clinic) -> list[Destination]:
    """Every place of the file that leads on."""
    named = (("menu", clinic.menus), ("queue", clinic.queues), ("group", clinic.groups))
    found = [Destination(kind, name) for kind, table in named for name in table]
    return found + [Destination("extension", phone.extension) for phone in clinic.phones]


def path_of(clinic: Clinic, place: Destination) -> str:
    """Where a place stands in the file."""
    if place.kind == "extension":
        return next((f"phones[{i}]" for i, p in enumerate(clinic.phones) if p.extension == place.name), "phones")
    return f"{place.kind}s.{place.name}"


def loops(clinic: Clinic) -> Iterator[Problem]:
    """A caller who presses nothing and whom nobody answers must come to an end, never back to where they were."""
    for circle in _circles(places(clinic), lambda place: _passive(clinic, place)):
        story = " → ".join(map(str, [*circle, circle[0]]))
        yield Problem(path_of(clinic, circle[0]), f"a caller whom nobody answers goes round in a circle: {story}",
                      "let one of them end in a mailbox")  # fmt: skip


def traps(clinic: Clinic) -> Iterator[Problem]:
    """A menu whose every key, and doing nothing, leads to menus only: whoever is in there can but hang up."""
    ways = {Destination("menu", name): set(_all_ways(clinic, name)) for name in clinic.menus}
    back: dict[Destination, list[Destination]] = {menu: [] for menu in ways}
    free: list[Destination] = []
    for menu, targets in ways.items():
        if any(target not in ways for target in targets):
            free.append(menu)
        for target in targets & ways.keys():
            back[target].append(menu)
    seen = set(free)
    while free:
        for menu in back[free.pop()]:
            if menu not in seen:
                seen.add(menu)
                free.append(menu)
    for menu in ways:
        if menu not in seen:
            yield Problem(path_of(clinic, menu), "nobody can leave this menu: all its ways lead to menus and on to menus",
                          "let a key, or no_input, lead to a queue, a group, a phone or a mailbox", str(menu))  # fmt: skip


def _passive(clinic: Clinic, here: Destination) -> list[Destination]:
    """Where a caller who does nothing, or whom nobody answers, goes on to from here; empty: it ends well here."""
    ways: list[Destination | None] = []
    if here.kind == "menu" and (menu := clinic.menus.get(here.name)) is not None:
        ways = [menu.no_input or clinic.clinic.operator]
    elif here.kind == "queue" and (queue := clinic.queues.get(here.name)) is not None:
        ways = [queue.overflow.wait, queue.overflow.full, queue.overflow.no_agents]
    elif here.kind == "group" and (group := clinic.groups.get(here.name)) is not None:
        ways = [group.no_answer]
    elif here.kind == "extension" and (phone := clinic.phone(here.name)) is not None:
        ways = [phone.forward_always, phone.forward_busy, phone.forward_no_answer]
    return [way for way in ways if way is not None]


def _all_ways(clinic: Clinic, name: str) -> Iterator[Destination]:
    """Every way out of a menu, by key or by doing nothing or something wrong."""
    menu, operator = clinic.menus[name], clinic.clinic.operator
    yield from menu.keys.values()
    yield menu.no_input or operator
    yield menu.bad_input or menu.no_input or operator
    if "0" not in menu.keys:
        yield operator
    if menu.dial_extension:
        yield from (Destination("extension", phone.extension) for phone in clinic.phones[:1])


def _circles(starts: Sequence[Destination], ways: _Ways) -> Iterator[list[Destination]]:
    """One circle for each way that leads back into the trail it came from: a walk in depth that visits each place once."""
    done: set[Destination] = set()
    for start in starts:
        if start in done:
            continue
        trail: dict[Destination, Iterator[Destination]] = {start: iter(ways(start))}
        while trail:
            here = next(reversed(trail))
            way = next(trail[here], None)
            if way is None:
                done.add(here)
                del trail[here]
            elif way in trail:
                walked = list(trail)
                yield walked[walked.index(way) :]
            elif way not in done:
                trail[way] = iter(ways(way))

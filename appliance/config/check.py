"""Checks across a clinic file: does every way lead somewhere, and can every caller get out?"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from appliance.config.dialing import EMERGENCY, EMERGENCY_TEST
from appliance.config.linter import lint
from appliance.config.load import Lines
from appliance.config.problem import Problem
from appliance.config.schema import Clinic, Destination


def check(clinic: Clinic, text: str = "") -> list[Problem]:
    """All findings, errors first; with the file's text they carry line numbers."""
    lines = Lines(text)
    found = [*_targets(clinic), *_names(clinic), *_loops(clinic), *_numbers(clinic), *_words(clinic)]
    placed = [
        problem if problem.line else Problem(problem.where, problem.what, problem.mend, problem.value,
                                             lines.of(_location(problem.where)), problem.severity)
        for problem in found
    ]  # fmt: skip
    return sorted(placed, key=lambda problem: (problem.severity != "error", problem.line))


def destinations(clinic: Clinic) -> Iterator[tuple[str, Destination]]:
    """Every destination written in the file, with the path of the key that holds it."""
    yield "clinic.operator", clinic.clinic.operator
    for i, number in enumerate(clinic.numbers):
        for key in ("open", "lunch", "closed", "holiday"):
            if (target := getattr(number, key)) is not None:
                yield f"numbers[{i}].{key}", target
    for name, menu in clinic.menus.items():
        for digit, target in menu.keys.items():
            yield f"menus.{name}.keys.{digit}", target
        for key in ("no_input", "bad_input"):
            if (target := getattr(menu, key)) is not None:
                yield f"menus.{name}.{key}", target
    for name, queue in clinic.queues.items():
        for key in ("wait", "full", "no_agents"):
            yield f"queues.{name}.overflow.{key}", getattr(queue.overflow, key)
    for name, group in clinic.groups.items():
        yield f"groups.{name}.no_answer", group.no_answer
    for i, phone in enumerate(clinic.phones):
        for key in ("forward_always", "forward_busy", "forward_no_answer"):
            if (target := getattr(phone, key)) is not None:
                yield f"phones[{i}].{key}", target


def _known(clinic: Clinic) -> Mapping[str, set[str]]:
    return {
        "menu": set(clinic.menus),
        "queue": set(clinic.queues),
        "group": set(clinic.groups),
        "extension": {phone.extension for phone in clinic.phones},
        "mailbox": set(clinic.mailboxes),
        "announce": set(clinic.messages),
    }


def _targets(clinic: Clinic) -> Iterator[Problem]:
    known = _known(clinic)
    for where, target in destinations(clinic):
        if target.kind in known and target.name not in known[target.kind]:
            yield _unknown(where, target.kind, target.name, known[target.kind], str(target))
        if target.kind == "number" and not target.name.startswith("+"):
            yield Problem(where, "an outside number is written in full", "write it as number:+12175550100", str(target))


def _unknown(where: str, kind: str, name: str, known: set[str], value: str) -> Problem:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.4)
    mend = f"did you mean '{kind}:{near[0]}'?" if near else f"known: {', '.join(sorted(known)) or 'none yet'}"
    return Problem(where, f"there is no {kind} of this name", mend, value)


def _names(clinic: Clinic) -> Iterator[Problem]:
    known = _known(clinic)
    for name, queue in clinic.queues.items():
        for i, agent in enumerate(queue.agents):
            if agent not in known["extension"]:
                yield _unknown(f"queues.{name}.agents[{i}]", "extension", agent, known["extension"], agent)
        for i, message in enumerate(queue.messages):
            if message not in known["announce"]:
                yield Problem(f"queues.{name}.messages[{i}]", "there is no message of this name",
                              f"known: {', '.join(sorted(clinic.messages))}", message)  # fmt: skip
        if not queue.agents:
            yield Problem(f"queues.{name}.agents", "a queue without agents answers nobody", "name at least one phone")
    for name, group in clinic.groups.items():
        for i, member in enumerate(group.members):
            if not member.startswith("+") and member not in known["extension"]:
                yield _unknown(f"groups.{name}.members[{i}]", "extension", member, known["extension"], member)
    for i, phone in enumerate(clinic.phones):
        if phone.mailbox is not None and phone.mailbox not in clinic.mailboxes:
            yield _unknown(f"phones[{i}].mailbox", "mailbox", phone.mailbox, known["mailbox"], phone.mailbox)
    for i, number in enumerate(clinic.numbers):
        if number.hours is not None and number.hours not in clinic.hours:
            yield _unknown(f"numbers[{i}].hours", "hours", number.hours, set(clinic.hours), number.hours)


def _numbers(clinic: Clinic) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    reserved = {*EMERGENCY, EMERGENCY_TEST, *(f"9{code}" for code in EMERGENCY)}
    entries = [(f"phones[{i}].extension", phone.extension) for i, phone in enumerate(clinic.phones)]
    entries += [(f"dialing.park_slots[{i}]", slot) for i, slot in enumerate(clinic.dialing.park_slots)]
    for where, extension in entries:
        if extension in reserved:
            yield Problem(where, "this is an emergency number and always will be", "choose another", extension)
        if extension in seen:
            yield Problem(where, f"this number is used already by {seen[extension]}", "choose another", extension)
        seen.setdefault(extension, where)
    prefix = clinic.dialing.outside_prefix
    for where, extension in entries:
        if prefix and extension.startswith(prefix) and len(extension) > 1 and not where.startswith("dialing"):
            yield Problem(where, f"begins with the outside prefix {prefix}: phones may wait for more digits",
                          "choose an extension with another first digit", extension, severity="warning")  # fmt: skip
    for i, phone in enumerate(clinic.phones):
        if not phone.location:
            yield Problem(f"phones[{i}].location", "a phone needs its room: 911 is told where to come (47 CFR 9.16)",
                          "add a line location = \"Front desk, left\"", phone.extension)  # fmt: skip
    names: dict[str, int] = {}
    for i, line in enumerate(clinic.lines):
        if line.name in names:
            yield Problem(f"lines[{i}].name", "two lines have this name", "choose another", line.name)
        names[line.name] = i
        if line.register_ and not line.username:
            yield Problem(f"lines[{i}].username", "a line that signs in needs a username", "add username = \"…\"")  # fmt: skip
    called: dict[str, int] = {}
    for i, number in enumerate(clinic.numbers):
        if number.number in called:
            yield Problem(f"numbers[{i}].number", "this number is written twice", "join the two entries", number.number)
        called[number.number] = i
        if clinic.lines and not any(number.number in line.numbers for line in clinic.lines):
            yield Problem(f"numbers[{i}].number", "no line brings calls to this number", "add it to a line's numbers",
                          number.number, severity="warning")  # fmt: skip
        if number.hours and number.closed is None:
            yield Problem(f"numbers[{i}].closed", "callers outside the hours reach nobody",
                          "add closed = \"mailbox:…\" or a menu", number.number)  # fmt: skip
    if not clinic.lines:
        yield Problem("lines", "there is no outside line: 911 cannot leave the house", "add [[lines]]", severity="warning")


def _ways(clinic: Clinic, here: Destination) -> list[Destination]:
    """Where a caller who does nothing, or whom nobody answers, goes on to from here; empty: it ends well here."""
    if here.kind == "menu":
        menu = clinic.menus.get(here.name)
        return [menu.no_input or clinic.clinic.operator] if menu is not None else []
    if here.kind == "queue":
        queue = clinic.queues.get(here.name)
        return [queue.overflow.wait, queue.overflow.full, queue.overflow.no_agents] if queue is not None else []
    if here.kind == "group":
        group = clinic.groups.get(here.name)
        return [group.no_answer] if group is not None else []
    if here.kind == "extension":
        phone = clinic.phone(here.name)
        ways = [phone.forward_always, phone.forward_busy, phone.forward_no_answer] if phone is not None else []
        return [way for way in ways if way is not None]
    return []


def _loops(clinic: Clinic) -> Iterator[Problem]:
    """A caller who presses nothing and whom nobody answers must come to an end, never back to where they were."""
    starts = [*(("menu", name) for name in clinic.menus), *(("queue", name) for name in clinic.queues),
              *(("group", name) for name in clinic.groups), *(("extension", p.extension) for p in clinic.phones)]  # fmt: skip
    told: set[frozenset[str]] = set()
    for kind, name in starts:
        trail = [Destination(kind, name)]
        yield from _follow(clinic, trail, told)


def _follow(clinic: Clinic, trail: list[Destination], told: set[frozenset[str]]) -> Iterator[Problem]:
    for way in _ways(clinic, trail[-1]):
        if way == trail[0] or (way in trail and len(trail) > 20):
            loop = frozenset(map(str, trail))
            if loop not in told:
                told.add(loop)
                story = " → ".join(map(str, [*trail, way]))
                where = {"menu": "menus", "queue": "queues", "group": "groups"}.get(way.kind)
                yield Problem(f"{where}.{way.name}" if where else _phone_path(clinic, way.name),
                              f"a caller whom nobody answers goes round in a circle: {story}",
                              "let one of them end in a mailbox")  # fmt: skip
        elif way not in trail:
            yield from _follow(clinic, [*trail, way], told)


def _phone_path(clinic: Clinic, extension: str) -> str:
    return next((f"phones[{i}]" for i, p in enumerate(clinic.phones) if p.extension == extension), "phones")


def _words(clinic: Clinic) -> Iterator[Problem]:
    """REQ-Q3: nothing a stranger hears names a condition, a treatment or a patient."""
    spoken = [(f"menus.{name}.greeting", menu.greeting) for name, menu in clinic.menus.items()]
    spoken += [(f"mailboxes.{name}.greeting", box.greeting) for name, box in clinic.mailboxes.items()]
    spoken += [(f"messages.{name}.text", message.text) for name, message in clinic.messages.items()]
    for where, text in spoken:
        for finding in lint(text):
            yield Problem(where, finding.why, finding.mend, repr(finding.words))


def _location(where: str) -> list[str | int]:
    parts: list[str | int] = []
    for piece in where.split("."):
        name, _, rest = piece.partition("[")
        parts.append(name)
        parts += [int(index.rstrip("]")) for index in rest.split("[") if index]
    return parts

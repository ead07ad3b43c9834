"""Checks across a clinic file: does every way lead somewhere, and can every caller get out?"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

import holidays
import phonenumbers

from appliance.config.dialing import emergency
from appliance.config.graph import loops, traps
from appliance.config.linter import lint
from appliance.config.load import Lines
from appliance.config.problem import Problem
from appliance.config.schema import Clinic, Destination


def check(clinic: Clinic, text: str = "") -> list[Problem]:
    """All findings, errors first; with the file's text they carry line numbers."""
    lines = Lines(text)
    found = [*_site(clinic), *_targets(clinic), *_names(clinic), *loops(clinic), *traps(clinic), *_phones(clinic),
             *_lines(clinic), *_numbers(clinic), *_words(clinic)]  # fmt: skip
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


def _unknown(where: str, kind: str, name: str, known: set[str], value: str, prefix: str | None = None) -> Problem:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.4)
    before = f"{kind}:" if prefix is None else prefix
    mend = f"did you mean '{before}{near[0]}'?" if near else f"known: {', '.join(sorted(known)) or 'none yet'}"
    return Problem(where, f"there is no {kind} of this name", mend, value)


def _names(clinic: Clinic) -> Iterator[Problem]:
    known = _known(clinic)
    for name, queue in clinic.queues.items():
        for i, agent in enumerate(queue.agents):
            if agent not in known["extension"]:
                yield _unknown(f"queues.{name}.agents[{i}]", "extension", agent, known["extension"], agent, prefix="")
        for i, message in enumerate(queue.messages):
            if message not in known["announce"]:
                yield _unknown(f"queues.{name}.messages[{i}]", "message", message, known["announce"], message, prefix="")
        if not queue.agents:
            yield Problem(f"queues.{name}.agents", "a queue without agents answers nobody", "name at least one phone")
    for name, group in clinic.groups.items():
        for i, member in enumerate(group.members):
            if not member.startswith("+") and member not in known["extension"]:
                yield _unknown(f"groups.{name}.members[{i}]", "extension", member, known["extension"], member, prefix="")
    for i, phone in enumerate(clinic.phones):
        if phone.mailbox is not None and phone.mailbox not in clinic.mailboxes:
            yield _unknown(f"phones[{i}].mailbox", "mailbox", phone.mailbox, known["mailbox"], phone.mailbox, prefix="")
    for i, number in enumerate(clinic.numbers):
        if number.hours is not None and number.hours not in clinic.hours:
            yield _unknown(f"numbers[{i}].hours", "table of hours", number.hours, set(clinic.hours), number.hours, prefix="")


def _site(clinic: Clinic) -> Iterator[Problem]:
    country, state = clinic.clinic.country, clinic.clinic.subdivision
    if country not in phonenumbers.SUPPORTED_REGIONS:
        yield Problem("clinic.country", "there is no country of these letters", "e.g. 'US' or 'CA'", country)
        return
    known = holidays.list_supported_countries()
    if state is not None and state not in known.get(country, [state]):
        yield _unknown("clinic.subdivision", "state or province", state, set(known[country]), state, prefix="")
    if country not in known:
        for name, hours in clinic.hours.items():
            if hours.public_holidays:
                yield Problem(f"hours.{name}.public_holidays", f"the public holidays of {country} are not known",
                              "write them as holidays = [{ date = …, name = … }]", "true")  # fmt: skip
    sip = clinic.sip
    if sip.port == sip.tls_port:
        yield Problem("sip.tls_port", "this port is used for calls without TLS", "choose another, e.g. 5061", str(sip.port))
    for key in ("port", "tls_port"):
        port = getattr(sip, key)
        if port is not None and sip.rtp_ports[0] <= port <= sip.rtp_ports[1]:
            yield Problem(f"sip.{key}", "this port lies among those for sound (rtp_ports)", "choose another", str(port))


def _phones(clinic: Clinic) -> Iterator[Problem]:
    entries = [(f"phones[{i}].extension", phone.extension) for i, phone in enumerate(clinic.phones)]
    entries += [(f"dialing.park_slots[{i}]", slot) for i, slot in enumerate(clinic.dialing.park_slots)]
    prefix = clinic.dialing.outside_prefix
    seen: dict[str, str] = {}
    for where, extension in entries:
        if emergency(extension, prefix, clinic.clinic.country) is not None:
            yield Problem(where, "this is an emergency number and always will be", "choose another", extension)
        if extension in seen:
            yield Problem(where, f"this number is used already by {seen[extension]}", "choose another", extension)
        seen.setdefault(extension, where)
        if prefix and extension.startswith(prefix) and not where.startswith("dialing"):
            yield Problem(where, f"begins with the outside prefix {prefix}: phones may wait for more digits",
                          "choose an extension with another first digit", extension, severity="warning")  # fmt: skip
    for i, phone in enumerate(clinic.phones):
        if not phone.location.strip():
            yield Problem(f"phones[{i}].location", "a phone needs its room: 911 is told where to come (47 CFR 9.16)",
                          "add a line location = \"Front desk, left\"", phone.extension)  # fmt: skip


def _lines(clinic: Clinic) -> Iterator[Problem]:
    names: set[str] = set()
    for i, line in enumerate(clinic.lines):
        if line.name in names:
            yield Problem(f"lines[{i}].name", "two lines have this name", "choose another", line.name)
        names.add(line.name)
        if line.register_ and not line.username:
            yield Problem(f"lines[{i}].username", "a line that signs in needs a username", 'add username = "…"')
        _, _, port = line.server.partition(":")
        if port and not 1 <= int(port) <= 65535:
            yield Problem(f"lines[{i}].server", "there is no such port", "ports go from 1 to 65535", line.server)
    if not clinic.lines:
        yield Problem("lines", "there is no outside line: 911 cannot leave the house", "add [[lines]]", severity="warning")


def _numbers(clinic: Clinic) -> Iterator[Problem]:
    called: set[str] = set()
    for i, number in enumerate(clinic.numbers):
        if number.number in called:
            yield Problem(f"numbers[{i}].number", "this number is written twice", "join the two entries", number.number)
        called.add(number.number)
        if clinic.lines and not any(number.number in line.numbers for line in clinic.lines):
            yield Problem(f"numbers[{i}].number", "no line brings calls to this number", "add it to a line's numbers",
                          number.number, severity="warning")  # fmt: skip
        if number.hours and number.closed is None:
            yield Problem(f"numbers[{i}].closed", "callers outside the hours reach nobody",
                          "add closed = \"mailbox:…\" or a menu", number.number)  # fmt: skip
    if clinic.clinic.operator.kind == "hangup" and (clinic.menus or clinic.numbers):
        yield Problem("clinic.operator", "nobody is the operator: callers who need help are hung up on",
                      "add operator = \"queue:…\", or a phone", "hangup", severity="warning")  # fmt: skip


def _words(clinic: Clinic) -> Iterator[Problem]:
    """REQ-Q3: nothing a stranger hears names a condition, a treatment or a patient."""
    spoken = [(f"menus.{name}.greeting", menu.greeting) for name, menu in clinic.menus.items()]
    spoken += [(f"mailboxes.{name}.greeting", box.greeting) for name, box in clinic.mailboxes.items()]
    spoken += [(f"messages.{name}.text", message.text) for name, message in clinic.messages.items()]
    for where, text in spoken:
        for finding in lint(text, clinic.clinic.name):
            yield Problem(where, finding.why, finding.mend, repr(finding.words))


def _location(where: str) -> list[str | int]:
    parts: list[str | int] = []
    for piece in where.split("."):
        name, _, rest = piece.partition("[")
        parts.append(name)
        parts += [int(index.rstrip("]")) for index in rest.split("[") if index]
    return parts

"""Reads a clinic.toml. Every problem is told at once, with its line, what is allowed and how to mend it."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from appliance.config.problem import ConfigFaults, Problem
from appliance.config.schema import Clinic
from appliance.config.words import words

#: a clinic file is some hundred lines; far more is not one
MAX_BYTES = 1_000_000


def load(path: Path) -> Clinic:
    """Read and validate the file; checks across it are `appliance.config.check`'s. Raises :class:`ConfigFaults`."""
    return parse(read(path))


def read(path: Path) -> str:
    """The file's text. Raises :class:`ConfigFaults` when there is none to be read."""
    where = str(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        mend = "give the path of your clinic.toml, or copy the demo clinic to start from"
        raise ConfigFaults([Problem(where, "there is no such file", mend)]) from error
    except IsADirectoryError as error:
        raise ConfigFaults([Problem(where, "this is a folder", "give the clinic.toml in it")]) from error
    except OSError as error:
        what = f"the file cannot be read ({error.strerror})"
        raise ConfigFaults([Problem(where, what, "let the user 'clinicpbx' read it")]) from error
    if len(data) > MAX_BYTES:
        raise ConfigFaults([Problem(where, "this is no clinic file, it is over 1 MB", "give the right file")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        what = f"a character is not UTF-8 (byte {data[error.start]:#04x})"
        raise ConfigFaults([Problem(where, what, "save the file as UTF-8", line=line)]) from error


def parse(text: str) -> Clinic:
    """A clinic from TOML text. Raises :class:`ConfigFaults`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found.group(1)) if found else text.count("\n") + 1
        what = re.sub(r" \(at .*\)$", "", str(error))
        mend = "look for a missing quote, bracket or = in this line or the one before"
        raise ConfigFaults([Problem("the file", f"this is not TOML: {what[0].lower()}{what[1:]}", mend, "", line)]) from error
    except RecursionError as error:
        raise ConfigFaults([Problem("the file", "brackets are nested too deeply", "remove them")]) from error
    except ValueError as error:
        # A number of thousands of digits.
        raise ConfigFaults([Problem("the file", f"a value cannot be read: {error}", "write a shorter one")]) from error
    try:
        return Clinic.model_validate(data)
    except ValidationError as error:
        lines = Lines(text)
        raise ConfigFaults([_problem(item, lines) for item in error.errors(include_url=False)]) from error


def _problem(item: Mapping[str, Any], lines: Lines) -> Problem:
    location = [part for part in item["loc"] if part != "[key]"]
    where, line = dotted(location), lines.of(location)
    if item["type"] == "extra_forbidden":
        known = sorted(_keys_at(location[:-1]))
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        mend = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}"
        return Problem(where, "this key is not known", mend, "", line)
    if item["type"] == "missing":
        table = _keys_at(location)
        entry = "write two of them" if isinstance(location[-1], int) else f"add a line {location[-1]} = …"
        mend = f"add a table [{where}]" if table else entry
        return Problem(where, "this is missing", mend, "", lines.of(location[:-1]))
    context = {**_bounds(location), **item.get("ctx", {})}
    what, mend = words(item["type"], context, str(item["msg"]))
    return Problem(where, what, mend, shown(item.get("input")), line)


def shown(value: object) -> str:
    """A value of the file for a message: short, and never a whole table."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "an empty list" if not value else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def dotted(location: Sequence[str | int]) -> str:
    """``("queues", "frontdesk", "agents", 1)`` → ``queues.frontdesk.agents[1]``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"


def _model_at(location: Sequence[str | int]) -> type[BaseModel] | None:
    """The model that describes a place of the file."""
    annotation: Any = Clinic
    for part in location:
        model = _model_in(annotation)
        if model is not None and isinstance(part, str):
            field = next((f for name, f in model.model_fields.items() if part in (f.alias or name, name)), None)
            annotation = field.annotation if field is not None else None
        elif isinstance(part, (str, int)):
            args = [arg for arg in get_args(annotation) if _model_in(arg) is not None]
            annotation = args[-1] if args else None
    return _model_in(annotation)


def _keys_at(location: Sequence[str | int]) -> set[str]:
    """The keys the schema knows at a place."""
    model = _model_at(location)
    return {field.alias or name for name, field in model.model_fields.items()} if model is not None else set()


def _bounds(location: Sequence[str | int]) -> dict[str, object]:
    """Both ends of what a number may be: a refusal tells only the one that was passed."""
    model = _model_at(location[:-1])
    found = (
        next((f for name, f in model.model_fields.items() if location[-1] in (f.alias or name, name)), None) if model else None
    )
    limits = found.metadata if found is not None else []
    return {key: value for limit in limits for key in ("ge", "le") if (value := getattr(limit, key, None)) is not None}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


class Lines:
    """Where in a TOML text a key stands: a light scan, for messages only."""

    _TABLE = re.compile(r"^\s*(\[\[?)\s*([^\]#]+?)\s*\]\]?\s*(?:#.*)?$")
    _KEY = re.compile(r"^\s*([A-Za-z0-9_*#.\"'-]+)\s*=")

    def __init__(self, text: str) -> None:
        self._at: dict[tuple[str | int, ...], int] = {}
        table: tuple[str | int, ...] = ()
        counts: dict[tuple[str | int, ...], int] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if found := self._TABLE.match(line):
                table = tuple(part.strip().strip("\"'") for part in found.group(2).split("."))
                if found.group(1) == "[[":
                    counts[table] = counts.get(table, -1) + 1
                    table = (*table, counts[table])
                elif table[:1] in counts:
                    table = (table[0], counts[table[:1]], *table[1:])
                self._at.setdefault(table, number)
            elif found := self._KEY.match(line):
                keys = tuple(part.strip("\"'") for part in found.group(1).split("."))
                self._at.setdefault((*table, *keys), number)

    def of(self, location: Sequence[str | int]) -> int:
        """The line of the nearest thing found for this location; 0 when nothing is."""
        path = tuple(location)
        while path:
            if path in self._at:
                return self._at[path]
            path = path[:-1]
        return 0

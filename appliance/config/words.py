"""Plain words for what the schema refuses: what is wrong with a value, what would be right.

The words of pydantic are for programmers ("Input should be a valid tuple"). Here stands one line for each kind of refusal;
what our own validators say is kept, it is meant for the person who edits the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

#: what a pattern of the schema means
PATTERNS: Mapping[str, str] = {
    r"^[0-9*#]$": "a key of the telephone: one of 0 to 9, * or #",
    r"^[a-z][a-z0-9_-]{0,39}$": "a name of small letters, digits, - and _, that begins with a letter, e.g. 'frontdesk'",
    r"^[A-Z]{2}$": "the two capital letters of a country, e.g. 'US'",
    r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$": "an address or a name, with or without a port, e.g. 'sip.provider.com:5060'",
    r"^[0-9]?$": "one digit, or empty text for none, e.g. '9'",
    r"^([0-9]{3})?$": "three digits, or empty text for none, e.g. '217'",
}

_Words = Callable[[Mapping[str, Any]], tuple[str, str]]

#: refusals by pydantic's name for them; each gives what is wrong, and what is allowed
TABLE: Mapping[str, _Words] = {
    "missing": lambda c: ("this is missing", "add it"),
    "value_error": lambda c: ("this cannot be used", str(c.get("error", "look at the demo clinic for an example"))),
    "assertion_error": lambda c: ("this cannot be used", str(c.get("error", "look at the demo clinic for an example"))),
    "literal_error": lambda c: ("this is none of the possible words", f"write {c['expected']}"),
    "string_pattern_mismatch": lambda c: ("this is not written as it must be", f"write {PATTERNS[c['pattern']]}"),
    "string_type": lambda c: ("this is no text", 'write text between quotes, e.g. "Front desk"'),
    "string_too_short": lambda c: ("this text is too short", f"write at least {_many(c['min_length'], 'character')}"),
    "string_too_long": lambda c: ("this text is too long", f"write at most {_many(c['max_length'], 'character')}"),
    "greater_than_equal": lambda c: ("this number is too small", _number(c)),
    "less_than_equal": lambda c: ("this number is too large", _number(c)),
    "bool_type": lambda c: ("this is neither true nor false", "write true or false, without quotes"),
    "bool_parsing": lambda c: ("this is neither true nor false", "write true or false, without quotes"),
    "ip_v4_address": lambda c: ("this is no address", "write an address of this box, e.g. '192.168.1.10'"),
    "model_type": lambda c: ("this is no table of keys", "write keys and values here, as the demo clinic does"),
    "dict_type": lambda c: ("this is no table of keys", "write a table here, as the demo clinic does"),
    "tuple_type": lambda c: ("this is no list", 'write a list in square brackets, e.g. ["101", "102"]'),
    "too_short": lambda c: ("this list is too short", f"write at least {_many(c['min_length'], 'entry')}"),
    "too_long": lambda c: ("this list is too long", f"write at most {_many(c['max_length'], 'entry')}"),
    **{
        kind: lambda c: ("this is no whole number", _number(c))
        for kind in ("int_type", "int_parsing", "int_parsing_size", "int_from_float", "finite_number")
    },
}


def words(kind: str, context: Mapping[str, Any], message: str) -> tuple[str, str]:
    """What is wrong and how to mend it, for a refusal of this kind; ``message`` is pydantic's, for kinds not in the table."""
    if kind in TABLE:
        return TABLE[kind](context)
    return "this cannot be used", re.sub(r"^Input should (be )?", "write ", message)


def _number(context: Mapping[str, Any]) -> str:
    low, high = context.get("ge"), context.get("le")
    if low is None or high is None:
        return f"write a whole number{'' if low is None else f' from {low}'}{'' if high is None else f' up to {high}'}"
    return f"write a whole number from {low} to {high}, without quotes"


def _many(count: int, thing: str) -> str:
    plural = {"entry": "entries"}.get(thing, thing + "s")
    return f"{count} {thing if count == 1 else plural}"

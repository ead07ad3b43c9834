"""REQ-Q3: a greeting, hold message or notice must not tell a stranger about a patient.

Whoever stands beside a caller, or calls by mistake, may hear these texts. A general offer ("flu shots are here") says
nothing about the listener; a text that names a disease, a medicine or treatment that tells one, or a person other than
staff does (45 CFR 164.502, 164.514). The word list is data: `sensitive.toml` beside this file.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: the words, why they are refused, and another way to say it."""

    words: str
    why: str
    mend: str


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    why: str
    mend: str


def lint(text: str, own_name: str = "") -> list[Finding]:
    """All findings in a spoken or written text, in order; empty when it may be used.

    The practice's ``own_name`` is no finding, whatever it says: whoever has dialled the number knows it.
    """
    plain = _plain(text)
    if own_name.strip():
        plain = re.sub(re.escape(_plain(own_name)), "our practice", plain, flags=re.IGNORECASE)
    found = [
        (match.start(), Finding(match.group(0).strip(), rule.why, rule.mend))
        for rule in _rules()
        for match in rule.pattern.finditer(plain)
    ]
    return [finding for _, finding in sorted(found, key=lambda item: item[0])]


def _plain(text: str) -> str:
    """The text as it is heard: no accents, nothing invisible, one kind of blank, hyphen and apostrophe; ``H. I. V.`` joined."""
    apart = unicodedata.normalize("NFKD", text)
    seen = "".join(char for char in apart if unicodedata.category(char) not in {"Mn", "Me", "Cf"})
    seen = re.sub(r"[\u2010-\u2015\u2212_]", "-", seen)
    seen = re.sub(r"[\u2018\u2019\u02bc`]", "'", seen)
    seen = re.sub(r"\s+", " ", seen)
    return re.sub(r"\b[A-Za-z](?:(?:\. ?|[ -])[A-Za-z]\b)+(?!')", lambda m: re.sub(r"[. -]", "", m.group(0)), seen)


@cache
def _rules() -> tuple[_Rule, ...]:
    source = resources.files("appliance.config").joinpath("sensitive.toml").read_text(encoding="utf-8")
    rules = []
    for category in tomllib.loads(source)["category"]:
        words = [_word(word) for word in category.get("words", [])]
        pattern = "|".join([*category.get("patterns", []), *([rf"\b(?:{'|'.join(words)})\b"] if words else [])])
        flags = 0 if category.get("case_matters") else re.IGNORECASE
        rules.append(_Rule(re.compile(pattern, flags), category["why"], category["mend"]))
    return tuple(rules)


def _word(word: str) -> str:
    """A word or several, as they may be written: one or many, with blanks or hyphens or neither between them."""
    stem = r"[ -]?".join(map(re.escape, word.split()))
    return f"{stem[:-1]}(?:y|ies)" if word.endswith("y") else f"{stem}(?:e?s|'s)?"

"""REQ-Q3: a greeting, hold message or notice must not tell a stranger about a patient.

Whoever stands beside a caller, or calls by mistake, may hear these texts. A general offer ("flu shots are here") says
nothing about the listener; a text that names a disease, a medicine or treatment that tells one, or a person other than
staff does (45 CFR 164.502, 164.514). The word list is data: `sensitive.toml` beside this file.
"""

from __future__ import annotations

import re
import tomllib
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


def lint(text: str) -> list[Finding]:
    """All findings in a spoken or written text, in order; empty when it may be used."""
    if not text.strip():
        return []
    found = [
        (match.start(), Finding(match.group(0).strip(), rule.why, rule.mend))
        for rule in _rules()
        for match in rule.pattern.finditer(text)
    ]
    return [finding for _, finding in sorted(found, key=lambda item: item[0])]


@cache
def _rules() -> tuple[_Rule, ...]:
    source = resources.files("appliance.config").joinpath("sensitive.toml").read_text(encoding="utf-8")
    rules = []
    for category in tomllib.loads(source)["category"]:
        words = "|".join(category.get("patterns", []) or [re.escape(word) for word in category["words"]])
        flags = 0 if category.get("case_matters") else re.IGNORECASE
        pattern = words if category.get("case_matters") else rf"\b(?:{words})(?:s|es)?\b"
        rules.append(_Rule(re.compile(pattern, flags), category["why"], category["mend"]))
    return tuple(rules)

"""What is wrong with a file, said so that the person who edits it can mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. ``where`` is a path such as ``queues.frontdesk.agents[1]``; ``line`` counts from 1, 0 when unknown."""

    where: str
    what: str
    mend: str = ""
    value: str = ""
    line: int = 0
    severity: str = "error"  # or "warning"

    def __str__(self) -> str:
        place = f"line {self.line}, {self.where}" if self.line else self.where
        value = f" (it is {self.value})" if self.value else ""
        mend = f" To mend it: {self.mend}" if self.mend else ""
        return f"{place}: {self.what}{value}.{mend}"

    def to_json(self) -> dict[str, object]:
        return {
            "where": self.where,
            "line": self.line,
            "what": self.what,
            "value": self.value,
            "mend": self.mend,
            "severity": self.severity,
        }


class ConfigFaults(ValueError):
    """A clinic file that cannot be used; ``problems`` holds every finding, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))

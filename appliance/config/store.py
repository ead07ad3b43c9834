"""The clinic file in use, and the last good copy of it that a bad edit falls back to."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import structlog

from appliance.config.check import check
from appliance.config.load import parse, read
from appliance.config.problem import ConfigFaults, Problem
from appliance.config.schema import Clinic

log = structlog.get_logger("config")


def examine(text: str) -> tuple[Clinic, list[Problem]]:
    """A clinic and its warnings. Raises :class:`ConfigFaults` when there is an error."""
    clinic = parse(text)
    problems = check(clinic, text)
    if any(problem.severity == "error" for problem in problems):
        raise ConfigFaults(problems)
    return clinic, problems


class Store:
    """One clinic.toml. ``faults`` is empty, or tells why the last good copy is in use; ``warnings`` what to look at."""

    def __init__(self, path: Path, state: Path) -> None:
        self.path = path
        self._good = state / "clinic.last-good.toml"
        self.faults: tuple[Problem, ...] = ()
        self.warnings: tuple[Problem, ...] = ()

    def open(self) -> Clinic:
        """The clinic to start with. Raises :class:`ConfigFaults` only when there is no last good copy either."""
        try:
            return self.reload()
        except ConfigFaults as faults:
            if not self._good.exists():
                raise
            log.error("the clinic file is bad, the last good one is used", problems=[str(p) for p in faults.problems])
            try:
                clinic, warnings = examine(read(self._good))
            except ConfigFaults as worse:
                told = [replace(p, where=f"{self._good}, {p.where}") for p in worse.problems if p.severity == "error"]
                raise ConfigFaults([*faults.problems, *told]) from worse
            self.faults, self.warnings = faults.problems, tuple(warnings)
            return clinic

    def reload(self) -> Clinic:
        """The clinic as the file says now, kept as the last good one. Raises :class:`ConfigFaults`; nothing changes then."""
        text = read(self.path)
        clinic, warnings = examine(text)
        try:
            self._keep(text)
        except OSError as error:
            # A full disk is no reason not to answer the telephone.
            what = f"no copy could be kept ({error.strerror}): a bad edit would have nothing to fall back to"
            warnings = [*warnings, Problem(str(self._good), what, "make room on the disk", severity="warning")]
        self.faults, self.warnings = (), tuple(warnings)
        return clinic

    def _keep(self, text: str) -> None:
        self._good.parent.mkdir(parents=True, exist_ok=True)
        part = self._good.with_name(self._good.name + ".part")
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._good)

"""Clinic files as trees of values, bent and broken for tests."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import tomlkit

from appliance.config.problem import ConfigFaults, Problem
from appliance.config.schema import Clinic
from appliance.config.store import examine
from appliance.simulation.office import DEMO

Path_ = tuple[str | int, ...]


def demo() -> dict[str, Any]:
    """The demo clinic as plain values."""
    return tomlkit.parse(DEMO.read_text(encoding="utf-8")).unwrap()


def text_of(tree: dict[str, Any]) -> str:
    return tomlkit.dumps(tree)


def paths(node: object, here: Path_ = ()) -> Iterator[Path_]:
    """Every place in a tree but its root."""
    entries: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(node, dict):
        entries = iter(node.items())
    elif isinstance(node, list):
        entries = iter(enumerate(node))
    for key, value in entries:
        yield (*here, key)
        yield from paths(value, (*here, key))


def at(tree: Any, path: Path_) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def changed(path: Path_, value: object, tree: dict[str, Any] | None = None) -> dict[str, Any]:
    """The demo clinic (or ``tree``) with one value put in another's place."""
    tree = copy.deepcopy(demo() if tree is None else tree)
    at(tree, path[:-1])[path[-1]] = value
    return tree


def problems_of(tree: dict[str, Any]) -> list[Problem]:
    """All findings in a tree, warnings as well."""
    try:
        return examine(text_of(tree))[1]
    except ConfigFaults as faults:
        return list(faults.problems)


def errors_of(tree: dict[str, Any]) -> list[Problem]:
    return [problem for problem in problems_of(tree) if problem.severity == "error"]


def clinic_of(tree: dict[str, Any]) -> Clinic:
    return examine(text_of(tree))[0]

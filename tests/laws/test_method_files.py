"""A method is a file that is read in one go: 90 lines a member, but for what rows are values of."""

from __future__ import annotations

import inspect
from collections import Counter
from pathlib import Path

from metatl.lab.families import FAMILIES, members

MOST = 90
NO_METHODS = {"source", "rule of shots", "stream", "engine"}
"""Families of readers of data and of ways to run: no member is a method."""
MACHINES = {
    "AcrossDomains": "rows name an alignment",
    "Around": "what goes around an adaptation inherits it",
    "ClosedForm": "rows name a solver",
    "Descent": "rows name rule, head, terms, guide and schedule",
    "DualPath": "two nets and a student by turns, with what each of them keeps",
    "Episodic": "rows name an adaptation that is learned",
    "Estimator": "rows name an estimator of scikit-learn",
    "InContext": "rows name a net that reads the support",
    "NetAcross": "rows name a learner on two domains",
    "Scout": "rows name what is kept of displacements",
    "Supervised": "rows name terms and streams",
}


def lines() -> dict[str, float]:
    """Lines of the file that a member lies in, over the members that lie there, by the member's name."""
    found = {
        name: Path(inspect.getfile(made))
        for family in FAMILIES
        if family not in NO_METHODS
        for name, made in members(family).items()
    }
    shared = Counter(found.values())
    return {name: len(path.read_text().splitlines()) / shared[path] for name, path in found.items()}


def test_a_method_is_read_in_one_go() -> None:
    found = lines()
    assert len(found) > 150
    assert {name: size for name, size in found.items() if size > MOST and name not in MACHINES} == {}


def test_every_machine_is_one_that_is_longer() -> None:
    found = lines()
    assert {name for name in MACHINES if found[name] <= MOST} == set()

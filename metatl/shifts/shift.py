"""From two domains to a report, a picture and what is worth trying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metatl.lab import render, store
from metatl.shifts import numbers
from metatl.shifts.able import able
from metatl.shifts.apart import furthest, telling
from metatl.shifts.compared import Compared, compared
from metatl.shifts.domains import ComparedDomain, domains
from metatl.shifts.picture import picture
from metatl.shifts.tested import Labels
from metatl.shifts.verdict import Verdict, advice, shifts
from metatl.transferring.opened import Words


@dataclass(frozen=True)
class Shift:
    """The report, and the folder with report.json and shift.png."""

    report: dict[str, Any]
    folder: Path


def shift(
    source: Any,
    target: Any,
    words: Words = Words(),
    net: str | None = None,
    out: str | Path | None = None,
    seed: int = 0,
) -> Shift:
    """What differs between two domains, tested, named, drawn and written to `out`.

    source, target: as `metatl transfer` takes data, with `words` on their columns; the target may lack
    labels. net: that whose features are compared; None for the usual one of photos and sentences, and columns
    as they are. Raises MetatlError in one line for what cannot be compared.
    """
    one, other = domains(source, target, words)
    spaces = numbers.space(one.inputs, other.inputs)
    one, other, x, x_target, names = numbers.as_numbers(one, other, spaces, net or one.net)
    columns = one.inputs.columns is not None and (net or one.net) is None
    classes, y, y_target = numbers.labels(one, other)
    found = compared(x, x_target, y, y_target, len(classes), seed)
    told = _verdict(found, spaces, classes, y, y_target)
    tried, sentences = advice(told, able(columns))
    report = {
        **_domains(one, other, spaces, told),
        "shifts": list(told.shifts),
        "one_of_them": told.either,
        "tests": [t.row(p) for t, p in zip(found.tests, found.corrected, strict=True)],
        "labels": _labels(found, classes, y, y_target),
        "telling": [] if x is None or x_target is None else telling(x, x_target, names),
        "furthest": [] if x is None or x_target is None or not columns else furthest(x, x_target, names),
        "try": tried,
        "because": sentences,
        "seed": seed,
    }
    folder = Path(out) if out is not None else Path("runs") / f"shift-{one.name}-{other.name}"
    store.write_json(folder / "report.json", report)
    store.write_atomic(folder / "shift.png", render.png(picture(report, found.x)))
    return Shift(report, folder)


def _verdict(
    found: Compared, space: numbers.Space, classes: Sequence[str], y: Labels | None, y_target: Labels | None
) -> Verdict:
    if y is None:
        return Verdict("unsupervised", space, *shifts(found), (), ())
    if y_target is None:
        return Verdict("transductive", space, *shifts(found), (), ())
    had = [{classes[i] for i in np.unique(of) if i >= 0} for of in (y, y_target)]
    unseen, absent = (tuple(n for n in classes if n in (b - a)) for a, b in (had, had[::-1]))
    names, either = shifts(found)
    shares = bool(found.differs("P(Y)")) and "label" not in names
    return Verdict("inductive", space, names, either, unseen, absent, shares)


def _domains(
    one: ComparedDomain, other: ComparedDomain, space: numbers.Space, told: Verdict
) -> dict[str, Any]:
    sides = {}
    for what, domain in (("source", one), ("target", other)):
        sides[what] = {"name": domain.name, "rows": len(domain.inputs), "notes": list(domain.notes)}
    spaces = {"is": space.named, "shared": list(space.shared), "changed_type": list(space.changed)}
    spaces |= {"source_only": list(space.source), "target_only": list(space.target)}
    label_space: dict[str, Any] = {"unseen": list(told.unseen), "absent": list(told.absent)}
    if told.setting == "inductive":
        label_space["is"] = "another" if told.unseen or told.absent else "the same"
    return {**sides, "setting": told.setting, "feature_space": spaces, "label_space": label_space}


def _labels(
    found: Compared, classes: Sequence[str], y: Labels | None, y_target: Labels | None
) -> list[dict[str, Any]]:
    """Every class's share on both sides, that which is estimated without target labels, and its area."""
    if y is None:
        return []
    shares = [
        None if of is None else np.bincount(of[of >= 0], minlength=len(classes)) / max(1, (of >= 0).sum())
        for of in (y, y_target)
    ]
    guessed = None if found.estimate is None else found.estimate.target
    return [
        {
            "class": name,
            "source": None if shares[0] is None else float(shares[0][i]),
            "target": None if shares[1] is None else float(shares[1][i]),
            "estimated": None if guessed is None or i >= len(guessed) else float(guessed[i]),
            "area": found.areas.get(i),
        }
        for i, name in enumerate(classes)
    ]

"""`metatl shift`: how often it alarms where nothing differs, and whether it names what was made to differ.

    METATL_DATA=<folder with office_caltech10_surf/ and amazon_reviews/> python scripts/shift.py

Level: 200 pairs of random halves of one domain that is made (300 rows a half), and 50 of a real one (479
rows a half of the photos of `amazon`, 800 numbers each); an alarm is any test below 0.05 after Holm's
correction. Power: 50 pairs of each made shift at 100, 200 and 400 rows a domain. Then the verdicts on real
pairs. Resumable: what lies in runs/shift is not done again. Duration: about 10 minutes on one idle core.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import study
from shift_made import KINDS, made
from shift_table import table

from metatl.lab import store
from metatl.shifts.compared import compared
from metatl.shifts.shift import shift
from metatl.shifts.verdict import shifts
from metatl.transferring.opened import Words

HALVES, OFFICE_HALVES, PAIRS, SIZES, MADE = 200, 50, 50, (100, 200, 400), 300
OFFICE = "office_caltech10_surf/office_caltech10_surf.npz"
Domains = tuple[Any, Any, Any, Any]


def judged(source: Any, target: Any, seed: int) -> dict[str, Any]:
    """What is kept of a pair: every corrected p and the names."""
    classes = int(max(source[1].max(), target[1].max())) + 1
    found = compared(source[0], target[0], source[1], target[1], classes, seed)
    names, either = shifts(found)
    p = {test.name: one for test, one in zip(found.tests, found.corrected, strict=True)}
    raw = {test.name: test.p for test in found.tests}
    return {"p_holm": p, "p": raw, "named": list(names), "either": either}


def halves(x: Any, y: Any, seed: int) -> tuple[Any, Any]:
    """Two halves of one domain, at random."""
    order = np.random.default_rng(seed).permutation(len(x))
    one, other = order[: len(x) // 2], order[len(x) // 2 :]
    return (x[one], y[one]), (x[other], y[other])


def office(domain: str) -> tuple[Any, Any]:
    """Numbers [n, 800] and classes of a domain."""
    with np.load(study.data(OFFICE)) as held:
        own = held["domain"] == held["domains"].tolist().index(domain)
        return held["x"][own].astype(np.float64), held["y"][own].astype(np.int64)


def plan() -> Iterator[tuple[str, Callable[[int], dict[str, Any]], int]]:
    """Name, what is done with a seed, and how many seeds."""

    def same(seed: int) -> dict[str, Any]:
        return judged(*halves(*made("none", 2 * MADE, np.random.default_rng(seed)), seed), seed)

    def photos(seed: int) -> dict[str, Any]:
        return judged(*halves(*office("amazon"), seed), seed)

    yield "level-made", same, HALVES
    for kind in KINDS:
        for size in SIZES:

            def pair(seed: int, kind: str = kind, size: int = size) -> dict[str, Any]:
                draw = np.random.default_rng(10_000 + seed)
                return judged(made("none", size, draw), made(kind, size, draw), seed)

            yield f"power-{kind}-{size}", pair, PAIRS
    yield "level-office", photos, OFFICE_HALVES


def real(folder: Path) -> list[dict[str, Any]]:
    """The reports on pairs of real domains, with and without the target's labels."""
    found: list[dict[str, Any]] = []
    places: dict[str, Any] = {}
    for name in ("amazon", "webcam", "dslr"):
        x, y = office(name)
        places[name] = {**{f"x{i}": x[:, i] for i in range(x.shape[1])}, "y": y.astype(str)}
    places |= {name: study.data(f"amazon_reviews/{name}.npz") for name in ("books", "kitchen")}
    for one, other in (("amazon", "webcam"), ("dslr", "webcam"), ("books", "kitchen")):
        report = shift(places[one], places[other], Words(target="y"), out=folder / f"{one}-{other}").report
        spaces = report["feature_space"]["is"]  # without the names of thousands of columns
        found.append({**report, "source": one, "target": other, "feature_space": spaces})
    return found


def main() -> None:
    """All of it; what is there already is read."""
    given = study.parser("Level and power of metatl shift.", "results/shift", "runs/shift").parse_args()
    runs, out, kept = Path(given.runs), Path(given.out), dict[str, list[dict[str, Any]]]()
    for name, one, count in plan():
        file = runs / f"{name}.json"
        kept[name] = json.loads(file.read_text()) if file.is_file() else []
        while len(kept[name]) < count:
            seed = len(kept[name])
            kept[name].append(one(seed))
            if len(kept[name]) in (count, count // 2):
                store.write_json(file, kept[name])
        print(name, len(kept[name]), flush=True)
    report = {"pairs": {name: summary(found) for name, found in kept.items()}, "real": real(runs)}
    store.write_json(out / "report.json", report)
    store.write_text(out / "table.md", table(report))


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares of pairs with an alarm, below 0.05 by test before correction, and by what they were named."""
    alarms = sum(any(p is not None and p < 0.05 for p in one["p_holm"].values()) for one in found)
    tests = {
        name: sum((one["p"][name] or 1.0) < 0.05 for one in found) / len(found) for name in found[0]["p"]
    }
    named: dict[str, int] = {}
    for one in found:
        said = (" or " if one["either"] else " and ").join(one["named"]) or "none"
        named[said] = named.get(said, 0) + 1
    share = {"pairs": len(found), "alarms": alarms, "ci95": wilson(alarms, len(found))}
    return {**share, "tests": tests, "named": dict(sorted(named.items(), key=lambda one: -one[1]))}


def wilson(count: int, n: int, z: float = 1.959964) -> list[float]:
    """95 % interval of a share (Wilson 1927)."""
    share, size = count / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / size
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / size
    return [max(0.0, middle - half), min(1.0, middle + half)]


if __name__ == "__main__":
    study.command(main)

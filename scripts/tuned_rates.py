"""The rates of rows that move the body, chosen on a target that does not judge them: each rate is a row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import study

from metatl.lab import store
from metatl.transferring.rows import rows
from metatl.types import MetatlError

PATH, TUNED = "rule.lr", "-tuned"
"""Where a row has its rate; behind the name of a row that has the best one."""
ROW = """base: {base}
about: "as {base}, lr {rate}"
adaptation: {{init_args: {{rule: {{init_args: {{lr: {rate}}}}}}}}}
select: null
"""
Rates = Mapping[str, tuple[str, ...]]
"""By row."""


def configs(folder: Path, rates: Rates) -> list[str]:
    """A row for every rate, as a file there; `NAME-tuned` where there is one rate."""
    files: list[str] = []
    for base, some in rates.items():
        for rate in some:
            file = folder / (f"{base}-{rate}.yaml" if len(some) > 1 else f"{base}{TUNED}.yaml")
            store.write_text(file, ROW.format(base=base, rate=rate))
            files.append(study.shown(file))
    return files


def of_rows(names: Sequence[str]) -> Rates:
    """The rates in the grids of rows that move the body."""
    known = rows(names)
    return {
        name: tuple(f"{rate:.1e}" for rate in row.grid[PATH])
        for name, row in known.items()
        if row.moves != "head" and PATH in row.grid
    }


def best(report: Path, tried: Rates, labelled: Sequence[str]) -> dict[str, tuple[str]]:
    """The rate of every row whose mean over the numbers of labels is best on the target that tunes."""
    found = defaultdict[str, list[float]](list)
    for row in store.read_json(report)["rows"]:
        if row["draws"]:
            found[row["method"]].append(row["score"])
    names = {base: [f"{base}-{rate}" for rate in rates] for base, rates in tried.items()}
    lost = [name for some in names.values() for name in some if len(found[name]) < len(labelled)]
    if lost:
        raise MetatlError(f"tuning has no score of {', '.join(lost)} yet: run again with more --minutes")
    means = {name: float(np.mean(values)) for name, values in found.items()}
    return {base: (max(rates, key=lambda rate: means[f"{base}-{rate}"]),) for base, rates in tried.items()}


def told(tried: Rates, chosen: Mapping[str, Rates], on: str) -> str:
    """A line: by target the rate of every row, with a star where it is an end of what is tried."""
    targets = (
        f"{target}: {', '.join(f'{row} {rate}{_end(rate, tried[row])}' for row, (rate,) in found.items())}"
        for target, found in chosen.items()
    )
    return f"Rates, chosen on {on} (*: an end of what is tried): {'; '.join(targets)}."


def _end(rate: str, tried: Sequence[str]) -> str:
    return "*" if rate in (tried[0], tried[-1]) else ""

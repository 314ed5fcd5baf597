"""The rates of rows that move the body, chosen on a target that does not judge them: each rate is a row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import study

from metatl.lab import store
from metatl.types import MetatlError

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
            file = folder / (f"{base}-{rate}.yaml" if len(some) > 1 else f"{base}-tuned.yaml")
            store.write_text(file, ROW.format(base=base, rate=rate))
            files.append(study.shown(file))
    return files


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

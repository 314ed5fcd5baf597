"""Office-Caltech10 in SURF words: classical alignments without a target label, 1-NN on all twelve pairs.

    METATL_DATA=<folder with office_caltech10_surf/> python scripts/office.py

The published protocol (Gong et al. 2012): 20 source pictures of each class are drawn (8 where the source is
dslr), every picture of the target is adapted to without its label, and judges: predictions are transductive.
Rows are divided by their sum and standardised in their domain. Resumable, pair by pair.

Duration: 15 minutes on one thread, 20 draws.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import study
import torch
from scipy.stats import t, ttest_rel

from metatl.adapt import AcrossDomains, Estimator, head_net
from metatl.alignments import CORAL, AsItIs, SubspaceAlignment, TransferComponents
from metatl.evaluation.statistics import holm
from metatl.lab import store
from metatl.lab.render.tables import p_value
from metatl.types import Batch

ROWS = {
    "source only": AsItIs(),
    "CORAL": CORAL(),
    "subspace alignment": SubspaceAlignment(20),
    "TCA": TransferComponents(20, 1.0, 0.0),
}
NEAREST = Estimator("metatl.adapt.NearestNeighbours", {"k": 1})
FLOOR, CLASSES = "source only", 10


def domains() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Rows and classes of every domain."""
    held = np.load(study.data("office_caltech10_surf/office_caltech10_surf.npz"))
    found = dict[str, tuple[torch.Tensor, torch.Tensor]]()
    for i, name in enumerate(held["domains"].tolist()):
        at = held["domain"] == i
        x = held["x"][at].astype(np.float64)
        x /= x.sum(1, keepdims=True).clip(1)
        spread = x.std(0)
        x = (x - x.mean(0)) / np.where(spread > 0, spread, 1)
        found[name] = torch.from_numpy(x).float(), torch.from_numpy(held["y"][at].astype(np.int64) - 1)
    return found


def accuracies(source: Any, target: Any, each: int, draws: int) -> dict[str, list[float]]:
    """By row, percent of the target in every draw of so many source pictures of each class."""
    found = {name: list[float]() for name in ROWS}
    net = head_net(source[0].shape[1], CLASSES)
    for draw in range(draws):
        rng = np.random.default_rng([draw, each])
        places = [rng.permutation(np.flatnonzero(source[1].numpy() == c))[:each] for c in range(CLASSES)]
        at = torch.from_numpy(np.concatenate(places))
        x = {"source": source[0][at], "labelled": target[0][:0], "unlabelled": target[0]}
        support = Batch(x, {"source": source[1][at], "labelled": target[1][:0]})
        for name, alignment in ROWS.items():
            way = AcrossDomains(alignment, NEAREST)
            said = way.predict(*net, way.fit(*net, support), support, target[0]).argmax(-1)
            found[name].append(100 * float((said == target[1]).double().mean()))
    return found


def readme(found: dict[str, dict[str, list[float]]], draws: int) -> str:
    """Accuracy by pair and row, and paired tests over pairs."""
    mean = {name: np.array([np.mean(one[name]) for one in found.values()]) for name in ROWS}
    others = [name for name in ROWS if name != FLOOR]
    p = dict(zip(others, holm([float(ttest_rel(mean[n], mean[FLOOR]).pvalue) for n in others]), strict=True))
    lines = ["| pair | " + " | ".join(ROWS) + " |", "| --- |" + " ---: |" * len(ROWS)]
    for pair, one in found.items():
        half = {n: t.ppf(0.975, draws - 1) * np.std(v, ddof=1) / np.sqrt(draws) for n, v in one.items()}
        lines.append(
            f"| {pair} | " + " | ".join(f"{np.mean(one[n]):.1f} ± {half[n]:.1f}" for n in ROWS) + " |"
        )
    lines.append("| mean | " + " | ".join(f"{mean[n].mean():.1f}" for n in ROWS) + " |")
    gaps = ", ".join(f"{n} {(mean[n] - mean[FLOOR]).mean():+.1f} (p {p_value(p[n])})" for n in others)
    return f"""# Office-Caltech10, SURF words

Accuracy in percent of 1-NN on all pictures of the target, no label of which is read (transductive, as
published); mean of {draws} draws of 20 source pictures of each class (8 of dslr), with 95 % intervals over
draws. {len(found)} of 12 pairs. Written by `scripts/office.py`; no value was tuned: CORAL with
regularisation 1, 20 dimensions, a linear kernel for TCA, mu 1. Not here: CCA, for which the set has no
pairs.

{chr(10).join(lines)}

Difference to {FLOOR}, mean over pairs, p of a paired t test over pairs (Holm): {gaps}. Pairs share
domains and are not independent.
"""


def main() -> None:
    parser = study.parser("Classical alignments on Office-Caltech10.", "results/office")
    parser.add_argument("--draws", type=study.count, default=20, help="of source pictures [20]")
    given = parser.parse_args()
    file, held = Path(given.out) / f"draws{given.draws}.json", domains()
    store.make_folder(file.parent)
    found: dict[str, Any] = store.read_json(file) if file.is_file() else {}
    for source, target in itertools.permutations(held, 2):
        pair = f"{source}-{target}"
        if pair not in found:
            each = 8 if source == "dslr" else 20
            found[pair] = accuracies(held[source], held[target], each, given.draws)
            store.write_json(file, found)
            print(pair, {name: round(float(np.mean(v)), 1) for name, v in found[pair].items()}, flush=True)
        if len(found) > 1:
            store.write_text(file.parent / "README.md", readme(found, given.draws))


if __name__ == "__main__":
    study.command(main)

"""GTL from MNIST to Omniglot, one image a character, with intervals and controls: is it the guide?

    METATL_DATA=<folder with mnist/ and omniglot/> python scripts/gtl_mnist.py --out results/gtl-mnist

The configs in configs/gtl-mnist.yaml, each from `--nets` pre-trained nets (seeds 0, 1, ...), every net on 20
draws of 100 characters of its own, the same draws for all methods. Resumable: every report is kept beside the
table. 55 to 90 minutes of one core.

Expected: 13 to 21 %; from 1,000 images no more than from none; the guide on Adam's update no better than its
controls, before Adam within 0.3 points of them and of plain transfer.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import gtl_mnist_table
import numpy as np
import study
import torch
from gtl_nets import CONTROLS, told
from reports import Reports
from tqdm import tqdm

from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.lab import config
from metatl.lab.run import Run, learn, prepare

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "gtl-mnist.yaml"
QUESTIONS = {
    "gtl": (
        *("fine-tune", "head-only", *(f"gtl-{control}" for control in CONTROLS)),
        *("l2-sp", "fish-source", "fish-support"),
    ),
    "gtl-scaled": ("fine-tune", "gtl-scaled-permuted", "gtl-scaled-layer-mean"),
    "gtl-global": ("fine-tune", "gtl", *(f"gtl-global-{control}" for control in CONTROLS)),
    "gtl-as-published": ("fine-tune", *(f"gtl-as-published-{control}" for control in CONTROLS)),
    "full-gtl": ("full-fine-tune", *(f"full-gtl-{control}" for control in CONTROLS)),
    "full-fine-tune": ("fine-tune", "gtl"),
}
"""Each method, and what it is held against."""
EDGES = np.linspace(0.0, 1.0, 41)


def ready(name: str, words: list[str]) -> Run:
    """The run of one of the configs."""
    return prepare(config.load(CONFIGS / name, words), words)


def guide_of(run: Run) -> dict[str, dict[str, Any]]:
    """What a guide looks like, tensor by tensor and over all weights below the output layer."""
    carried = learn(run)[0].guide
    guide = {n: g.double().flatten().numpy() for n, g in carried.items() if not run.net.is_head(n)}
    return {n: shape_of(g) for n, g in {"all": np.concatenate([*guide.values()]), **guide}.items()}


def masks(run: Run, words: list[str]) -> dict[str, list[str]]:
    """What gives FISH as many weights below the output layer as the guide of this run adds up to."""
    shape, start = guide_of(run)["all"], learn(run)[0].params
    head = run.net.head_size(start, run.experiment.evaluation.tasks.way)
    density = (head + shape["mean"] * shape["weights"]) / (head + shape["weights"])
    own = {
        "fish-source": "--guide.init_args.shape.init_args.density",
        "fish-support": "--adaptation.guide_from_support.init_args.shape.init_args.density",
    }
    return {name: [*words, option, f"{density:.4f}"] for name, option in own.items()}


def shape_of(values: np.ndarray) -> dict[str, Any]:
    """Mean, median, skewness, shares below some levels, and a histogram."""
    centred = values - values.mean()
    spread = float(np.sqrt((centred**2).mean()))
    below = {f"below_{level:g}": float((values < level).mean()) for level in gtl_mnist_table.LEVELS}
    return {
        "weights": len(values),
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "skewness": float((centred**3).mean()) / spread**3 if spread else 0.0,
        **below,
        "histogram": (np.histogram(values, EDGES)[0] / len(values)).tolist(),
    }


def chosen(reports: list[Report], key: str) -> str:
    """The values that were selected, and for how many nets."""
    counted = Counter(told(found)[key] for found in reports)
    return ", ".join(f"{value} ({times} of {len(reports)})" for value, times in sorted(counted.items()))


def pooled(reports: list[Report]) -> Report:
    """The draws of all nets as one report, and the mean of each net beside."""
    first, costs = reports[0], ("trainable", "ms_per_task", "seconds_to_learn")
    scores = np.concatenate([found.scores for found in reports])
    facts = {key: float(np.mean([found.facts[key] for found in reports])) for key in costs}
    facts["diverged"] = study.diverged(reports)
    facts["selected"] = {key: chosen(reports, key) for key in first.facts["selected"]}
    facts |= {"family": first.facts["family"], "by_net": [100 * found.mean for found in reports]}
    protocols = [found.protocol for found in reports]
    own = {"episodes": len(scores), "seed": ", ".join(str(one["seed"]) for one in protocols)}
    own["episodes_hash"] = config.digest([one["episodes_hash"] for one in protocols])
    return Report(first.method, scores, {**first.protocol, **own}, facts)


def contrasts(found: dict[str, list[Report]], whole: dict[str, Report]) -> list[dict[str, Any]]:
    """Every method against what it is held against, Holm-corrected; the difference of each net beside."""
    pairs = [(own, other) for own, others in QUESTIONS.items() for other in others]
    tests = [compare.paired(whole[a].scores, whole[b].scores).times(100) for a, b in pairs]
    return [
        {
            "method": a,
            "against": b,
            "difference": test.mean,
            "ci95": test.ci95,
            "p": p,
            "by_net": [100 * (x.mean - y.mean) for x, y in zip(found[a], found[b], strict=True)],
        }
        for (a, b), test, p in zip(pairs, tests, compare.holm([test.p for test in tests]), strict=True)
    ]


def main() -> None:
    parser = study.parser("GTL from MNIST to Omniglot, with intervals and controls.", "results/gtl-mnist")
    parser.add_argument("--nets", type=study.count, default=3, help="pre-trained nets, one for each seed [3]")
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    found = dict[str, list[Report]]()
    digits, kept = dict[str, list[float]](), Reports(Path(given.out) / "reports.json")
    seen = dict[str, list[dict[str, Any]]]()
    names = [*study.rows(CONFIGS)]
    with tqdm(total=given.nets * len(names), desc="methods") as bar:
        for seed in range(given.nets):
            words = ["--runs", given.runs, "--seed", str(seed)]
            for start in gtl_mnist_table.STARTS:
                digits.setdefault(start, []).append(100 * kept.of(ready(start, words)).mean)
            drawn = [*words, "--evaluation.seed", str(seed)]
            other = masks(ready("gtl", drawn), drawn)
            for name in names:
                run = ready(name, other.get(name, drawn))
                found.setdefault(name, []).append(kept.of(run))
                if name in gtl_mnist_table.GUIDES:
                    seen.setdefault(name, []).append(guide_of(run))
                bar.update()
    whole = {name: pooled(group) for name, group in found.items()}
    gtl_mnist_table.write(Path(given.out), whole, contrasts(found, whole), digits, seen)


if __name__ == "__main__":
    study.command(main)

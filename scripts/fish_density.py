"""FISH at every density: which weights should a new task move, and what does the moved model cost to keep?

    METATL_DATA=../shared/data python scripts/fish_density.py omniglot
    METATL_DATA=../shared/data python scripts/fish_density.py hapt

Every config of configs/fish/<data>.yaml masks the body of one shared net: the largest Fisher information of
the task's support set or of source data, empirical or true, a random draw, the largest weights; 0.05 to 100 %
of the body moves. The output layer always moves, is not ranked, and counts in the published budget. Rates are
chosen on meta-val for every mask and density; all are scored on the same meta-test episodes. Five adapted
models of each are stored as deltas, read back, and held against the weights bit by bit. Resumable: what is
done is not done again. `--sgd` adds arms with plain SGD at 1 and 5 %.

Duration: about 12 minutes of one core for omniglot, 8 for hapt. Expected on Omniglot: output layer alone 57
to 59 %, all weights 60.5 to 62.5 %; at 1 % random and largest weights 58.5 to 61 %, FISH from the support set
1 to 2 points below them, from source data 2 to 4. On HAPT: 79 to 89 % in every cell, no mask told from a
random one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import fish_density_table
import numpy as np
import study
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from metatl import Personaliser, apply_delta
from metatl.data import GroupData
from metatl.engines.engine import task
from metatl.evaluation.evaluate import Report
from metatl.lab import config, store
from metatl.lab.experiment import Experiment, with_value
from metatl.lab.run import Run, learn, prepare, report
from metatl.lab.store import Precision
from metatl.rules import SGD

ROOT = Path(__file__).resolve().parent.parent
SUPPORT, SOURCE = "adaptation.guide_from_support.shape.density", "guide.shape.density"
MASKS = {  # config: where its density stands
    "fish-support": SUPPORT,
    "fish-support-true": SUPPORT,
    "fish-source": SOURCE,
    "fish-source-true": SOURCE,
    "random": "adaptation.guide_from_support.density",
    "magnitude": "guide.density",
}
SHARES = (0.0005, 0.002, 0.01, 0.05, 0.2)
SGD_MASKS = ("fish-support", "fish-source", "random", "magnitude")
SGD_SHARES, SGD_RATES = (0.01, 0.05), (0.01, 0.03, 0.1, 0.3, 1.0)
ENDS = {"head-only": 0.0, "fine-tune": 1.0}
STORED = 5
PRECISIONS: tuple[Precision, ...] = ("exact", "half")


@dataclass(frozen=True)
class Point:
    """A mask at a density: share of the body that may move, the same by the published count, what it gave.

    units: accuracy in percent of every independent unit: an episode, or a person's mean over episodes; delta:
    of the stored models, means over tasks.
    """

    mask: str
    share: float
    keep: float
    report: Report
    units: NDArray[np.float64]
    delta: dict[str, float]


def body_and_head(run: Run) -> tuple[int, int]:
    """Weights below the output layer, and weights of a task's output layer."""
    body = sum(p.numel() for name, p in run.first.params.items() if not run.net.is_head(name))
    return body, run.net.head_size(run.first.params, run.data.outputs(run.experiment.evaluation.tasks))


def point(experiment: Experiment, share: float, words: list[str]) -> Point:
    """One mask at one density: run, or loaded where that was done."""
    run, mask = prepare(experiment, words), experiment.name
    body, head = body_and_head(run)
    moved = round(share * body)
    if mask in MASKS:
        # The half keeps int(keep * all) - head from falling one short by rounding.
        run = prepare(with_value(experiment, MASKS[mask], (moved + head + 0.5) / (body + head)), words)
    found = report(run, beside=True)
    return Point(mask, share, (moved + head) / (body + head), found, units(run, found), deltas(run, found))


def plainly(experiment: Experiment) -> Experiment:
    """The same with SGD, whose steps are as large as the gradients that a mask was chosen by."""
    changed = with_value(experiment, "adaptation.rule", SGD())
    return replace(changed, select={"rule.lr": list(SGD_RATES)})


def units(run: Run, found: Report) -> NDArray[np.float64]:
    """Percent right by episode, or by person where episodes are draws of the same people."""
    data, evaluation, scores = run.data, run.experiment.evaluation, 100 * found.scores
    if not isinstance(data, GroupData):
        return scores
    count = range(len(scores))
    who = np.array([int(data.group("meta_test", i, evaluation.seed, evaluation.tasks)) for i in count])
    return np.array([scores[who == person].mean() for person in sorted({*who.tolist()})])


def deltas(run: Run, found: Report) -> dict[str, float]:
    """What the first adapted models cost to store, means over tasks; raises if one comes back otherwise."""
    place = run.folder / "evaluations" / found.facts["evaluation"] / "delta.json"
    if place.is_file():
        return store.read_json(place)
    evaluation, adaptation = run.experiment.evaluation, run.experiment.adaptation
    for path, value in found.facts["selected"].items():
        adaptation = with_value(adaptation, path, value)
    model = Personaliser(run.net, learn(run)[0], adaptation)
    measured: list[dict[str, float]] = []
    for index in range(STORED):
        support = task(run.data.draw("meta_test", evaluation.tasks, evaluation.seed, index, 1), 0).support
        measured.append(stored(model, support.x, support.y, place.with_name(f"task-{index}")))
    mean = {key: float(np.mean([one[key] for one in measured])) for key in measured[0]}
    store.write_json(place, mean)
    return mean


def stored(model: Personaliser, x: Tensor, y: Tensor, place: Path) -> dict[str, float]:
    """Adapt, store, read back: numbers changed, bytes in both precisions, bytes of them that are header."""
    mine, told = model.adapt(x, y), dict[str, float]()
    for precision in PRECISIONS:
        file = place.with_suffix(f".{precision}.delta")
        mine.save_delta(file, precision)
        back, content = apply_delta(model, file).transfer, file.read_bytes()
        told[f"{precision}_bytes"] = len(content)
        told[f"{precision}_header"] = 8 + int.from_bytes(content[:8], "little")
        if precision == "exact":
            for name, leaf in mine.transfer.params.items():
                assert torch.equal(leaf.view(torch.int32), back.params[name].view(torch.int32)), name
            told["weights"] = changed(model.transfer.params, back.params)
            told["moments"] = changed(model.transfer.buffers, back.buffers)
        else:
            pairs = [(back.params[name], leaf) for name, leaf in mine.transfer.params.items()]
            told["half_error"] = max(float((a - b).abs().max()) for a, b in pairs)
    return told


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> int:
    """Entries that differ; all of a tensor of a new shape (a fresh output layer)."""
    whole = [leaf.numel() for name, leaf in after.items() if leaf.shape != before[name].shape]
    pairs = [(leaf, before[name]) for name, leaf in after.items() if leaf.shape == before[name].shape]
    return sum(whole) + sum(int((a != b).sum()) for a, b in pairs)


def main() -> None:
    parser = study.parser("FISH masks at every density, beside their controls.", None)
    parser.add_argument("data", choices=("omniglot", "hapt"))
    parser.add_argument("--sgd", action="store_true", help="some of the arms with SGD too")
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    folder, words = ROOT / "configs" / "fish" / f"{given.data}.yaml", ["--runs", given.runs]
    arms = [*ENDS.items(), *((mask, share) for share in SHARES for mask in MASKS)]
    again = [*ENDS.items(), *((mask, share) for share in SGD_SHARES for mask in SGD_MASKS)]
    again = again if given.sgd else []
    points, others = list[Point](), list[Point]()
    with tqdm(total=len(arms) + len(again)) as bar:
        for mask, share in arms:
            bar.set_description(f"{mask}, {100 * share:g} %")
            points.append(point(config.load(folder / mask, words), share, words))
            bar.update()
        for mask, share in again:
            bar.set_description(f"{mask}, {100 * share:g} %, SGD")
            others.append(point(plainly(config.load(folder / mask, words)), share, words))
            bar.update()
    sizes = body_and_head(prepare(config.load(folder / "fine-tune", words), words))
    fish_density_table.write(
        Path(given.out or f"results/fish-{given.data}"), given.data, (points, others), *sizes
    )


if __name__ == "__main__":
    study.command(main)

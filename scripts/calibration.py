"""How far probabilities are to be trusted: log loss, calibration error, and what asking a person gains.

    METATL_DATA=<folder with omniglot/ and hapt/> python scripts/calibration.py --out results/calibration

The rows of configs/calibration/ on 5-way 1-shot Omniglot (600 new tasks, the same for all rows and nets) and
on the people of HAPT from 1 and 5 windows an activity, every one of the 30 left out once. Values are chosen
by log loss and the temperature is fitted on meta-val: other characters, other people. Every row stands
beside the one that it goes around; `-of-nets` averages the probabilities of a row's nets. Writes table.md,
report.json and plot.png, anew after every row.

Resumable, cell by cell (a row with one net): what lies below runs/ is not done again. Pieces:
`--settings omniglot --rows protonet --nets 1`. On one idle core, for one net: rows of Omniglot that learn
over tasks 2 to 10 minutes each, those of HAPT 3 to 20, the others 1 to 3; about 1.5 hours a net in all.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import calibration_table
import numpy as np
import study
import torch
from calibration_numbers import Answers, joined
from hapt_personal import folds
from hapt_personal_measure import people
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from metatl.evaluation.calibration import temperature_of
from metatl.evaluation.predicted import outputs_of
from metatl.lab import config, store
from metatl.lab.experiment import candidates
from metatl.lab.run import Run, learn, prepare
from metatl.types import MetatlError, Split

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "calibration"
SETTINGS: dict[str, tuple[str, int]] = {
    "omniglot": ("omniglot.yaml", 1),
    "hapt-1": ("hapt.yaml", 1),
    "hapt-5": ("hapt.yaml", 5),
}
"""The grid of configs, and examples of each class in a support set."""
JOINED = ("protonet", "maml", "fine-tune")
"""Rows whose nets are also averaged, where there are several."""


@dataclass(frozen=True)
class Cell:
    """A row with one net: outputs and labels of meta-val [n, k], answers on meta-test, values chosen."""

    val: tuple[Tensor, Tensor]
    answers: Answers
    selected: dict[str, Any]


def words_of(setting: str, runs: str) -> list[list[str]]:
    """Overrides of every part of a setting: the folds of people, or one."""
    grid, shot = SETTINGS[setting]
    return (
        folds(runs, shot) if grid == "hapt.yaml" else [["--runs", runs, "--evaluation.tasks.shot", str(shot)]]
    )


def made(path: Path, words: Sequence[str], net: int, share: float, episodes: int | None) -> Cell:
    """A row with the net of a seed, learned and asked, or read where that was done."""
    own = [*words, "--seed", str(net)]
    if episodes is not None:
        own += ["--evaluation.episodes", str(episodes), "--evaluation.select_episodes", str(episodes)]
    experiment = config.load(path, own)
    if share < 1 and experiment.learner.steps:
        own += ["--learner.init_args.steps", str(max(1, round(share * experiment.learner.steps)))]
    run = prepare(config.load(path, own), own)
    told = config.describe(run.experiment)
    key = config.digest([run.digest, *(told[name] for name in ("adaptation", "evaluation", "select"))])
    place = run.folder / "evaluations" / f"answers-{key}.npz"
    if not place.is_file():
        stream = io.BytesIO()
        np.savez_compressed(stream, **asked(run))
        store.make_folder(place.parent)
        store.write_atomic(place, stream.getvalue())
    with np.load(place) as held:
        val = (torch.from_numpy(held["val"]).double(), torch.from_numpy(held["val_y"]))
        answers = Answers(
            held["test"].astype(np.float64), held["test_y"], held["unit"], temperature_of([val])
        )
        return Cell(val, answers, json.loads(str(held["selected"])))


def asked(run: Run) -> dict[str, Any]:
    """Values chosen on meta-val by log loss, and what is then said there and on meta-test."""
    transfer, _ = learn(run)
    evaluation = run.experiment.evaluation

    def said(adaptation: Any, split: Split, count: int) -> tuple[Tensor, Tensor]:
        of = (run.net, transfer, adaptation, run.data, evaluation, run.engine, split, count)
        found = outputs_of(*of)
        assert found is not None
        outputs, y = (torch.stack(parts) for parts in zip(*found, strict=True))
        return outputs, y

    options = candidates(run.experiment)
    tried = [said(way, "meta_val", evaluation.select_episodes) for _, way in options]
    losses = [float(F.cross_entropy(o.flatten(0, 1), y.flatten())) for o, y in tried]
    if not np.isfinite(losses).any():
        raise MetatlError(f"{run.experiment.name}: adaptation diverges at every value of `select`")
    best = int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))
    values, adaptation = options[best]
    outputs, y = said(adaptation, "meta_test", evaluation.episodes)
    own = people(run, len(y)) if run.data.group("meta_test", 0) is not None else np.arange(len(y))
    return {
        "val": tried[best][0].flatten(0, 1).log_softmax(-1).float().numpy(),
        "val_y": tried[best][1].flatten().numpy(),
        "test": outputs.log_softmax(-1).float().numpy(),
        "test_y": y.numpy(),
        "unit": own,
        "selected": json.dumps(config.describe(values)),
    }


def averaged(cells: Sequence[Cell]) -> Cell:
    """The mean probabilities of nets that were asked the same, with a temperature of their own."""
    val = torch.stack([one.val[0].log_softmax(-1) for one in cells]).logsumexp(0)
    both = (val - np.log(len(cells)), cells[0].val[1])
    test = np.logaddexp.reduce([one.answers.log_p for one in cells]) - np.log(len(cells))
    first = cells[0].answers
    return Cell(both, Answers(test, first.y, first.unit, temperature_of([both])), {})


def row_of(cells: Mapping[int, Sequence[Cell]]) -> dict[str, Any]:
    """cells: of every net, part by part. Answers of each net over all parts; values that were chosen."""
    chosen = [one.selected for parts in cells.values() for one in parts]
    return {"nets": [joined([one.answers for one in parts]) for parts in cells.values()], "selected": chosen}


def names(setting: str, rows: str | None) -> list[str]:
    """The rows of a setting, those asked for of them."""
    every = {grid: [*study.rows(CONFIGS / grid)] for grid, _ in SETTINGS.values()}
    there = every[SETTINGS[setting][0]]
    if rows is None:
        return there
    for name in rows.split(","):
        if not any(name in known for known in every.values()):
            raise MetatlError(f"{name!r} is no row; there are {', '.join(there)}")
    return [name for name in there if name in rows.split(",")]


def main() -> None:
    parser = study.parser("How far probabilities are to be trusted.", "results/calibration")
    parser.add_argument("--nets", type=study.count, default=3, help="nets of each row, one for each seed [3]")
    parser.add_argument("--settings", default=",".join(SETTINGS), help=f"some of them [{','.join(SETTINGS)}]")
    parser.add_argument("--rows", help="these alone, with commas between them; all by default")
    parser.add_argument("--share", type=study.share, default=1.0, help="of the steps of learning [1]")
    parser.add_argument(
        "--episodes", type=study.count, help="in place of those of the configs, to try it out"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    settings = given.settings.split(",")
    if unknown := [name for name in settings if name not in SETTINGS]:
        raise MetatlError(f"{unknown[0]!r} is no setting; there are {', '.join(SETTINGS)}")
    found = {setting: dict[str, dict[str, Any]]() for setting in settings}
    work = [(setting, row) for setting in settings for row in names(setting, given.rows)]
    for setting, row in (bar := tqdm(work)):
        bar.set_description(f"{setting}, {row}")
        path, cells = CONFIGS / SETTINGS[setting][0] / row, dict[int, list[Cell]]()
        for net in range(given.nets):
            asks = words_of(setting, given.runs)
            cells[net] = [made(path, own, net, given.share, given.episodes) for own in asks]
        found[setting][row] = row_of(cells)
        if row in JOINED and given.nets > 1:
            parts = [averaged(of) for of in zip(*cells.values(), strict=True)]
            found[setting][f"{row}-of-nets"] = row_of({0: parts})
        calibration_table.write(Path(given.out), found, given.nets, given.share)


if __name__ == "__main__":
    study.command(main)

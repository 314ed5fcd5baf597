"""The MAML family on Omniglot beside what was published: 5 and 20 ways, 1 and 5 shots.

    METATL_DATA=../shared/data python scripts/omniglot_maml.py --out results/omniglot-maml
    python scripts/omniglot_maml.py --only maml_5w1s maml_5w5s protonet_5w1s protonet_20w1s --seeds 3
    python scripts/omniglot_maml.py --share 1 --device cuda --precision tf32

Every config of configs/omniglot/maml-family.yaml is a row: learned once, evaluated three times on 1,000
meta-test episodes: transductive (batch norm sees all queries at once) with as many queries a class as shots,
which is how MAML was published; transductive with 15; inductive with the same 15. The configs' schedules are
for a CPU, minutes to two hours of one core a row (each says how long), 7 to 10 together; --share takes a
share of the published iterations instead, with the published meta-batch, queries and inner steps. Resumable:
ctrl-C loses nothing, a kill at most 20 seconds. The table is written after every row and holds all that were
ever finished: rows.json and episodes.npz in the folder --out keep what other machines found, and that is not
learned again. One thread, so that a second run finds the same digits; two shells with rows of their own use
two cores better than one row on both.

Expected of the CPU schedules, transductive: MAML at least 97.5 % (5-way 1-shot) and 99.0 % (5-way 5-shot);
inductive: ProtoNet at least 98.0 % (5-way 1-shot) and 93 % (20-way 1-shot). The other rows of what descends
from MAML see a few percent of their schedule (20-way 1-shot MAML: a tenth) and stand points below what was
published, ANIL and Reptile at 20 ways 13 to 28.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import omniglot_maml_rows
import omniglot_maml_table
import study
import torch
from omniglot_maml_published import SCHEDULES
from omniglot_maml_rows import Row, load
from tqdm import tqdm

from metatl.engines import Loop
from metatl.evaluation.evaluate import Report, evaluate
from metatl.lab import config, grids, store
from metatl.lab.run import Run, learn, prepare, report
from metatl.norm import Rows, moments_from

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "omniglot" / "maml-family.yaml"
MODES = {"transductive": "batch", "transductive, 15 queries": "batch", "inductive": "support"}
"""Evaluations, and where each takes batch norm's moments from."""
QUERIES = 15
BATCHES = 100
"""Of 128 training images, over which ProtoNet's moments are averaged."""


def names() -> list[str]:
    """Every row's config, `<method>_<way>w<shot>s`, settings in order of their cost."""
    found = [path.name for path in grids.configs(CONFIGS)]
    order = ("5w1s", "5w5s", "20w1s", "20w5s")
    return sorted(found, key=lambda name: (order.index(name.partition("_")[2]), name))


def prepared(name: str, seed: int, mode: str, given: argparse.Namespace) -> Run:
    """The run of a row; all modes share what is learned."""
    own = ["--runs", given.runs, "--seed", str(seed)]
    own += ["--device", given.device, "--precision", given.precision]
    method, _, setting = name.partition("_")
    if given.share is not None and method in SCHEDULES:
        own += as_published(method, setting, given.share)
    frozen = (method, mode) == ("protonet", "inductive")
    own += ["--adaptation.moments", "frozen" if frozen else MODES[mode]]
    if mode != "transductive":
        own += ["--evaluation.tasks.query", str(QUERIES)]
    return prepare(config.load(CONFIGS / name, own), own)


def as_published(method: str, setting: str, share: float) -> list[str]:
    """Overrides: a share of the published iterations; the published meta-batch, queries and inner steps."""
    way, _, shot = setting.removesuffix("s").partition("w")
    iterations, meta_batch = SCHEDULES[method][way]
    own = ["--learner.init_args.steps", str(max(1, round(share * iterations)))]
    own += ["--learner.init_args.meta_batch", str(meta_batch)]
    if method != "reptile":
        own += ["--learner.init_args.tasks.query", shot]
    if way == "20" and method in ("maml", "fomaml", "anil"):
        own += ["--learner.init_args.adaptation.steps", "5"]
    return own


def evaluated(run: Run) -> Report:
    """The report of a run, learned first where that was not done; loaded where it is there."""
    adaptation = run.experiment.adaptation
    return calibrated(run) if adaptation.moments == "frozen" else report(run, beside=True)


def calibrated(run: Run) -> Report:
    """Under the moments of training images, as ProtoNet was published; episodes alone leave none behind."""
    experiment, net = run.experiment, run.net
    told = config.describe(experiment)
    key = config.digest([told["adaptation"], told["evaluation"], BATCHES])
    place = run.folder / "evaluations" / f"training-moments-{key}"
    if (place / "report.json").is_file():
        return store.load_report(place)
    transfer, seconds = learn(run)
    buffers = transfer.buffers
    for step in range(BATCHES):
        rows = Rows(sink={})
        x = run.data.batch("meta_train", 128, experiment.seed, step).x
        with torch.no_grad(), moments_from(rows):
            net(transfer.params, buffers, x)
        buffers = net.updated_buffers(buffers, rows.sink or {}, 1 / (step + 1))
    carried = replace(transfer, buffers=buffers)
    made = evaluate(
        net,
        carried,
        experiment.adaptation,
        run.data,
        experiment.evaluation,
        Loop(),  # with constant moments everything is torch's own, and vmap's grouped convolutions are slow
        method=experiment.name,
    )
    facts = {"seconds_to_learn": seconds, "selected": {}, "family": experiment.family}
    made = replace(made, facts={**made.facts, **facts})
    store.save_report(place, made)
    return made


def rows(name: str, seed: int, given: argparse.Namespace) -> list[Row]:
    """A config with one seed under every evaluation: learned and evaluated, or loaded where that was done."""
    method, _, setting = name.partition("_")
    found: list[Row] = []
    for mode in MODES:
        run = prepared(name, seed, mode, given)
        learner: Any = run.experiment.learner
        reports = {seed: evaluated(run)}
        found.append(Row(method, setting, mode, reports, learner.steps, learner.meta_batch))
    return found


def schedule(name: str, given: argparse.Namespace) -> tuple[int, int]:
    """Iterations of a config, and tasks in each."""
    learner: Any = prepared(name, 0, "transductive", given).experiment.learner
    return learner.steps, learner.meta_batch


def main(words: Sequence[str] | None = None) -> None:
    parser = study.parser(
        "The MAML family on Omniglot beside what was published.",
        "results/omniglot-maml",
        "runs/omniglot-maml",
    )
    parser.add_argument("--only", nargs="*", choices=names(), metavar="ROW", help="configs to run [all]")
    parser.add_argument("--seeds", type=study.count, default=1, help="training seeds 0, 1, ... [1]")
    parser.add_argument("--share", type=study.share, help="of the published iterations, at their meta-batch")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    parser.add_argument("--precision", default="float32", help="float32, tf32 or bf16")
    parser.add_argument("--threads", type=study.count, default=1, help="more differ in late digits [1]")
    given = parser.parse_args(words)
    torch.set_num_threads(given.threads)
    chosen = names() if given.only is None else given.only
    out = Path(given.out)
    with tqdm(total=len(chosen) * given.seeds) as bar:
        for name in chosen:
            for seed in range(given.seeds):
                bar.set_description(f"{name}, seed {seed}")
                if not omniglot_maml_rows.holds(load(out), name, seed, schedule(name, given)):
                    made = rows(name, seed, given)
                    # Loaded once more: another shell may have added to it meanwhile.
                    omniglot_maml_rows.keep(out, omniglot_maml_rows.joined(load(out), made))
                    omniglot_maml_table.write(out, load(out))
                bar.update()
    omniglot_maml_table.write(out, load(out))


if __name__ == "__main__":
    study.command(main)

"""Sinusoid regression as published: MAML beside a pre-trained net, after 0 to 10 inner steps.

    python scripts/sinusoid.py --out results/sinusoid

Both nets of configs/sinusoid.yaml learn for the published 70,000 iterations from three seeds each; 600 new
waves, the same for both, are then fitted from 5, 10 and 20 points. MAML learns on 10 points and keeps its
published rate throughout; the pre-trained net's rate is chosen on meta-val, anew for every number of points.
Waves on which a net diverges are counted and left out for both. Resumable; about 30 minutes of one core
(--share 0.1 for a tenth of the iterations).

Expected, squared error after 10 steps on 10 points: MAML 0.05 to 0.3, the pre-trained net 1 to 2; MAML's
first step does most of it; further ones, which it was not trained for, help on most waves and throw a few off
on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sinusoid_table
import study
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from metatl.adapt import Descent, predict, score
from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.lab import config, store
from metatl.lab.experiment import candidates
from metatl.lab.run import Run, learn, prepare
from metatl.types import Episode, Split

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "sinusoid.yaml"
METHODS, SHOTS, PUBLISHED = ("maml", "pretrained"), (5, 10, 20), 70_000


@dataclass(frozen=True)
class Found:
    """One net at one number of points: its report, and the errors [steps + 1, waves] on the way."""

    report: Report
    errors: NDArray[np.float64]


def made(method: str, shot: int, seed: int, runs: str, steps: int) -> Found:
    """Learned and evaluated, or loaded where that was done."""
    own = ["--runs", runs, "--seed", str(seed), "--evaluation.tasks.shot", str(shot)]
    own += ["--learner.init_args.steps", str(steps)]
    run = prepare(config.load(CONFIGS / method, own), own)
    told, evaluation = config.describe(run.experiment), run.experiment.evaluation
    key = config.digest([told[name] for name in ("adaptation", "evaluation", "select")])
    place = run.folder / "evaluations" / f"by-step-{key}.json"
    if not place.is_file():
        selected, adaptation = chosen(run)
        errors = by_step(run, adaptation, "meta_test", evaluation.episodes)
        store.write_json(place, {"selected": selected, "errors": compare.plain(errors)})
    kept = store.read_json(place)
    protocol = {"data": "sinusoid", "split": "meta_test", "shot": shot, "query": evaluation.tasks.query}
    protocol |= {"seed": evaluation.seed, "score": "loss", "episodes": evaluation.episodes}
    protocol["episodes_hash"] = run.data.fingerprint(
        "meta_test", evaluation.tasks, evaluation.seed, evaluation.episodes
    )
    facts = {"family": run.experiment.family, "selected": kept["selected"]}
    facts |= {"seconds_to_learn": learn(run)[1], "steps": run.experiment.adaptation.steps}
    errors = np.array(kept["errors"], dtype=np.float64)
    return Found(Report(method, errors[-1], protocol, facts), errors)


def chosen(run: Run) -> tuple[dict[str, Any], Descent]:
    """What of the config's grid has the least error on meta-val; a rate that diverges loses."""
    options = candidates(run.experiment)
    if len(options) == 1:
        return options[0]
    waves = run.experiment.evaluation.select_episodes
    tried = [by_step(run, adaptation, "meta_val", waves)[-1].mean() for _, adaptation in options]
    return options[int(np.argmin(np.where(np.isfinite(tried), tried, np.inf)))]


def by_step(run: Run, adaptation: Descent, split: Split, waves: int) -> NDArray[np.float64]:
    """Errors [steps + 1, waves] after 0, 1, ... steps; not finite where the steps diverge."""
    transfer, _ = learn(run)
    evaluation, net = run.experiment.evaluation, run.engine.ready(run.net)

    def one(episode: Episode) -> dict[int, Tensor]:
        points = adaptation.trajectory(net, transfer, episode.support, "first_order")
        outputs = (predict(net, p.params, transfer, episode, adaptation.moments) for p in points)
        return {step: score(output, episode.query.y) for step, output in enumerate(outputs)}

    with torch.no_grad():
        episodes = run.data.draw(split, evaluation.tasks, evaluation.seed, 0, waves)
        found = run.engine.map(one, episodes)
    return torch.stack([found[step] for step in sorted(found)]).double().numpy()


def main() -> None:
    parser = study.parser(
        "Sinusoid regression: MAML beside a pre-trained net.", "results/sinusoid", "runs/sinusoid"
    )
    parser.add_argument("--seeds", type=study.count, default=3, help="training seeds 0, 1, ... [3]")
    parser.add_argument(
        "--share", type=study.share, default=1.0, help="of the published 70,000 iterations [1]"
    )
    parser.add_argument("--only", choices=METHODS, help="learn and evaluate this net alone; writes no table")
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    steps = max(1, round(given.share * PUBLISHED))
    methods = METHODS if given.only is None else (given.only,)
    found = dict[int, dict[str, list[Found]]]()
    with tqdm(total=given.seeds * len(methods) * len(SHOTS)) as bar:
        for seed in range(given.seeds):
            for method in methods:
                for shot in SHOTS:
                    bar.set_description(f"{method}, seed {seed}, {shot} points")
                    one = made(method, shot, seed, given.runs, steps)
                    found.setdefault(shot, {}).setdefault(method, []).append(one)
                    bar.update()
    if given.only is None:
        sinusoid_table.write(Path(given.out), found, steps, PUBLISHED)


if __name__ == "__main__":
    study.command(main)

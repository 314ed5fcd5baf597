"""Zero, one and few examples in context: the error that is left, for five priors as one curve.

    METATL_DATA=... python scripts/in_context_examples.py --out results/in-context-examples

Learns the configs of linear functions, sinusoids, random small tables, Omniglot sequences and digits under
random projections where they are not learned yet, and asks each net about tasks of meta-test from none to all
of the examples that it was trained on; no weight moves. Beside it the nearest example's target, and without
one what no example tells (each class alike, the value 0). Hours; resumable; --priors for some of them,
--share 0.1 for a tenth of the steps.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import study
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl.data import Fewer, Sinusoid
from metatl.evaluation.statistics import estimate
from metatl.lab import config, store
from metatl.lab.render import png
from metatl.lab.render.figure import PALETTE, bare, blank
from metatl.lab.run import Run, learn, prepare
from metatl.types import Batch, Episode, MetatlError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
PRIORS = {
    "linear-functions": "in-context/linear-functions.yaml",
    "sinusoids": "sinusoid.yaml/in-context",
    "small-tables": "in-context/little-pfn.yaml",
    "omniglot-sequences": "in-context/omniglot-sequences.yaml",
    "mnist-projections": "in-context/mnist-projections.yaml",
}
COUNTS = (0, 1, 2, 3, 5, 10, 20, 50, 100)
"""Examples, up to as many as a net was trained on; those of classes go round by round over them."""
WAYS = ("in context", "nearest example")
ABOUT = (
    "Accuracy in percent, or the squared error of real values (of sinusoids to the wave without noise), of "
    "{tasks:,} tasks of meta-test: mean ± half of its 95 % interval over tasks. {steps}; one training seed "
    "each. Examples of classes come round by round, so that fewer than there are classes leave some unseen. "
    "errors.png: full lines are the nets, dashed ones the nearest example."
)
Errors = NDArray[np.float64]
"""[counts, 2, tasks]: of the net and of the nearest example; 1 less accuracy, or a mean squared error."""


def main() -> None:
    """Learn, ask, write numbers, table and plot, after every prior."""
    parser = study.parser("Zero, one and few examples in context.", "results/in-context-examples")
    parser.add_argument("--priors", help=f"these alone, with commas: {', '.join(PRIORS)} [all]")
    parser.add_argument("--tasks", type=study.count, default=400, help="tasks that are asked about [400]")
    parser.add_argument("--share", type=study.share, default=1.0, help="of the steps of the configs [1]")
    given = parser.parse_args()
    names = [*PRIORS] if given.priors is None else [name.strip() for name in given.priors.split(",")]
    if unknown := {*names} - {*PRIORS}:
        raise MetatlError(f"--priors: {', '.join(sorted(unknown))} is none of {', '.join(PRIORS)}")
    torch.set_num_threads(1)
    found, steps, out = dict[str, tuple[bool, Errors]](), dict[str, int](), Path(given.out)
    for name in names:
        run = prepared(name, given.share, given.runs)
        steps[name] = run.experiment.learner.steps
        found[name] = run.data.kind == "regression", errors(run, given.tasks)
        about = ABOUT.format(
            tasks=given.tasks, steps=", ".join(f"{k}: {v:,} steps" for k, v in steps.items())
        )
        store.write_text(out / "table.md", table(found, about))
        told = {
            name: {"real": real, "errors": each.mean(-1).tolist()} for name, (real, each) in found.items()
        }
        store.write_json(out / "results.json", {"about": about, "counts": COUNTS, "ways": WAYS, "of": told})
        plot(found, out / "errors.png")


def prepared(name: str, share: float, runs: str) -> Run:
    """The config's run, or that of a share of its steps."""
    own, path = ["--runs", runs], CONFIGS / PRIORS[name]
    if share != 1:
        own += ["--learner.init_args.steps", str(max(1, round(share * config.load(path).learner.steps)))]
    return prepare(config.load(path, own), own)


def errors(run: Run, tasks: int) -> Errors:
    """Of the learned net, or as they were written before."""
    place = run.folder / "evaluations" / f"examples-{tasks}.json"
    if not place.is_file():
        store.write_json(place, {"errors": measured(run, tasks).tolist()})
    return np.array(store.read_json(place)["errors"], np.float64)


def measured(run: Run, tasks: int) -> Errors:
    """Learn where that is not done, and ask about the same tasks with ever more examples."""
    transfer, _ = learn(run)
    ask, source = run.experiment.evaluation, run.experiment.data
    whole = source.of if isinstance(source, Fewer) else source
    data, truth = whole.load(), whole
    if isinstance(whole, Sinusoid):
        truth = replace(whole, noise=0.0)
    net = run.engine.ready(run.net).with_outputs(data.outputs(ask.tasks))

    def told(episode: Episode) -> Tensor:
        return run.experiment.adaptation.answer(net, transfer, episode)

    found = list[Errors]()
    for first in range(0, tasks, ask.chunk):
        size = min(ask.chunk, tasks - first)
        drawn = data.draw("meta_test", ask.tasks, ask.seed, first, size)
        clean = truth.load().draw("meta_test", ask.tasks, ask.seed, first, size)
        assert isinstance(drawn, Episode)
        assert isinstance(clean, Episode)
        y, classes = clean.query.y, 1 + drawn.support.y.amax(1)
        lines = list[Errors]()
        for count in [k for k in COUNTS if k <= drawn.support.y.shape[1]]:
            some = Batch(drawn.support.x[:, :count], drawn.support.y[:, :count])
            with torch.no_grad():
                said = run.engine.map(told, Episode(some, drawn.query))
            plain = nearest(some, drawn.query.x, y, classes)
            lines.append(np.stack([error(said, y), plain]))
        found.append(np.stack(lines))
    return np.concatenate(found, -1)


def error(said: Tensor, y: Tensor) -> Errors:
    """[tasks] of outputs [tasks, n, outputs]."""
    if y.is_floating_point():
        return (said - y).square().mean((1, 2)).double().numpy()
    return 1 - (said.argmax(-1) == y).double().mean(1).numpy()


def nearest(some: Batch, new: Tensor, y: Tensor, classes: Tensor) -> Errors:
    """[tasks] of the nearest example's target; without one of the value 0, or a class at random."""
    if not some.y.shape[1]:
        zero = y.square().mean((1, 2)) if y.is_floating_point() else 1 - 1 / classes
        return zero.double().numpy()
    near = torch.cdist(new.flatten(2), some.x.flatten(2)).argmin(-1)
    said = some.y[torch.arange(len(near))[:, None], near]
    if y.is_floating_point():
        return error(said, y)
    return 1 - (said == y).double().mean(1).numpy()


def table(found: dict[str, tuple[bool, Errors]], about: str) -> str:
    """Markdown: a line for every prior and way, a column for every number of examples."""
    head = ["prior", "", *(f"{k} examples" for k in COUNTS)]
    lines = ["# Zero, one and few examples in context", "", about, ""]
    lines += [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, (real, each) in found.items():
        for i, way in enumerate(WAYS):
            cells = [cell(each[k, i], real) if k < len(each) else "" for k in range(len(COUNTS))]
            lines.append(f"| {name} | {way}, {'squared error' if real else '%'} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(each: Errors, real: bool) -> str:
    """Mean and half of its interval."""
    values = each if real else 100 * (1 - each)
    half = estimate(values).ci95 or 0.0
    return f"{values.mean():.3g} ± {half:.2g}" if real else f"{values.mean():.1f} ± {half:.1f}"


def plot(found: dict[str, tuple[bool, Errors]], path: Path) -> None:
    """The error over that without an example, so that all priors start at 1; nearest examples dashed."""
    figure: Any = blank(7, 4.4)
    axes = bare(figure.add_subplot(), keep=("left", "bottom"))
    for colour, (name, (_, each)) in zip(PALETTE, found.items(), strict=False):
        left = each.mean(-1) / each[0, 1].mean()
        for i, style in enumerate(("-", "--")):
            axes.plot(left[:, i], style, color=colour, label=None if i else name, alpha=0.5 if i else 1)
    axes.set_xticks(range(len(COUNTS)), [str(k) for k in COUNTS])
    axes.set(xlabel="examples", ylabel="error / error without an example", ylim=(0, 1.6))
    axes.legend(frameon=False)
    figure.tight_layout()
    store.write_atomic(path, png(figure))


if __name__ == "__main__":
    study.command(main)

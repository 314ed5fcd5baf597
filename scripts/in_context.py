"""Linear functions in context: error after k examples, beside least squares on the same ones.

    python scripts/in_context.py --out results/in-context [--functions 1000] [--dimensions 5,10,20]

Learns configs/in-context/linear-functions.yaml (five dimensions, 20,000 steps) where it is not learned yet,
and asks about functions of meta_test: as it was trained, with x scaled by 2 and with noise in y. The same
net, steps and rate learn more dimensions too, from 0 to twice as many examples as there are, so that a
panel for each shows where it stops being comparable. On one idle core 40 minutes for five dimensions, more
for others; resumable; `--share 0.1` for a tenth of the steps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import study
import torch
from torch import Tensor

from metatl.adapt import InContext
from metatl.data import LinearFunctions, Tasks
from metatl.engines import Batched
from metatl.lab import config, store
from metatl.lab.render import png
from metatl.lab.render.figure import PALETTE, bare, blank
from metatl.lab.run import Run, learn, prepare
from metatl.net import Net
from metatl.types import Batch, Episode, MetatlError, Transfer

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "in-context" / "linear-functions.yaml"
QUERIES = 10
ASKED = {
    "as trained": LinearFunctions(),
    "x twice as large": LinearFunctions(scale=2.0),
    "noise of deviation 1": LinearFunctions(noise=1.0),
}
"""What the net of five dimensions is asked about; those of more are asked as they were trained."""
Errors = dict[str, list[list[float]]]


def main() -> None:
    """Learn, ask, write numbers, table and plot."""
    parser = study.parser("Linear functions in context, beside least squares.", "results/in-context")
    parser.add_argument("--functions", type=study.count, default=1000, help="functions that are asked about")
    parser.add_argument("--dimensions", default="5,10,20", help="of nets, each learned anew [5,10,20]")
    parser.add_argument("--share", type=study.share, default=1.0, help="of the steps of the config [1]")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found, out, steps = dict[str, Errors](), Path(given.out), 0
    for size in dimensions(given.dimensions):
        run = prepared(size, given.share, given.runs)
        steps, (transfer, _) = run.experiment.learner.steps, learn(run)
        of = ASKED if size == 5 else {f"{size} dimensions": LinearFunctions(size)}
        for name, source in of.items():
            found[name] = asked(source, run.net, transfer, given.functions)
        store.write_json(
            out / "results.json", {"functions": given.functions, "steps": steps, "errors": found}
        )
        store.write_text(out / "table.md", table(found, given.functions, steps))
        plot(found, out / "errors.png")


def dimensions(text: str) -> list[int]:
    """Whole numbers, by commas; MetatlError for what is none."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise MetatlError(f"--dimensions is {text!r}; give whole numbers above 0, 5,10 say")
    return [int(part) for part in parts]


def prepared(size: int, share: float, runs: str) -> Run:
    """The config's run, with so many dimensions and up to twice as many examples."""
    own, steps = ["--runs", runs], config.load(CONFIG).learner.steps
    if share < 1:
        own += ["--learner.init_args.steps", str(max(1, round(share * steps)))]
    if size != 5:
        own += ["--data.init_args.of.init_args.dimensions", str(size)]
        for part in ("learner.init_args", "evaluation"):
            own += [f"--{part}.tasks.shot", str(2 * size)]
    return prepare(config.load(CONFIG, own), own)


def asked(source: LinearFunctions, net: Net, transfer: Transfer, functions: int) -> Errors:
    """By way, [mean, low, high] of the squared error for 0 to 2 d examples, over d scale^2."""
    most = 2 * source.dimensions
    drawn = source.load().draw("meta_test", Tasks(shot=most, query=QUERIES), 0, 0, functions)
    unit = source.dimensions * source.scale**2
    errors: Errors = {"in context": [], "least squares": [], "nearest 3": []}
    for k in range(most + 1):
        x, y = drawn.support.x[:, :k], drawn.support.y[:, :k]
        episode = Episode(Batch(x, y), drawn.query)
        with torch.no_grad():
            said = Batched().map(lambda one: InContext().answer(net, transfer, one), episode)
        ways = {"in context": said, "least squares": least_squares(x, y, drawn.query.x)}
        ways["nearest 3"] = nearest(x, y, drawn.query.x)
        for name, output in ways.items():
            each = (output - drawn.query.y).square().mean((1, 2)) / unit
            errors[name].append(spread(each))
    return errors


def least_squares(x: Tensor, y: Tensor, new: Tensor) -> Tensor:
    """The solution of least norm; 0 without an example."""
    return (new.double() @ torch.linalg.pinv(x.double()) @ y.double()).float()


def nearest(x: Tensor, y: Tensor, new: Tensor) -> Tensor:
    """The mean of the three nearest examples, of all where there are fewer; 0 without an example."""
    if not x.shape[1]:
        return new.new_zeros(*new.shape[:2], 1)
    near = torch.cdist(new, x).topk(min(3, x.shape[1]), largest=False).indices
    return y.expand(-1, -1, 1)[torch.arange(len(y))[:, None, None], near].mean(2)


def spread(each: Tensor) -> list[float]:
    """Mean with its 95 % interval over functions (normal), which ends at 0 as errors do."""
    mean, half = float(each.mean()), 1.96 * float(each.std()) / len(each) ** 0.5
    return [mean, max(mean - half, 0.0), mean + half]


def table(found: dict[str, Errors], functions: int, steps: int) -> str:
    """Errors as a table."""
    lines = [
        f"Squared error over d scale^2: mean of {functions} functions of 10 queries, 95 % interval; d is 5",
        f"where nothing else is said. One net for each d, of one seed, {steps:,} steps of 64 functions with",
        "0 to 2 d examples; the first three tables are one net.",
        "",
    ]
    for name, ways in found.items():
        lines += [f"**{name}**", "", "| examples | " + " | ".join(ways) + " |", "|---|" + "---|" * len(ways)]
        for k, at in enumerate(zip(*ways.values(), strict=True)):
            cells = (f"{m:.3f} [{low:.3f}, {high:.3f}]" for m, low, high in at)
            lines.append(f"| {k} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def plot(found: dict[str, Errors], path: Path) -> None:
    """A panel for each kind of function."""
    figure = blank(1 + 3.4 * len(found), 3.4)
    for place, (name, ways) in enumerate(found.items()):
        axes = bare(figure.add_subplot(1, len(found), place + 1), keep=("left", "bottom"))
        for colour, (way, errors) in zip(PALETTE, ways.items(), strict=False):
            mean, low, high = np.array(errors).T
            axes.plot(mean, label=way, color=colour)
            axes.fill_between(range(len(mean)), low, high, alpha=0.2, color=colour)
        axes.set(title=name, xlabel="examples", ylim=(0, 1.6), ylabel="" if place else "squared error / d")
        if not place:
            axes.legend(frameon=False)
    figure.tight_layout()
    store.write_atomic(path, png(figure))


if __name__ == "__main__":
    study.command(main)

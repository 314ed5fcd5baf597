"""Linear functions in context: error after k examples, beside least squares on the same ones.

    python scripts/in_context.py --out results/in-context [--functions 1000]

Learns configs/in-context/linear-functions.yaml where it is not learned yet (a quarter of an hour of one
core), and asks about functions of meta_test: as it was trained, with x scaled by 2 and with noise in y.
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
from metatl.lab.run import learn, prepare
from metatl.net import Net
from metatl.types import Batch, Episode, Transfer

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "in-context" / "linear-functions.yaml"
MOST, QUERIES = 10, 10
ASKED = {
    "as trained": LinearFunctions(),
    "x twice as large": LinearFunctions(scale=2.0),
    "noise of deviation 1": LinearFunctions(noise=1.0),
}


def main() -> None:
    """Learn, ask, write numbers, table and plot."""
    parser = study.parser("Linear functions in context, beside least squares.", "results/in-context")
    parser.add_argument("--functions", type=study.count, default=1000, help="functions that are asked about")
    given = parser.parse_args()
    torch.set_num_threads(1)
    run = prepare(config.load(CONFIG, own := ["--runs", given.runs]), own)
    transfer, _ = learn(run)
    found = {name: asked(source, run.net, transfer, given.functions) for name, source in ASKED.items()}
    out, steps = Path(given.out), run.experiment.learner.steps
    store.write_json(out / "results.json", {"functions": given.functions, "steps": steps, "errors": found})
    store.write_text(out / "table.md", table(found, given.functions, steps))
    plot(found, out / "errors.png")


def asked(
    source: LinearFunctions, net: Net, transfer: Transfer, functions: int
) -> dict[str, list[list[float]]]:
    """By way, [mean, low, high] of the squared error for 0 to 10 examples, over d scale^2."""
    drawn = source.load().draw("meta_test", Tasks(shot=MOST, query=QUERIES), 0, 0, functions)
    unit = source.dimensions * source.scale**2
    errors: dict[str, list[list[float]]] = {"in context": [], "least squares": [], "nearest 3": []}
    for k in range(MOST + 1):
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
    """Mean with its 95 % interval over functions (normal)."""
    mean, half = float(each.mean()), 1.96 * float(each.std()) / len(each) ** 0.5
    return [mean, mean - half, mean + half]


def table(found: dict[str, dict[str, list[list[float]]]], functions: int, steps: int) -> str:
    """Errors as a table."""
    lines = [
        f"Squared error over d scale^2, d = 5: mean of {functions} functions of 10 queries, 95 % interval.",
        f"The net learned {steps} steps of 64 functions with 0 to 10 examples; at least 20,000 were planned.",
        "",
    ]
    for name, ways in found.items():
        lines += [f"**{name}**", "", "| examples | " + " | ".join(ways) + " |", "|---|" + "---|" * len(ways)]
        for k in range(MOST + 1):
            cells = (f"{m:.3f} [{low:.3f}, {high:.3f}]" for m, low, high in (way[k] for way in ways.values()))
            lines.append(f"| {k} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def plot(found: dict[str, dict[str, list[list[float]]]], path: Path) -> None:
    """A panel for each kind of function."""
    figure = blank(11, 3.4)
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

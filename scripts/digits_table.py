"""How digits.py writes what it found: table.md, report.json, and both domains in two dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.manifold import TSNE

from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.evaluation.statistics import estimate, holm, paired
from metatl.lab import store
from metatl.lab.render.figure import FAINT, INK, PALETTE, bare, blank, png
from metatl.lab.render.tables import p_value, plus_minus
from metatl.lab.run import Run
from metatl.norm import Rows, moments_from
from metatl.types import Transfer

PUBLISHED = {
    ("mnist-to-mnist-m", "source-only"): "57.5; 52.3",
    ("mnist-to-mnist-m", "dann"): "81.5; 76.7",
    ("mnist-to-mnist-m", "target-only"): "98.9; 96.0",
}
"""Ganin & Lempitsky 2015; Ganin et al. 2016."""
FLOORS = {"adabn": "source-norms", "tent": "source-norms"}
"""What a row is held against where that is not source-only."""
NOT_ADAPTED = ("source-only", "target-only", "source-norms")
SHOWN = 300
ABOUT = (
    "Labelled images of one domain, unlabelled ones of the other, whose test images judge. {steps} steps of "
    "64 images of each, {seeds} ({nets}). Every setting has one value, chosen by no target label. Intervals "
    "are over blocks of 200 test images, averaged over seeds first: they say how exact the numbers of these "
    "nets are, not how nets of other seeds would differ, which the seeds show. Gain: over source-only, of "
    "AdaBN and Tent over the same net with batch norms (source-norms), on the same test images; p: paired "
    "t-test, Holm-corrected within a pair."
)


class Cell(NamedTuple):
    """A row on a pair, from one seed."""

    pair: str
    row: str
    seed: int
    report: Report


def write(out: Path, found: Sequence[Cell], steps: int) -> None:
    """table.md and report.json."""
    seeds = sorted({cell.seed for cell in found})
    told = ABOUT.format(
        steps=f"{steps:,}",
        seeds=f"{len(seeds)} seeds" if len(seeds) > 1 else "1 seed",
        nets=", ".join(map(str, seeds)),
    )
    parts, kept = ["# Digits of another domain, without a label", told], dict[str, Any]()
    for pair in dict.fromkeys(cell.pair for cell in found):
        rows = _rows([cell for cell in found if cell.pair == pair])
        kept[pair] = rows
        parts += [f"## {pair.replace('-to-', ' to ')}", _table(pair, rows)]
    store.make_folder(out)
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    store.write_json(out / "report.json", {"steps": steps, "seeds": seeds, "pairs": compare.plain(kept)})


def _rows(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Accuracy of each row, blocks averaged over seeds first, its seeds, and what it gained."""
    scores: dict[str, list[np.ndarray[Any, Any]]] = {}
    for cell in cells:
        scores.setdefault(cell.row, []).append(cell.report.scores)
    rows: list[dict[str, Any]] = []
    for row, each in scores.items():
        whole, floor = estimate(np.mean(each, 0)), FLOORS.get(row, "source-only")
        made: dict[str, Any] = {"row": row, "accuracy": whole.mean, "ci95": whole.ci95}
        made["seeds"] = [float(own.mean()) for own in each]
        if row not in NOT_ADAPTED and len(scores.get(floor, ())) == len(each):
            gain = paired(np.mean(each, 0), np.mean(scores[floor], 0))
            made |= {"gain": gain.mean, "gain_ci95": gain.ci95, "p": gain.p}
        rows.append(made)
    compared = [made for made in rows if "gain" in made]
    for made, p in zip(compared, holm([made["p"] for made in compared]), strict=True):
        made["p_holm"] = p
    return rows


def _table(pair: str, rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["row", "accuracy, %", "by seed", "gain, points", "p", "published"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for made in rows:
        gain = "gain" in made
        cells = [
            made["row"],
            plus_minus(100 * made["accuracy"], _percent(made["ci95"]), 1),
            ", ".join(f"{100 * one:.1f}" for one in made["seeds"]),
            plus_minus(100 * made["gain"], _percent(made["gain_ci95"]), 1, "+") if gain else "",
            p_value(made["p_holm"]) if gain else "",
            PUBLISHED.get((pair, made["row"]), ""),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(half: float | None) -> float | None:
    return None if half is None else 100 * half


def picture(out: Path, runs: Mapping[str, tuple[Run, Transfer]]) -> None:
    """tsne.png: features of both domains before and after adaptation, as in Ganin et al. 2016."""
    figure = blank(4.2 * len(runs), 4.6)
    for place, (row, (run, carried)) in enumerate(runs.items()):
        axes = bare(figure.add_subplot(1, len(runs), place + 1))
        features = [_features(run, carried, split) for split in ("meta_val", "meta_test")]
        points = TSNE(random_state=0, init="pca").fit_transform(np.concatenate(features))
        for name, own, colour in zip(("source", "target"), np.split(points, 2), PALETTE, strict=False):
            axes.scatter(*own.T, s=5, color=colour, label=name, linewidths=0)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(row, color=INK, fontsize=11)
        axes.legend(frameon=False, labelcolor=FAINT, markerscale=2)
    store.write_atomic(out / "tsne.png", png(figure))


def _features(run: Run, carried: Transfer, split: Any) -> np.ndarray[Any, Any]:
    x = run.data.batch(split, SHOWN, 0, 0).x
    with torch.no_grad(), moments_from(Rows(frozen=True)):
        return run.net.features(carried.params, carried.buffers, x).numpy()

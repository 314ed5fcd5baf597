"""How omniglot_maml.py writes what it found: table.md, report.json and plot.png, beside published values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import omniglot_maml_plot
import study
from omniglot_maml_published import PUBLISHED, SCHEDULES, SETTINGS
from omniglot_maml_rows import MODES, Row

from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.lab import store
from metatl.lab.render.tables import plus_minus

ABOUT = (
    "Accuracy in % on unseen characters of Omniglot (Vinyals split, rotations as classes, 28x28), 1,000 "
    "episodes, the same for every row of a column. ±: 95 % interval over episodes (scores averaged over "
    "training seeds first, where there are several); in brackets the standard deviation between seeds. All "
    "three evaluations are of the same weights. Transductive: batch norm sees all queries of an episode at "
    "once, as in published MAML; first with as many queries a class as shots, as published, then with 15: "
    "what a net gains from a batch of one query of each class is part of the published figure. Inductive: "
    "moments from the support set (protonet: from training images, as published), so that no query's "
    "prediction depends on another query; 15 queries a class. Share: tasks seen, of those in the published "
    "schedule. Missing rows have not been run yet; report.json says how long each took to learn."
)
SOURCES = (
    "Published, under the evaluation named: Finn, Abbeel & Levine 2017 (maml), Nichol, Achiam & Schulman "
    "2018 (fomaml, reptile), Raghu et al. 2020 (anil), Li et al. 2017 (meta-sgd), Snell, Swersky & Zemel "
    "2017 (protonet); Proto-MAML was published on other data. Intervals where they are known. report.json "
    "has every row's paired difference to maml on the same episodes and its p, Holm-corrected within a "
    "column."
)


def write(out: Path, found: Sequence[Row]) -> None:
    """The files, from what is finished; `rows` as `metatl benchmark` writes them, and more fields."""
    parts, rows, protocols = list[str](), list[compare.Row](), list[dict[str, Any]]()
    for setting in SETTINGS:
        for modes in (MODES[:1], MODES[1:]):
            group = [row for row in found if row.setting == setting and row.mode in modes]
            own, protocol = _compared(group)
            rows += own
            protocols += protocol
        own = [row for row in rows if row["setting"] == setting]
        if own:
            parts += [f"## {own[0]['way']}-way {own[0]['shot']}-shot", _table(own)]
    text = "\n\n".join(["# MAML family on Omniglot", ABOUT, *parts, SOURCES])
    store.write_text(out / "table.md", text + "\n")
    store.write_json(out / "report.json", {"about": ABOUT, "protocols": protocols, "rows": rows})
    store.write_atomic(out / "plot.png", omniglot_maml_plot.picture(rows, PUBLISHED))


def _compared(group: Sequence[Row]) -> tuple[list[compare.Row], list[dict[str, Any]]]:
    """Rows of the same episodes, paired with MAML where it is among them."""
    if not group:
        return [], []
    reports = [_pooled(row) for row in group]
    names, wanted = [report.method for report in reports], f"maml, {group[-1].mode}"
    reference = wanted if wanted in names else names[0]
    rows = compare.rows(reports, reference)
    for row, source in zip(rows, group, strict=True):
        row |= _more(source)
    return rows, [compare.protocol(reports, reference, None)]


def _pooled(row: Row) -> Report:
    """Every episode's score averaged over seeds; costs averaged, choices of all seeds said."""
    reports, costs = [*row.reports.values()], ("seconds_to_learn", "ms_per_task")
    facts = {key: float(np.mean([found.facts[key] for found in reports])) for key in costs}
    facts |= {key: reports[0].facts[key] for key in ("family", "trainable")}
    facts["diverged"] = study.diverged(reports)
    facts["selected"] = [found.facts["selected"] for found in reports]
    scores = np.mean([found.scores for found in reports], 0)
    return Report(f"{row.method}, {row.mode}", scores, reports[0].protocol, facts)


def _more(row: Row) -> dict[str, Any]:
    value, half = PUBLISHED.get((row.method, row.mode), {}).get(row.setting, (None, None))
    reports, share = [*row.reports.values()], None
    means = [100 * found.mean for found in reports]
    if row.method in SCHEDULES:
        iterations, meta_batch = SCHEDULES[row.method][row.setting.partition("w")[0]]
        share = row.iterations * row.meta_batch / (iterations * meta_batch)
    return {
        "learned_by": row.method,
        "setting": row.setting,
        "mode": row.mode,
        "way": reports[0].protocol["way"],
        "shot": reports[0].protocol["shot"],
        "query": reports[0].protocol["query"],
        "published": value,
        "published_ci95": half,
        "schedule": {
            "iterations": row.iterations,
            "meta_batch": row.meta_batch,
            "share_of_published": share,
        },
        "seeds": len(reports),
        "by_seed": means,
        "sd_between_seeds": float(np.std(means, ddof=1)) if len(means) > 1 else None,
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line a method, best first by its published evaluation."""
    head = ["method", "transductive", "with 15 queries", "inductive", "published, %"]
    head += ["iterations x tasks", "share", "seeds"]
    cells: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        cells.setdefault(row["learned_by"], {})[row["mode"]] = row
    best = sorted(cells, key=lambda method: -max(row["accuracy"] for row in cells[method].values()))
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *([m, *_cells(cells[m])] for m in best)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(modes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    row = next(iter(modes.values()))
    schedule, share = row["schedule"], row["schedule"]["share_of_published"]
    published = [_published(own) for own in modes.values() if own["published"] is not None]
    return [
        *(_accuracy(modes[mode]) if mode in modes else "" for mode in MODES),
        ", ".join(published),
        f"{schedule['iterations']:,} x {schedule['meta_batch']}",
        "" if share is None else f"{100 * share:.1f} %",
        str(row["seeds"]),
    ]


def _accuracy(row: Mapping[str, Any]) -> str:
    spread = row["sd_between_seeds"]
    return plus_minus(row["accuracy"], row["ci95"]) + ("" if spread is None else f" ({spread:.2f})")


def _published(row: Mapping[str, Any]) -> str:
    half = "" if row["published_ci95"] is None else f" ± {row['published_ci95']}"
    return f"{row['published']}{half} {row['mode']}"

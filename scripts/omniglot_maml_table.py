"""How omniglot_maml.py writes what it found: table.md, report.json and plot.png, beside published values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import omniglot_maml_plot

from metatl import compare, store
from metatl.evaluate import Report
from metatl.render.tables import p_value

SETTINGS = ("5w1s", "5w5s", "20w1s", "20w5s")
_FINN = {"5": (60_000, 32), "20": (60_000, 16)}
SCHEDULES: dict[str, dict[str, tuple[int, int]]] = {
    **dict.fromkeys(("maml", "fomaml", "anil", "meta-sgd", "proto-maml"), _FINN),
    "reptile": {"5": (100_000, 5), "20": (200_000, 5)},
}
"""Published iterations and tasks in each, by way. What descends from MAML is held against MAML's."""


def _values(*values: float) -> dict[str, tuple[float, float | None]]:
    return {setting: (value, None) for setting, value in zip(SETTINGS, values, strict=True)}


PUBLISHED: dict[tuple[str, str], dict[str, tuple[float, float | None]]] = {
    ("maml", "transductive"): {
        "5w1s": (98.7, 0.4),
        "5w5s": (99.9, 0.1),
        "20w1s": (95.8, 0.3),
        "20w5s": (98.9, 0.2),
    },
    ("fomaml", "transductive"): _values(98.3, 99.2, 89.4, 97.9),
    ("anil", "transductive"): {"20w1s": (96.2, None), "20w5s": (98.0, None)},
    ("meta-sgd", "transductive"): {"5w1s": (99.53, 0.26), "5w5s": (99.93, 0.09)},
    ("reptile", "transductive"): _values(97.68, 99.48, 89.43, 97.12),
    ("reptile", "inductive"): _values(95.39, 98.90, 88.14, 96.65),
    ("protonet", "inductive"): _values(98.8, 99.7, 96.0, 98.9),
}
"""Accuracy and half of its 95 % interval, where one is known, by method and evaluation."""
ABOUT = (
    "Unseen characters of Omniglot (Vinyals split, rotations as classes, 28x28), 1,000 episodes of 15 "
    "queries a class, the same for every row of a setting. Intervals: 95 %, over episodes (scores averaged "
    "over training seeds first, where there are several); in brackets the standard deviation between seeds. "
    "Transductive: batch norm sees all queries of an episode at once, as published MAML does; inductive: "
    "{inductive}. Both evaluate the same weights. Share: tasks seen, of those in the published schedule. "
    "Missing rows have not been run yet."
)
INDUCTIVE = (
    "it takes its moments from the support set (protonet: from training images, as published), so that no "
    "query's prediction depends on another query"
)
SOURCES = (
    "Published: Finn, Abbeel & Levine 2017 (maml, 600 episodes of as many queries as shots), Nichol, Achiam "
    "& Schulman 2018 (fomaml, reptile), Raghu et al. 2020 (anil), Li et al. 2017 (meta-sgd), Snell, Swersky "
    "& Zemel 2017 (protonet); Proto-MAML was published on other data. Intervals where they are known. p: "
    "paired t-test against the transductive maml row of the setting, Holm-corrected within the setting."
)


def write(out: Path, found: Sequence[Any]) -> None:
    """The files, from what is finished; `rows` as `metatl benchmark` writes them, and more fields."""
    about, parts, rows, protocols = ABOUT.format(inductive=INDUCTIVE), list[str](), list[compare.Row](), []
    for setting in SETTINGS:
        group = [row for row in found if row.setting == setting]
        if group:
            reports = [_pooled(row) for row in group]
            named = [report.method for report in reports]
            reference = "maml, transductive" if "maml, transductive" in named else named[0]
            own = compare.rows(reports, reference)
            protocols.append(compare.protocol(reports, reference, None))
            for row, source in zip(own, group, strict=True):
                row |= _more(source)
            own.sort(key=lambda row: -row["accuracy"])
            parts += [f"## {protocols[-1]['way']}-way {protocols[-1]['shot']}-shot", _table(own, reference)]
            rows += own
    text = "\n\n".join(["# MAML family on Omniglot", about, *parts, SOURCES])
    store.write_text(out / "table.md", text + "\n")
    store.write_json(out / "report.json", {"about": about, "protocols": protocols, "rows": rows})
    store.write_atomic(out / "plot.png", omniglot_maml_plot.picture(rows, PUBLISHED))


def _pooled(row: Any) -> Report:
    """Every episode's score averaged over seeds; costs averaged, choices of all seeds said."""
    first, costs = row.reports[0], ("seconds_to_learn", "ms_per_task")
    facts = {key: float(np.mean([found.facts[key] for found in row.reports])) for key in costs}
    facts |= {key: first.facts[key] for key in ("family", "trainable")}
    facts["selected"] = [found.facts["selected"] for found in row.reports]
    scores = np.mean([found.scores for found in row.reports], 0)
    return Report(f"{row.method}, {row.mode}", scores, first.protocol, facts)


def _more(row: Any) -> dict[str, Any]:
    value, half = PUBLISHED.get((row.method, row.mode), {}).get(row.setting, (None, None))
    means, share = [100 * found.mean for found in row.reports], None
    if row.method in SCHEDULES:
        iterations, meta_batch = SCHEDULES[row.method][row.setting.partition("w")[0]]
        share = row.iterations * row.meta_batch / (iterations * meta_batch)
    return {
        "learned_by": row.method,
        "setting": row.setting,
        "published": value,
        "published_ci95": half,
        "schedule": {
            "iterations": row.iterations,
            "meta_batch": row.meta_batch,
            "share_of_published": share,
        },
        "seeds": len(row.reports),
        "by_seed": means,
        "sd_between_seeds": float(np.std(means, ddof=1)) if len(means) > 1 else None,
    }


def _table(rows: Sequence[Mapping[str, Any]], reference: str) -> str:
    head = ["method", "evaluation", "accuracy, %", "published, %", "difference to maml", "p"]
    head += ["iterations x tasks", "share", "seeds", "minutes to learn"]
    lines = [head, ["---", "---", *["--:"] * (len(head) - 2)]]
    lines += [_cells(row, row["method"] == reference) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Mapping[str, Any], reference: bool) -> list[str]:
    schedule, spread = row["schedule"], row["sd_between_seeds"]
    half = "" if row["published_ci95"] is None else f" ± {row['published_ci95']}"
    share = schedule["share_of_published"]
    return [
        row["learned_by"],
        "transductive" if row["transductive"] else "inductive",
        f"{row['accuracy']:.2f} ± {row['ci95']:.2f}" + ("" if spread is None else f" ({spread:.2f})"),
        "" if row["published"] is None else f"{row['published']}{half}",
        "reference" if reference else f"{row['difference']:+.2f} ± {row['difference_ci95']:.2f}",
        "" if reference else p_value(row["p"]),
        f"{schedule['iterations']:,} x {schedule['meta_batch']}",
        "" if share is None else f"{100 * share:.1f} %",
        str(row["seeds"]),
        f"{row['seconds_to_learn'] / 60:.0f}",
    ]

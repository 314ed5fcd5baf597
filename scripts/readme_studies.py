"""Short tables of studies with several protocols, for readme.py: rows are methods, columns are protocols."""

from __future__ import annotations

from typing import Any

from metatl.lab.render.tables import plus_minus
from metatl.transferring import tables

SETTINGS = {
    "5w1s": "5-way 1-shot",
    "5w5s": "5-way 5-shot",
    "20w1s": "20-way 1-shot",
    "20w5s": "20-way 5-shot",
}

MODES = ("transductive", "transductive, 15 queries", "inductive")


def family(report: dict[str, Any]) -> str:
    """results/omniglot-maml: accuracy with its interval, what was published after it, and the share."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in report["rows"]:
        said = plus_minus(row["accuracy"], row["ci95"], 1)
        if row["published"] is not None:
            half = "" if row["published_ci95"] is None else f" ± {row['published_ci95']}"
            said += f" (published {row['published']}{half})"
        share = row["schedule"]["share_of_published"]
        said += "" if share is None else f", {100 * share:.2g} %"
        said += f", {row['seeds']} seeds" if row["seeds"] > 1 else ""
        cells.setdefault((row["learned_by"], row["mode"]), {})[row["setting"]] = said
    about = (
        "Accuracy in % on 1,000 meta-test episodes and its 95 % interval, the published value, and how much "
        "of the published schedule was run; one training seed where no other number is said."
    )
    present = [setting for setting in SETTINGS if any(setting in own for own in cells.values())]
    head = ["method", "evaluation", *(SETTINGS[setting] for setting in present)]
    lines = [head, ["---", "---", *["--:"] * len(present)]]
    for key, own in sorted(cells.items(), key=lambda item: (item[0][0], MODES.index(item[0][1]))):
        lines.append([*key, *(own.get(setting, "") for setting in present)])
    return "\n".join([about, "", *(f"| {' | '.join(line)} |" for line in lines)])


def sinusoid(report: dict[str, Any]) -> str:
    """results/sinusoid: mean squared error by inner step."""
    shown = (0, 1, 5, 10)
    lines = [["net", "points", *(f"{s} step{'s' * (s != 1)}" for s in shown)]]
    lines.append(["---", *["--:"] * (len(shown) + 1)])
    for row in report["rows"]:
        values = [plus_minus(row["by_step"][s], row["by_step_ci95"][s]) for s in shown]
        lines.append([row["net"], str(row["shot"]), *values])
    first = report["rows"][0]
    share = 100 * first["schedule"]["share_of_published"]
    waves = max(row["episodes"] for row in report["rows"])
    lost = {row["shot"]: waves - row["episodes"] for row in report["rows"] if row["episodes"] < waves}
    left_out = "".join(f", {count} left out at {shot} points: a net diverges" for shot, count in lost.items())
    about = (
        f"Mean squared error on {waves} new waves{left_out}; 95 % intervals, {first['seeds']} "
        f"training seed{'s' * (first['seeds'] > 1)}, {share:.3g} % of the published iterations."
    )
    return "\n".join([about, "", *(f"| {' | '.join(line)} |" for line in lines)])


def transfer(report: dict[str, Any]) -> str:
    """A report of `metatl transfer`: what it was taken on, and the scores by number of labels."""
    _, about, reading, scores, *_ = tables.markdown(report).split("\n\n")
    default = tables.DEFAULT.format(unit=report["protocol"].get("unit_of_data", "photo"))
    return "\n\n".join([f"{about} {reading} {default}", scores])


FIVE = ("no-transfer", "logistic-regression", "fine-tuning", "l2-sp", "lora")


def five(report: dict[str, Any]) -> str:
    """Of such a report the scores of five rows."""
    some = {**report, "rows": [row for row in report["rows"] if row["method"] in FIVE]}
    return tables.markdown(some).split("\n\n")[3]

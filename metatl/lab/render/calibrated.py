"""A table of how far each method's probabilities are to be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metatl import text

Row = Mapping[str, Any]
HEAD = ["method", "NLL", "at T", "ECE", "at T", "ECE a task", "at T", "T"]
NOTE = (
    "NLL: mean of -log p of the label, nats a query row. ECE: calibration error in percent, 15 bins, over "
    "all episodes' rows; a task: mean of every episode's own, which is larger as its bins hold few rows. "
    "At T: outputs over the temperature of least NLL on meta-val."
)


def calibrated_cells(rows: Sequence[Row]) -> list[list[str]]:
    """The cells of the methods that say it, in their order; none where no method does."""
    return [_cells(row) for row in rows if row.get("calibration")]


def calibrated_markdown(rows: Sequence[Row]) -> str:
    """A section of table.md; nothing where no method says it."""
    body = calibrated_cells(text.each(rows, text.markdown))
    if not body:
        return ""
    lines = [HEAD, ["---", *["---:"] * (len(HEAD) - 1)], *body]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"\n## Calibration\n\n{table}\n\n- {NOTE}\n"


def calibrated_console(rows: Sequence[Row]) -> str:
    """The same as plain text."""
    body = calibrated_cells(text.each(rows, text.terminal))
    if not body:
        return ""
    widths = [max(len(line[i]) for line in [HEAD, *body]) for i in range(len(HEAD))]
    padded = [
        [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))]
        for line in [HEAD, *body]
    ]
    return "\n" + "\n".join("  ".join(line).rstrip() for line in padded) + "\n"


def _cells(row: Row) -> list[str]:
    said = row["calibration"]
    nll = [f"{value:.3f}" for value in said["log_loss"]]
    errors = [f"{100 * value:.2f}" for name in ("ece", "ece_task") for value in said[name]]
    return [str(row["method"]), *nll, *errors, f"{said['temperature']:.3g}"]

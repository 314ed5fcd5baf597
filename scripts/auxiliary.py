"""Do helpers help? HAPT's activities with the person, the recording and masked windows as further tasks.

    METATL_DATA=<folder with hapt/> python scripts/auxiliary.py [--seeds 5] [--minutes 50]

The main task is the activity (12 classes) of windows [6, 128], labelled for `--labelled` windows of each
class; helpers have all windows of the people who teach: who it is, which recording it is, or what stood where
a quarter of the values is masked. Of the official 21 people five choose (rates), 16 teach, and the official
nine judge; a draw has its own five and its own labelled windows. A helper has weight 1 all along (`even`),
one that falls to 0 (`falling`), or counts where its gradient agrees with the main one's (`gated`). Controls:
no helper, and the person's number shuffled over the windows, from which nothing can be learned. Every row has
three rates to choose from and the same net and steps. Writes results/auxiliary; resumable, a row and draw has
a file in runs/auxiliary.

Duration: 20 to 55 seconds a row and draw on one thread, 14 rows: about 45 minutes for five draws; the same
command goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import study
from hapt_helpers import Windows
from pieces import Pieces, table, told

from metatl.adapt.formulas import balanced_accuracy
from metatl.aggregates import Aggregate, FallingHelpers, HelperGate
from metatl.evaluation.statistics import holm, paired, shown
from metatl.lab import store

ALONE, RATES = "alone", (1e-3, 3e-3, 1e-2)
HELPERS: Mapping[str, tuple[str, ...]] = {
    "person": ("person",),
    "recording": ("recording",),
    "masked": ("masked",),
    "all three": ("person", "recording", "masked"),
}
WEIGHTS: Mapping[str, Callable[[int], Aggregate | None]] = {
    "even": lambda steps: None,
    "falling": FallingHelpers,
    "gated": lambda steps: HelperGate(),
}
ROWS: Mapping[str, tuple[tuple[str, ...], str]] = {
    ALONE: ((), "even"),
    "shuffled person, even": (("shuffled",), "even"),
    **{f"{name}, {way}": (own, way) for name, own in HELPERS.items() for way in WEIGHTS},
}


def cell(row: str, windows: Windows, seed: int, steps: int) -> Mapping[str, Any]:
    """The rate that is best for the people who choose, judged by balanced accuracy."""
    helpers, way = ROWS[row]
    runs = [windows.learned(helpers, WEIGHTS[way](steps), rate, steps, seed) for rate in RATES]

    def score(of: Any, part: str) -> float:
        return 100 * float(balanced_accuracy(of(part).double(), windows.y["activity"][windows.parts[part]]))

    found = [score(of, "val") for of in runs]
    best = int(np.argmax(found))
    return {"score": score(runs[best], "test"), "val": found[best], "rate": RATES[best]}


def written(pieces: Pieces, missing: int, labelled: int) -> str:
    """The table, with what is shown of each row."""
    rows, ps = list[list[str]](), list[float | None]()
    for row in (row for row in ROWS if pieces.draws(row, ALONE)):
        seeds = pieces.draws(row, ALONE)
        own, other = (pieces.values(one, "score", seeds) for one in (row, ALONE))
        ps.append(paired(own, other).p if row != ALONE and len(seeds) > 1 else None)
        apart = "" if row == ALONE else told(own - other, "+.1f")
        rows.append([row, str(len(seeds)), told(own, ".1f"), apart, "", "", f"{pieces.seconds(row):.0f}"])
    for made, p in zip(rows, holm(ps), strict=True):
        made[4] = "" if p is None else f"{p:.3f}"
        made[5] = (
            ""
            if made[0] == ALONE
            else "not told"
            if not shown(p)
            else "helps"
            if made[3][0] == "+"
            else "harms"
        )
    note = (
        f"{labelled} labelled windows of each class; balanced accuracy on the nine people of the official "
        f"test, less that of the row `{ALONE}` on the same draws; 95 % intervals and p over draws, Holm over "
        "rows."
    )
    lack = f"\n{missing} cells are missing: the same command goes on.\n" if missing else ""
    heads = ["row", "draws", "balanced accuracy, %", f"less {ALONE}", "p (Holm)", "shown", "s"]
    return f"# Helpers of HAPT's activities\n\n{note}\n{lack}\n{table(heads, rows)}"


def main() -> None:
    parser = study.parser("Helpers beside activities.", "results/auxiliary", "runs/auxiliary")
    parser.add_argument("--seeds", type=study.count, default=5, help="draws of people and labels [5]")
    parser.add_argument("--steps", type=study.count, default=600, help="steps of every net [600]")
    parser.add_argument("--labelled", type=study.count, default=10, help="labelled windows of a class [10]")
    parser.add_argument("--minutes", type=float, default=50.0, help="for this command [50]")
    given = parser.parse_args()
    with np.load(study.data("hapt/hapt_windows_128.npz")) as file:
        held = {name: file[name] for name in file.files}
    pieces = Pieces(Path(given.runs), f"steps {given.steps}, labelled {given.labelled}", given.minutes)

    def make(row: str, seed: int) -> Mapping[str, Any]:
        return cell(row, Windows.drawn(held, seed, given.labelled), seed, given.steps)

    missing = pieces.fill(list(ROWS), given.seeds, make)
    store.make_folder(Path(given.out))
    store.write_text(Path(given.out) / "table.md", text := written(pieces, missing, given.labelled))
    print(text)


if __name__ == "__main__":
    study.command(main)

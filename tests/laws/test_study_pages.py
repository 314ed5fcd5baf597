"""Pages of studies: differences are paired by draw, rates are chosen on a target that is not judged."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from metatl.evaluation.crossed import crossed
from metatl.types import MetatlError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(autouse=True)
def _helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


def put(folder: Path, row: str, draws: dict[str, list[float]]) -> None:
    file = folder / "cells" / f"{row}~5.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({draw: {"scores": scores} for draw, scores in draws.items()}))


def test_a_row_beside_others_is_paired_by_draw(tmp_path: Path) -> None:
    import beside

    put(tmp_path, "a", {"0": [1, 1, 1, 0], "1": [1, 1, 0, 0], "2": [1, 0, 0, 0]})
    put(tmp_path, "b", {"2": [0, 0, 0, 0], "0": [0, 0, 1, 0], "3": [1, 1, 1, 1]})
    put(tmp_path, "c", {"0": [1, 1, 1, 0], "1": [1, 0, 0, 0], "2": [1, 0, 0, 1]})
    lines = beside.table({"here": tmp_path}, "a", ["b", "c", "missing"], ["5", "9"]).splitlines()[2:]
    assert len(lines) == 2
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    # Draws 0 and 2 are shared with b: means 75 and 25 beside 25 and 0; two draws have no interval.
    assert cells[0] == ["here", "5", "50.0", "b", "+37.5", "–", "2"]
    assert cells[1][:4] == ["here", "5", "50.0", "c"]
    assert cells[1][4].startswith("+0.0 [")
    assert cells[1][5:] == ["1.00", "3"]


def test_draws_of_a_fold_are_judged_on_its_rows(tmp_path: Path) -> None:
    """Two folds, of two rows and of three: those of draws 0, 2 and of 1, 3."""
    import beside

    put(tmp_path, "a", {"0": [1, 1], "1": [1, 0, 1], "2": [1, 0], "3": [0, 1, 1]})
    put(tmp_path, "b", {"0": [0, 1], "1": [1, 0, 0], "2": [0, 0], "3": [0, 0, 1]})
    (line,) = beside.table({"here": tmp_path}, "a", ["b"], ["5"], 2).splitlines()[2:]
    nan = np.nan
    rows = [[1, 0, nan, nan, nan], [nan, nan, 0, 0, 1], [1, 0, nan, nan, nan], [nan, nan, 0, 1, 0]]
    wanted = crossed(np.array(rows), -1.0)
    assert wanted.ci95 is not None
    ends = ", ".join(f"{100 * end:.1f}" for end in wanted.ci95)
    assert f"| {100 * wanted.mean:+.1f} [{ends}] |" in line


@pytest.mark.parametrize(("study", "labelled"), [("gtl_real", (5, 20)), ("gtl_unlabelled", (1, 2, 5))])
def test_the_rate_of_every_row_is_the_best_on_the_target_that_tunes(
    study: str, labelled: tuple[int, ...], tmp_path: Path
) -> None:
    from tuned_rates import best

    tried, few = import_module(study).RATES, [str(k) for k in labelled]
    rows = [
        {
            "method": f"{base}-{rate}",
            "labelled": k,
            "draws": 2,
            "score": 50.0 + (rate == rates[i % 4]) * (k == labelled[-1]),
        }
        for i, (base, rates) in enumerate(tried.items())
        for rate in rates
        for k in labelled
    ]
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"rows": rows}))
    assert best(report, tried, few) == {
        base: (rates[i % 4],) for i, (base, rates) in enumerate(tried.items())
    }
    rows[3]["draws"] = 0
    report.write_text(json.dumps({"rows": rows}))
    with pytest.raises(MetatlError, match=rf"no score of {rows[3]['method']} yet"):
        best(report, tried, few)

"""scripts/parameter_transfer*.py: splits of classes, sources of one size, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from metatl.transferring.backbone import backbone
from metatl.transferring.rows import rows

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
NAMES = [f"class-{i}" for i in range(10)]


@pytest.fixture(autouse=True)
def _helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


def test_every_class_is_a_target_once_and_never_its_own_source() -> None:
    import parameter_transfer_sources as sources

    found = [sources.split(place, NAMES) for place in range(sources.SPLITS)]
    assert sorted(name for target, _ in found for name in target) == NAMES
    assert all(sorted(target + source) == NAMES for target, source in found)
    assert len({tuple(source) for _, source in found}) == sources.SPLITS


def test_sources_hold_as_many_pictures_and_none_that_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cifar
    import parameter_transfer_sources as sources

    y = np.repeat(np.arange(10), 20)
    x = np.zeros((len(y), 32, 32, 3), np.uint8)
    x[:, 0, 0, 0], x[:, 0, 0, 1] = np.arange(len(y)), y
    monkeypatch.setattr(cifar, "held", lambda: (x, y, np.arange(len(y)) % 20 >= 18, NAMES))
    monkeypatch.setattr(sources, "PICTURES", 32)
    monkeypatch.setattr(sources, "EACH", 4)
    monkeypatch.setattr(sources, "JUDGED", 5)
    named = sources.split(0, NAMES)
    held = dict[int, set[int]]()
    for classes in sources.CLASSES:
        with np.load(sources.source(tmp_path, named, classes)) as file:
            own = np.isin(file["y"], named[0])
            assert sorted({*file["y"][~own]}) == sorted(named[1][:classes])
            assert np.unique(file["y"][~own], return_counts=True)[1].tolist() == [32 // classes] * classes
            assert own.sum() == 8
            assert [NAMES[i] for i in file["x"][:, 0, 0, 1]] == file["y"].tolist()
            held[classes] = {*file["x"][:, 0, 0, 0].tolist()}
    folder = sources.target(tmp_path / "target", named)
    judging = {int(file.stem) for file in (folder / "test").rglob("*.png")}
    learned = {int(file.stem) for file in (folder / "train").rglob("*.png")}
    places = [i for i in range(len(y)) if NAMES[y[i]] in named[0]]  # written by their order among these
    assert len(judging) == 10
    assert len(learned) == 8
    assert judging | learned <= set(range(len(places)))
    assert not judging & learned


def report(scores: dict[str, list[float]], draws: int = 5) -> dict[str, Any]:
    """Of one row at two numbers of labels, the second one 2 points above the first."""
    rows = [
        {
            "split": i,
            "source": source,
            "method": "row",
            "labelled": k,
            "draws": draws,
            "score": value + 2 * (k > 1),
        }
        for source, own in scores.items()
        for i, value in enumerate(own)
        for k in (1, 5)
    ]
    splits = [{"split": i} for i in range(len(next(iter(scores.values()))))]
    return {"draws": 5, "rows": rows, "splits": splits, "steps": 1, "pictures": 1, "judging": 1}


LEAST, LESS, MOST = [60.0, 70.0, 64.0, 71.0], [64.9, 74.2, 67.7, 76.4], [65.0, 74.0, 68.0, 76.0]


def test_differences_are_paired_and_corrected() -> None:
    import parameter_transfer_diverse as diverse

    given = report({"2": LEAST, "4": LESS, "8": MOST, "random": [50.0, 52.0, 51.0, 49.0]})
    found = {(row["one"], row["other"]): row for row in diverse.compared(diverse.scores(given))}
    raw = {pair: row["found"].p for pair, row in found.items()}
    assert [*found] == [("2", "8"), ("4", "8"), ("8", "random")]
    assert raw["2", "8"] == pytest.approx(ttest_rel(LEAST, MOST).pvalue)
    order = sorted(raw, key=lambda pair: raw[pair])
    for place, pair in enumerate(order):
        before = found[order[place - 1]]["p"] if place else 0.0
        assert found[pair]["p"] == pytest.approx(max(before, min(1.0, (3 - place) * raw[pair])))
    said = diverse.plainly(given)
    assert said.startswith("- row: from 2 classes instead of 8, -4.5 ±")
    assert said.endswith(": worse.\n")
    assert "| row | 4 minus 8 | +0.1 ± 0.5 |" in diverse.table(given)
    assert diverse.verdict(found["4", "8"]["found"], found["4", "8"]["p"]) == "not told apart"


def test_a_split_whose_draws_are_missing_is_left_out_and_named() -> None:
    import parameter_transfer_diverse as diverse

    given = report({"2": LEAST, "8": MOST})
    given["rows"][0]["draws"] = 3  # of 2 classes, split 0, 1 label
    found = diverse.scores(given)
    assert found["row", 1]["8"].tolist() == MOST[1:]
    assert found["row", 5]["8"].tolist() == [value + 2 for value in MOST]
    assert "row at 1 (3 of 4 splits are whole)" in diverse.table(given)
    assert diverse.compared(found) == []


def test_a_split_has_the_rate_that_is_best_on_the_other_splits() -> None:
    import parameter_transfer_sources as sources

    rates = sources.RATES["lp-ft"]
    best = {0: 1, 1: 2, 2: 2}  # of each split alone, by 9 points; of the other two together rates 2, 1 and 1
    rows = [
        {
            "method": f"lp-ft-{rate}",
            "source": source,
            "split": place,
            "labelled": k,
            "score": 50.0 + 9 * (i == best[place]) + (i == 1) * (place > 0),
        }
        for source in ("2", "random")
        for place in best
        for i, rate in enumerate(rates)
        for k in sources.LABELLED
    ]
    head = {"method": sources.HEADS[0], "source": "2", "split": 0, "labelled": 1, "score": 1.0}
    found = sources.tuned([head, *rows])
    assert found[0] == head
    chosen = {(row["source"], row["split"]): row["rate"] for row in found[1:]}
    assert {row["method"] for row in found[1:]} == {"lp-ft-tuned"}
    wanted = {0: rates[2], 1: rates[1], 2: rates[1]}
    assert chosen == {(s, place): f"lp-ft-{rate}" for s in ("2", "random") for place, rate in wanted.items()}
    assert all(row["score"] == (51.0 if row["split"] else 50.0) for row in found[1:])
    rows[-1]["score"] = None
    left = {(row["source"], row["split"]) for row in sources.tuned(rows)}
    assert left == {("2", 0), ("2", 1), ("2", 2), ("random", 2)}
    assert sources.tuned([row for row in rows if row["split"] == 0]) == []  # no other split


def test_rows_are_those_that_need_nothing_beside_labels_and_net(monkeypatch: pytest.MonkeyPatch) -> None:
    import parameter_transfer_methods as methods

    serve, lack = ["logistic-regression", "lp-ft"], ["ia3"]
    others = ["gtl", "ewc", "coral", "distillation", "zero-shot", "extra-trees"]
    monkeypatch.setattr(methods, "rows", lambda: rows([*serve, *lack, *others]))  # reading all takes a while
    assert methods.serving(backbone("Conv4", 28), 2) == (serve, lack)


def test_a_row_at_its_defaults_chooses_nothing_and_is_the_row(tmp_path: Path) -> None:
    import parameter_transfer_methods as methods

    made = methods.at_defaults(tmp_path, ["lp-ft"])
    row = next(row for name, row in rows(["ridge", made["lp-ft"]]).items() if name != "ridge")
    assert row.select is None
    assert row == replace(methods.known(f"lp-ft{methods.DEFAULTS}"), select=None)


def test_a_row_at_the_best_rate_has_it_and_chooses_nothing(tmp_path: Path) -> None:
    import parameter_transfer_methods as methods
    import tuned_rates

    tried = tuned_rates.of_rows(["ridge", "lp-ft", "gtl"])
    assert tried["lp-ft"] == ("3.3e-05", "1.0e-04", "3.0e-04")
    assert "ridge" not in tried  # its output layer alone moves
    every = tuned_rates.configs(tmp_path, {"lp-ft": tried["lp-ft"]})
    assert [Path(file).name for file in every] == [f"lp-ft-{rate}.yaml" for rate in tried["lp-ft"]]
    (file,) = tuned_rates.configs(tmp_path, {"lp-ft": ("3.0e-04",)})
    (row,) = rows([file]).values()
    assert Path(file).stem == "lp-ft-tuned"
    assert row.select is None
    assert row == replace(
        methods.known("lp-ft-tuned"), select=None, adaptation=row.adaptation, about=row.about
    )
    assert (
        replace(row.adaptation, rule=replace(row.adaptation.rule, lr=0.0001))
        == methods.known("lp-ft").adaptation
    )


def test_chosen_rates_are_told_with_a_star_at_the_ends() -> None:
    from tuned_rates import told

    said = told({"a": ("1", "2", "3"), "b": ("4", "5")}, {"here": {"a": ("2",), "b": ("4",)}}, "there")
    assert said == "Rates, chosen on there (*: an end of what is tried): here: a 2, b 4*."


def test_the_best_row_is_that_of_the_largest_paired_difference() -> None:
    import parameter_transfer_page as page

    def row(method: str, score: float, difference: float | None, p: float | None) -> dict[str, Any]:
        ends = None if difference is None else [difference - 1, difference + 1]
        return {
            "method": method,
            "labelled": 5,
            "draws": 3,
            "score": score,
            "ci95": [score - 1, score + 1],
            "difference": difference,
            "difference_ci95": ends,
            "p": p,
        }

    rows = [row("logistic-regression", 80.0, None, None), row("a", 79.0, 3.0, 0.01)]
    rows += [row("b", 81.0, 1.0, 0.2), row("c", 70.0, -9.0, 0.001)]
    given = {"protocol": {"labelled": [5], "missing": [{"method": "d"}]}, "rows": rows}
    (line,) = page.best("data", given)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[2:4] == ["4 of 5", "a"]
    assert cells[5:] == ["+3.0 [2.0, 4.0]", "0.010", "a", "1"]
    rows[1]["ci95"] = None  # fewer than three draws
    (line,) = page.best("data", given)
    assert "| b |" in line
    assert "| none | 1 |" in line

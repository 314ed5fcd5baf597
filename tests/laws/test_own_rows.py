"""Rows of one's own: a config at a path stands among the others, and belongs to what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import metatl
from metatl.transferring.rows import digest, rows
from metatl.types import MetatlError

OWN = """
base: nearest-centroid
about: "centroids, twice as sure"
"""
RIDGE = """
base: ridge
select:
  solver.l2: [1.0, 2.0]
"""


def written(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_config_is_a_row_by_the_name_of_its_file(tmp_path: Path) -> None:
    found = rows(["ridge", written(tmp_path, "mine.yaml", OWN)])
    assert set(found) == {"ridge", "mine"}
    assert found["mine"].about == "centroids, twice as sure"
    assert found["mine"].adaptation == rows(["nearest-centroid"])["nearest-centroid"].adaptation


def test_what_it_stands_on_may_be_a_file_beside_it(tmp_path: Path) -> None:
    written(tmp_path, "mine.yaml", OWN)
    other = written(tmp_path, "other.yaml", "base: mine.yaml\nfamily: features\n")
    assert rows([other])["other"].about == "centroids, twice as sure"


def test_a_changed_config_is_another_study(tmp_path: Path) -> None:
    path = written(tmp_path, "mine.yaml", OWN)
    before = digest([path])
    written(tmp_path, "mine.yaml", OWN.replace("twice", "thrice"))
    assert len({digest(), before, digest([path])}) == 3
    assert digest(["ridge"]) == digest()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("ridge.yaml", OWN, "give the file another name"),
        ("mine.yaml", "base: rigde\n", "rigde"),
        ("mine.yaml", "abuot: x\n", "about"),
    ],
)
def test_a_row_that_cannot_be_is_one_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(MetatlError, match=said) as error:
        rows([written(tmp_path, name, text)])
    assert "\n" not in str(error.value)


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(MetatlError, match=r"none\.yaml"):
        rows([str(tmp_path / "none.yaml")])


def test_it_runs_beside_the_others_and_is_fitted_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = (rng.normal(size=(60, 3)) + 2 * y[:, None]).astype(np.float32)
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    path = written(tmp_path, "wide.yaml", RIDGE)
    found = metatl.transfer(
        tmp_path / "rows.npz",
        methods=["logistic-regression", path],
        words=metatl.Words(target="y"),
        labelled="5",
        draws=2,
        out=tmp_path / "out",
    )
    named = {row["method"]: row for row in found.report["rows"]}
    assert set(named) == {"logistic-regression", "wide"}
    assert set(named["wide"]["selected"]["values"]["solver.l2"]) <= {"1.0", "2.0"}


def test_the_saved_model_has_the_values_of_its_cell(tmp_path: Path) -> None:
    from metatl.transferring.choose import again

    row = rows([written(tmp_path, "wide.yaml", RIDGE)])["wide"]
    found = again(row, {"solver.l2": 2.0}, "cv")
    assert found is not None
    assert found.selected == {"solver.l2": 2.0}
    assert again(row, {"solver.l2": 3.0}, "cv") is None


def test_values_may_be_tried_for_some_kinds_of_targets_alone(tmp_path: Path) -> None:
    text = "base: ridge\nselect:\n  solver.l2: {real: [1.0, 2.0]}\n"
    row = rows([written(tmp_path, "mine.yaml", text)])["mine"]
    assert row.of("real").grid == {"solver.l2": [1.0, 2.0]}
    assert row.of("classes").grid == {}
    assert row.of("classes").select is None
    ridge = rows(["ridge"])["ridge"]
    assert ridge.of("real") is ridge
    for wrong in (text.replace("real", "reel"), "base: ridge\nby: {reel: MSE}\n"):
        with pytest.raises(MetatlError, match="'reel' is no kind of targets"):
            rows([written(tmp_path, f"{len(wrong)}.yaml", wrong)])


@pytest.mark.parametrize(("real", "tried"), [(False, True), (True, False)])
def test_a_gaussian_process_takes_the_noise_of_real_values_by_evidence(
    tmp_path: Path, real: bool, tried: bool
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    y = x[:, 0] + 0.1 * rng.normal(size=60)
    np.savez(tmp_path / "rows.npz", x=x, y=y if real else (y > 0).astype(int))
    found = metatl.transfer(
        tmp_path / "rows.npz",
        methods=["gaussian-process"],
        words=metatl.Words(target="y"),
        labelled="20",
        draws=2,
        out=tmp_path / "out",
    )
    named = {row["method"]: row for row in found.report["rows"]}["gaussian-process"]
    assert (named["score"] < 0.3) if real else (named["score"] > 0.7)
    assert ("solver.noise" in str(named["selected"])) == tried

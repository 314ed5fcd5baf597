"""report.html: beside every report, made again where it is missing, the same bytes for the same files."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metatl.data import Glyphs, Tasks
from metatl.engines.engine import task
from metatl.evaluation.evaluate import Report
from metatl.lab.benchmark import outcome
from tests.commands import GLYPHS, WAVES, config_of, metatl, only, written
from tests.laws.test_html import Page, harmless

HOSTILE = '<script>alert("x")</script> \x1b[31m\n$a$'


def run(folder: Path, **changed: Any) -> tuple[str, Path]:
    values = config_of("protonet", 4) | {"runs": str(folder / "runs"), "validate_every": 2} | changed
    config = written(folder, values)
    said = metatl("run", config)
    assert said.code == 0, said
    assert "report.html" in said.out
    return config, only(folder / "runs")


def read(folder: Path) -> Page:
    return harmless((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    select = {"steps": [0, 1]}
    adaptation = {"steps": 0, "head": {"class_path": "Zeros"}}
    return run(tmp_path_factory.mktemp("page"), select=select, adaptation=adaptation)


def test_a_run_has_a_page_that_says_what_its_files_say(finished: tuple[str, Path]) -> None:
    _, folder = finished
    page, report = read(folder), json.loads((folder / "report.json").read_text())
    shown = " ".join(text for held in page.texts.values() for text in held)
    for said in (report["facts"]["learned"], report["protocol"]["episodes_hash"], report["sha256"]):
        assert said in shown
    assert page.texts["strong"] == [f"{100 * report['mean']:.2f} ± {100 * report['ci95']:.2f} %"]
    titles = ["Episodes", "Learning", "Predictions", "The surest mistakes"]
    titles += ["What was chosen", "What it belongs to"]
    assert [title for title in page.texts["h2"] if title in titles] == titles
    assert "loss by step." in page.texts["figcaption"]
    assert "accuracy by step; band: 95 % interval over episodes." in page.texts["figcaption"]
    assert report["facts"]["finished"] not in shown


def test_its_surest_mistakes_are_queries_of_the_episodes(finished: tuple[str, Path]) -> None:
    """Drawn again here: every picture is a query of its episode, of the class that it is said to be."""
    _, folder = finished
    told = json.loads((folder / "predicted.json").read_text())
    wrong = [p for p, n, t in zip(told["probability"], told["named"], told["true"], strict=True) if n != t]
    held = told["mistakes"]
    assert [one["probability"] for one in held] == sorted(wrong, reverse=True)
    data, tasks = Glyphs(**GLYPHS["data"]["init_args"]).load(), Tasks(**GLYPHS["evaluation"]["tasks"])
    for one in held:
        query = task(data.draw("meta_test", tasks, 0, one["episode"], 1), 0).query
        names = data.class_names("meta_test", tasks, 0, one["episode"])
        assert {one["named"], one["true"]} <= {*names} <= {*told["classes"]}
        own = [x for x, y in zip(query.x, query.y.tolist(), strict=True) if names[y] == one["true"]]
        seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(one["shown"]["file"]))))[3::7, 3::7]
        assert any(np.abs(seen - np.asarray(data.shown(x)).astype(float)).max() < 40 for x in own)
    pictures = [
        attrs for tag, attrs in read(folder).tags if tag == "img" and "is glyph" in (attrs["alt"] or "")
    ]
    assert len(pictures) == len(held) > 0


def test_it_is_made_again_the_same_where_it_is_missing(finished: tuple[str, Path]) -> None:
    config, folder = finished
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    assert metatl("run", config).code == 0
    assert (folder / "report.html").read_bytes() == before


def test_an_evaluation_beside_it_has_a_page_of_its_own(finished: tuple[str, Path]) -> None:
    _, folder = finished
    assert metatl("evaluate", folder, "--evaluation.episodes", "6").code == 0
    (other,) = (folder / "evaluations").iterdir()
    assert "6 meta_test episodes" in read(other).texts["p"][0]


def test_what_lies_there_and_means_nothing_costs_a_section_or_the_page(finished: tuple[str, Path]) -> None:
    config, folder = finished
    kept = {
        name: (folder / name).read_bytes() for name in ("predicted.json", "provenance.json", "metrics.jsonl")
    }
    try:
        for name, nonsense in (
            ("predicted.json", "[1, 2"), ("metrics.jsonl", '{"step": 1}\n[]\n{'), ("provenance.json", "7"),
        ):  # fmt: skip
            (folder / name).write_text(nonsense)
        (folder / "report.html").unlink()
        assert metatl("run", config).code == 0
        assert "Predictions" not in read(folder).texts["h2"]
        told = json.loads(kept["predicted.json"])
        (folder / "report.html").unlink()
        for nonsense in ({"named": [99, "x"]}, {"mistakes": [{"shown": {"file": "?"}}]}, {"mistakes": 7}):
            (folder / "predicted.json").write_text(json.dumps({**told, **nonsense}))
            said = metatl("run", config)
            assert said.code == 0
            assert not (folder / "report.html").exists()
            assert "no report.html in" in " ".join(said.lines)
    finally:
        for name, content in kept.items():
            (folder / name).write_bytes(content)


def test_a_regression_has_neither_calibration_nor_percent(tmp_path: Path) -> None:
    learner = {
        "class_path": "Episodic",
        "init_args": {"steps": 2, "meta_batch": 2, "tasks": {"shot": 4, "query": 4}},
    }
    config = written(tmp_path, {**WAVES, "name": HOSTILE, "learner": learner, "runs": str(tmp_path / "runs")})
    assert metatl("run", config).code == 0
    page = read(only(tmp_path / "runs"))
    assert "Predictions" not in page.texts["h2"]
    assert "%" not in page.texts["strong"][0]
    assert not (only(tmp_path / "runs") / "predicted.json").exists()


def test_a_benchmark_has_a_page_with_its_table(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random((2, 20))
    protocol = dict(
        data=HOSTILE, split="meta_test", way=3, shot=1, query=2, seed=0, episodes=20, episodes_hash="abc",
        score="accuracy", moments="none", steps=1, transductive=False,
    )  # fmt: skip
    facts: dict[str, Any] = {"trainable": 7, "ms_per_task": 1.0, "selected": {"lr": 2.0}, "diverged": [3]}
    facts["selection"] = [{"values": {"lr": lr}, "meta_val": 0.5} for lr in (1.0, 2.0)]
    reports = [Report(name, own, protocol, facts) for name, own in zip((HOSTILE, "b"), scores, strict=True)]
    outcome(reports, tmp_path, "b", None)
    page, before = read(tmp_path), (tmp_path / "report.html").read_bytes()
    assert [cell for cell in page.texts["td"] if "script" in cell]
    assert len([one for one in page.texts["li"] if "wider `select`" in one or "diverged and" in one]) == 4
    outcome(reports, tmp_path, "b", None)
    assert (tmp_path / "report.html").read_bytes() == before


def test_shared_classes_have_a_confusion_with_their_names(tmp_path: Path) -> None:
    rng, names = np.random.default_rng(0), np.array(["ant", "bee", "<fly>"])
    people = np.repeat([f"p{i}" for i in range(6)], 12)
    y = names[np.tile(np.arange(3), 24)]
    np.savez(tmp_path / "a.npz", x=rng.normal(size=(72, 4)).astype(np.float32), y=y, group=people)
    data = {"class_path": "GroupArrays", "init_args": {"path": str(tmp_path / "a.npz")}}
    values = {"data": data, "model": {"class_path": "MLP"}, "learner": {"class_path": "Keep"}}
    values |= {"adaptation": {"steps": 1, "head": {"class_path": "Zeros"}}, "name": "a"}
    values |= {
        "evaluation": {"tasks": {"shot": 1, "query": 1}, "episodes": 4},
        "runs": str(tmp_path / "runs"),
    }
    assert metatl("run", written(tmp_path, values)).code == 0
    heads = read(only(tmp_path / "runs")).texts["th"]
    assert sorted(heads[1:4]) == sorted(names)
    said = json.loads((only(tmp_path / "runs") / "predicted.json").read_text())
    assert len(said["true"]) == len(said["named"]) == len(said["probability"]) == 3
    assert set(said["true"]) == {0, 1, 2}


@pytest.mark.parametrize(("score", "said"), [("balanced accuracy", " %"), ("log loss", "")])
def test_another_score_is_told_in_its_unit(tmp_path: Path, score: str, said: str) -> None:
    evaluation = {**GLYPHS["evaluation"], "score": score}
    _, folder = run(tmp_path, evaluation=evaluation)
    page, report = read(folder), json.loads((folder / "report.json").read_text())
    factor, places = (100, 2) if said else (1, 4)
    assert page.texts["strong"][0].startswith(f"{factor * report['mean']:.{places}f} ±")
    assert page.texts["strong"][0].endswith(said or page.texts["strong"][0][-1])
    assert f"{score} by step; band: 95 % interval over episodes." in page.texts["figcaption"]

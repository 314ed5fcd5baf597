"""Fits that leave the finite numbers: counted in the table, never chosen or saved, never a first label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metatl import Classifier, MetatlError
from metatl.lab import store
from metatl.lab.experiment import with_value
from metatl.lab.store.tensors import read_tensors, write_tensors
from metatl.transferring import one_way
from metatl.transferring import transfer as transferring
from metatl.transferring.backbone import Backbone, backbone
from metatl.transferring.choose import chosen, surely
from metatl.transferring.features import forward
from metatl.transferring.fit import DivergedError, Labelled
from metatl.transferring.held_out import held_out
from metatl.transferring.judging import NO_CLASS, judge
from metatl.transferring.model import WEIGHTS
from metatl.transferring.open_model import open_model
from metatl.transferring.rows import REFERENCES, Row, rows
from metatl.transferring.schedule import BodySchedule
from tests.commands import metatl, refused
from tests.photos import COLOURS, drawn

NET, SIZE = "Conv4", 20
SHORT = BodySchedule(passes=2, most=12, least=2, batch=4)
ASKED = ("--net", NET, "--size", str(SIZE), "--labelled", "2,all", "--draws", "3")


pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")


@pytest.fixture(scope="module")
def net() -> Backbone:
    return backbone(NET, SIZE)


def labelled(net: Backbone) -> Labelled:
    x = torch.randn(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    y = torch.arange(6) % 2
    x[y == 1, 0] += 1
    return Labelled(forward(net.body(), x), y, lambda: x, 2)


def far(name: str = "fine-tuning", *tried: float) -> Row:
    """A row whose rate is beyond all numbers, or that tries these."""
    row = replace(rows()[name], schedule=SHORT)
    adaptation = with_value(row.adaptation, "rule.lr", 1e38)
    return replace(row, adaptation=adaptation, select={"rule.lr": list(tried)} if tried else None)


def patched(patch: pytest.MonkeyPatch, module: Any, **others: Row) -> None:
    real: Callable[..., dict[str, Row]] = rows
    patch.setattr(module, "rows", lambda names=None: {**real(names), **others})


def test_an_output_that_is_no_number_names_no_class() -> None:
    outputs = torch.tensor([[1.0, 2], [torch.nan, 0], [0, torch.inf], [3, 1]])
    assert judge(outputs, torch.zeros(4, dtype=torch.int64)).predicted == [1, NO_CLASS, NO_CLASS, 0]


def test_cross_validation_never_chooses_what_diverges(net: Backbone) -> None:
    own, folds = labelled(net), np.arange(6) % 3
    assert np.isnan(held_out(far(), net, [(own, folds)])).all()
    assert chosen(far("fine-tuning", 1e38, 1e-4), net, [own])[0].selected == {"rule.lr": 1e-4}
    with pytest.raises(DivergedError, match="every value"):
        surely(chosen(far("fine-tuning", 1e38, 1e37), net, [own])[0])


def test_the_table_counts_and_the_choice_leaves_out(photos: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patched(patch, transferring, **{"fine-tuning": far()})
        said = metatl("transfer", photos, *ASKED, "--methods", "fine-tuning,ridge", "--out", tmp_path / "o")
    assert said.code == 0, said
    found = store.read_json(tmp_path / "o" / "report.json")
    at = {(row["method"], row["labelled"]): row for row in found["rows"]}
    assert (at["fine-tuning", 2]["score"], at["fine-tuning", 2]["diverged"]) == (0.0, 3 * 10)
    assert at["fine-tuning", 2]["selected"]["how"] == ["diverged"]
    assert (at["ridge", 2]["diverged"], at["ridge", "all"]["diverged"]) == (0, 0)
    assert found["protocol"]["saved"]["method"] != "fine-tuning"
    assert "not in the choice, as they diverge: fine-tuning" in found["protocol"]["saved"]["how"]
    for text in (said.out, (tmp_path / "o" / "table.md").read_text()):
        assert "30 diverged" in text


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("photos") / "squares")


def test_where_every_row_diverges_no_model_is_saved(photos: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patched(patch, transferring, **{"fine-tuning": far(), REFERENCES[0]: far()})
        line = refused("transfer", photos, *ASKED, "--methods", "fine-tuning", "--out", tmp_path / "o")
    assert "every row diverges in cross-validation: logistic-regression, fine-tuning" in line
    assert not (tmp_path / "o" / "model").exists()


def pictures() -> list[Image.Image]:
    noise = np.random.default_rng(0).integers(0, 40, (8, SIZE, SIZE, 3))
    return [
        Image.fromarray((p + np.array(tuple(COLOURS.values())[i % 2]) // 2).astype(np.uint8))
        for i, p in enumerate(noise)
    ]


def test_a_classifier_says_no_first_label(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patched(patch, one_way, **{"fine-tuning": far()})
        with pytest.raises(MetatlError, match="left the finite numbers"):
            Classifier(NET, "fine-tuning", SIZE).fit(pictures(), ["a", "b"] * 4)
    made = Classifier(NET, "ridge", SIZE).fit(pictures(), ["a", "b"] * 4)
    made.save(tmp_path / "good")
    made.model.module.readout.get_buffer("fitted_0").fill_(torch.inf)
    with pytest.raises(MetatlError, match=r"not finite for 8 of 8 photos \(first: photo 0\)"):
        made.predict(pictures())
    made.save(tmp_path / "far")
    pictures()[0].save(tmp_path / "one.png")
    found = metatl("predict", tmp_path / "far", tmp_path / "one.png")
    assert found.code == 2
    assert "one.png: the prediction is not finite, so that it says nothing" in found.lines[0]
    assert metatl("predict", tmp_path / "good", tmp_path / "one.png").code == 0


def test_a_model_of_nan_is_not_opened(tmp_path: Path) -> None:
    Classifier(NET, "ridge", SIZE).fit(pictures(), ["a", "b"] * 4).save(tmp_path)
    tensors, meta = read_tensors(tmp_path / WEIGHTS, "model")
    name = next(name for name in tensors if name.startswith("body"))
    tensors[name] = tensors[name] * torch.nan
    meta = {key: value for key, value in meta.items() if key not in ("format", "version", "sha256")}
    write_tensors(tmp_path / WEIGHTS, "model", tensors, meta)
    with pytest.raises(MetatlError, match=f"'{name}' holds NaN"):
        open_model(tmp_path)

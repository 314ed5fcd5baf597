"""Rows of a transfer that add weights: where they apply, what they save, and that it opens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from metatl import MetatlError
from metatl.additions import attached
from metatl.data.photos import photo_examples
from metatl.lab import store
from metatl.norm import Rows, moments_from
from metatl.pretrained import vision
from metatl.transferring.applicable import applicable
from metatl.transferring.backbone import Backbone, backbone
from metatl.transferring.features import forward
from metatl.transferring.fit import Labelled, fit, started
from metatl.transferring.listing import listing
from metatl.transferring.open_model import open_model
from metatl.transferring.problem import read_problem
from metatl.transferring.rows import rows
from metatl.transferring.schedule import BodySchedule
from tests.photos import drawn, photo_model

LOW = ("lora", "rslora", "dora")
PLACES = [("MLP", 8, LOW), ("Conv4", 20, ("series-adapters", "parallel-adapters"))]
if vision.has("timm"):
    PLACES.append(("timm:vit_tiny_patch16_224", 32, ("ia3", "adapters")))
EACH = [(net, size, name) for net, size, names in PLACES for name in names]
ADDED = {"lora", "rslora", "dora", "ia3", "adapters", "series-adapters", "parallel-adapters"}


def labelled(net: Backbone, size: int) -> tuple[Labelled, Tensor]:
    x = torch.randn(6, 3, size, size, generator=torch.Generator().manual_seed(1))
    return Labelled(forward(net.body(), x), torch.arange(6) % 2, lambda: x, 2), x


@pytest.mark.parametrize(("of", "size", "name"), EACH)
def test_a_row_starts_as_the_net_moves_it_and_opens_from_files(
    of: str, size: int, name: str, tmp_path: Path
) -> None:
    net = backbone(of, size)
    row = replace(rows()[name], schedule=BodySchedule(passes=2, most=12, least=2, batch=6))
    given, x = labelled(net, size)
    through, carried = started(row, net, net.module, 2)
    with moments_from(Rows(frozen=True)):
        torch.testing.assert_close(
            through.features(carried.params, carried.buffers, x), given.features, rtol=1e-4, atol=1e-4
        )
    model = fit(row, net, given)
    assert model.body is not None
    made = photo_model(net, model, ("a", "b"), {"method": name})
    with torch.no_grad():
        moved = (forward(model.body, x) - given.features).abs().max()
        assert float(moved) > 1e-6
        made.save(tmp_path / "m")
        assert torch.equal(open_model(tmp_path / "m").module(x), made.module(x))
    values = store.read_json(tmp_path / "m" / "model.json")
    own = {"adapters": "bottleneck", "series-adapters": "series"}.get(name)
    assert {one["kind"] for one in values.get("additions", [])} == ({own} - {None})
    assert bool(attached(model.body)) == bool(own)


def test_a_file_that_names_something_else_runs_nothing(tmp_path: Path) -> None:
    net = backbone("Conv4", 20)
    row = replace(rows()["series-adapters"], schedule=BodySchedule(passes=1, most=6, least=1, batch=6))
    made = photo_model(net, fit(row, net, labelled(net, 20)[0]), ("a", "b"), {"method": "x"})
    made.save(tmp_path)
    values = store.read_json(tmp_path / "model.json")
    good = values["additions"]
    for wrong in ([{"kind": "os.system", "layer": "true"}], [{**good[0], "layer": "nowhere"}], good[:1], 3):
        store.write_json(tmp_path / "model.json", {**values, "additions": wrong})
        with pytest.raises(MetatlError):
            open_model(tmp_path)


def test_every_row_says_what_it_is() -> None:
    told = {one["method"]: one for one in listing()}
    assert told.keys() >= ADDED
    for name in ADDED:
        assert told[name]["about"]
        assert told[name]["formula"]
        assert "arXiv" in told[name]["source"]


def test_rows_without_layers_are_left_out_in_two_lines(tmp_path: Path) -> None:
    net = backbone("Conv4", 20)
    problem = read_problem(photo_examples(drawn(tmp_path / "p", size=32)), net, 0)
    kept, notes = applicable(rows([*ADDED, "ridge"]), (), net, problem)
    assert list(kept) == ["ridge", "parallel-adapters", "series-adapters"]
    assert len(notes) == 2
    assert notes[0].startswith("lora is left out: ")
    assert notes[1] == "Nor has it layers for: rslora, dora, ia3, adapters."

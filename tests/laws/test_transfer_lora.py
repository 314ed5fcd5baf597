"""LoRA as a row of a transfer: what moves, and a saved model with merged weights."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import metatl as package
from metatl import MetatlError
from metatl.data.photos import photo_examples
from metatl.net import Net
from metatl.pretrained import vision
from metatl.transferring.applicable import applicable
from metatl.transferring.backbone import Backbone, backbone
from metatl.transferring.features import forward
from metatl.transferring.fit import Labelled, Model, fit, started
from metatl.transferring.open_model import open_model
from metatl.transferring.problem import read_problem
from metatl.transferring.rows import Row, rows
from metatl.transferring.schedule import BodySchedule
from metatl.transforms import LoRA
from metatl.types import Transfer
from tests.photos import drawn, photo_model

SIZE, OUTPUTS = 8, 2


@pytest.fixture(scope="module")
def net() -> Backbone:
    return backbone("MLP", SIZE)


def row() -> Row:
    return replace(rows()["lora"], schedule=BodySchedule(passes=2, most=12, least=2, batch=4))


def labelled(net: Backbone) -> Labelled:
    x = torch.randn(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    return Labelled(forward(net.body(), x), torch.arange(6) % 2, lambda: x, OUTPUTS)


@pytest.fixture
def adapted(net: Backbone, monkeypatch: pytest.MonkeyPatch) -> tuple[Model, Net, Transfer]:
    """The row's model, with the net and the weights that it was merged from."""
    seen: list[tuple[Net, Transfer]] = []
    real = LoRA.merge

    def merge(self: LoRA, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        seen.append((net, transfer))
        return real(self, net, transfer)

    monkeypatch.setattr(LoRA, "merge", merge)
    model = fit(row(), net, labelled(net))
    return model, *seen[0]


def test_it_starts_as_the_net_itself(net: Backbone) -> None:
    x = labelled(net).rows()
    own = Net.of(net.module, head=net.head)
    given, carried = started(row(), net, net.module, OUTPUTS)
    assert any("lora" in name for name in carried.params)
    expected = own(own.start().params, carried.buffers, x)
    assert torch.equal(given(carried.params, carried.buffers, x), expected)


def test_nothing_moves_but_the_additions_and_the_output_layer(
    net: Backbone, adapted: tuple[Model, Net, Transfer]
) -> None:
    _, given, after = adapted
    _, before = started(row(), net, net.module, OUTPUTS)
    for name, leaf in after.params.items():
        if "lora" in name:
            assert not torch.equal(leaf, before.params[name]), name
        elif not given.is_head(name):
            assert torch.equal(leaf, before.params[name]), name


def test_a_saved_model_holds_merged_weights_and_opens_as_a_plain_net(
    net: Backbone, adapted: tuple[Model, Net, Transfer], tmp_path: Path
) -> None:
    model, given, after = adapted
    x = labelled(net).rows()
    made = photo_model(net, model, ("a", "b"), {"method": "lora"})
    made.save(tmp_path / "m")
    expected = given(after.params, after.buffers, x).detach()
    with torch.no_grad():
        assert torch.allclose(made.module(x), expected, atol=1e-6)
        assert torch.equal(open_model(tmp_path / "m").module(x), made.module(x))
    assert made.module.body.state_dict().keys() == net.body().state_dict().keys()
    torch.save(x, tmp_path / "x.pt")
    words = (
        "import sys, torch; from metatl.transferring.open_model import open_model\n"
        "folder = sys.argv[1]; x = torch.load(folder + '/x.pt')\n"
        "with torch.no_grad(): torch.save(open_model(folder + '/m').module(x), folder + '/y.pt')\n"
    )
    root = Path(package.__file__).parents[1]
    subprocess.run([sys.executable, "-c", words, str(tmp_path)], check=True, cwd=root)
    assert torch.allclose(torch.load(tmp_path / "y.pt"), expected, atol=1e-6)


def test_a_net_without_such_layers_leaves_the_row_out_and_says_so(net: Backbone, tmp_path: Path) -> None:
    found = rows(["lora", "ridge"])
    conv = backbone("Conv4", 20)
    photos = photo_examples(drawn(tmp_path / "p", size=32))
    kept, notes = applicable(found, (), conv, read_problem(photos, conv, 0))
    assert list(kept) == ["ridge"]
    assert len(notes) == 1
    assert notes[0].startswith("lora is left out: ")
    with pytest.raises(MetatlError, match="'lora' has nothing to act on"):
        applicable(found, ("lora",), conv, read_problem(photos, conv, 0))
    assert applicable(found, ("lora",), net, read_problem(photos, net, 0)) == (found, [])


@pytest.mark.skipif(not vision.has("timm"), reason="needs the extra vision")
def test_a_vision_transformer_takes_it() -> None:
    vit = backbone("timm:vit_tiny_patch16_224", 32)
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    given = Labelled(forward(vit.body(), x), torch.arange(4) % 2, lambda: x, OUTPUTS)
    body = fit(row(), vit, given).body
    assert body is not None
    before = dict(vit.module.named_parameters())
    moved = {name for name, leaf in body.named_parameters() if not torch.equal(leaf, before[name])}
    assert "blocks.0.attn.qkv.weight" in moved
    assert all(".attn." in name or ".mlp." in name for name in moved)

"""What is said of layers that additions leave out: by `metatl net`, in a report, and in Python."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import metatl
from metatl import MetatlError, Net
from metatl.lab import store
from metatl.transferring.backbone import backbone
from metatl.transferring.rows import rows
from metatl.transferring.told import told_of_additions
from metatl.transforms import IA3, Adapters, DoRA, FromPeft, LoRA, Quantised, Transform, told, transformed
from metatl.transforms.quantised_linear import QuantisedLinear
from tests.commands import metatl as command
from tests.photos import drawn

CNN = "lora adds weights at 1 of 3 layers: hidden.0; none at convolutions.* (2)"


class Odd(nn.Module):
    """Attention by hand with names of its own, one that has no layers, a table of words and a bare weight."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.norm = nn.Embedding(9, 8), nn.LayerNorm([3, 8])
        self.frage, self.key, self.wert = (nn.Linear(8, 8) for _ in range(3))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.deep = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
        self.bare = nn.Parameter(torch.eye(8))
        self.last = nn.Linear(8, 2)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.norm(self.words(ids))
        x = torch.softmax(self.frage(x) @ self.key(x).mT, -1) @ self.wert(x)
        x = self.attention(x, x, x, need_weights=False)[0]
        return self.last(self.deep(x).mean(1) @ self.bare)


BARE = "attention.in_proj_weight, attention.out_proj"


@pytest.mark.parametrize(
    ("transforms", "said"),
    [
        ([IA3()], f"at 1 of 8 layers: key; none at bare, frage, wert, {BARE}, deep.* (2)"),
        (
            [Adapters(targets="frage|deep")],
            f"at 3 of 8 layers: frage, deep.* (2); none at bare, key, wert, {BARE}",
        ),
        ([LoRA()], f"at 5 of 8 layers: frage, key, wert, deep.* (2); none at bare, {BARE}"),
        (
            [Quantised(), LoRA(targets="deep")],
            f"at 2 of 8 layers: deep.* (2); none at bare, frage, key, wert, {BARE}",
        ),
        ([Quantised()], ""),
    ],
)
def test_every_product_is_named_as_one_with_an_addition_or_without(
    transforms: list[Transform], said: str
) -> None:
    net = Net.of(Odd())
    assert told(transformed(transforms, net, net.start())[0]) == said


def test_nothing_is_said_of_all_layers() -> None:
    net = Net.of(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)))
    assert told(transformed([LoRA()], net, net.start())[0]) == told(net) == ""
    assert told_of_additions(rows(["lora"]), backbone("MLP", 8)) == []


def test_many_names_are_cut() -> None:
    wide = nn.ModuleDict({letter: nn.Linear(2, 2) for letter in "abcdefghijkl"})
    net = Net.of(nn.ModuleDict({"wide": wide, "out": nn.Linear(2, 2)}), "out")
    said = told(transformed([LoRA(targets="a$")], net, net.start())[0])
    assert said.startswith("at 1 of 12 layers: wide.a; none at wide.b,")
    assert said.endswith("wide.i and 3 more")


def test_commands_and_python_say_it(tmp_path: Path) -> None:
    assert told_of_additions(rows(["lora", "rslora", "ridge"]), backbone("CNN", 20)) == [
        CNN.replace("lora adds", "lora, rslora add") + "."
    ]
    assert CNN in command("net", "CNN", "--size", "20", "--method", "lora").out.splitlines()
    photos = drawn(tmp_path / "p", {"train": 2, "val": 2})
    words = ("--net", "CNN", "--size", "20", "--methods", "lora", "--labelled", "all", "--minutes", "0.02")
    found = command("transfer", photos, *words, "--out", tmp_path / "out")
    assert found.code == 0, found
    assert CNN + "." in found.out.splitlines()
    assert CNN.replace("*", r"\*") in (tmp_path / "out" / "table.md").read_text()
    x = np.random.default_rng(0).integers(0, 255, (8, 20, 20, 3)).astype(np.uint8)
    with pytest.warns(UserWarning, match=CNN.replace("*", r"\*").replace("(2)", r"\(2\)")):
        metatl.Classifier("CNN", "lora", size=20, values={"rule.lr": 1e-3}).fit(x, np.arange(8) % 2)


class Tied(nn.Module):
    """Two layers with one weight, one whose weight is made of others, and one with its own."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.own = (nn.Linear(4, 4) for _ in range(3))
        self.two.weight = self.one.weight
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.one, self.two, self.normed, self.own):
            x = torch.tanh(layer(x))
        return self.last(x)


EVERY = [LoRA(), LoRA(targets="one|own"), DoRA(), IA3(".", "none"), IA3("none", "."), Adapters(targets="o")]


@pytest.mark.parametrize("transform", EVERY)
def test_a_weight_that_is_not_a_layers_alone_has_no_addition(transform: Transform) -> None:
    """Its own would have been lost, or merged into the layers that share it, as another function."""
    torch.manual_seed(0)
    net = Net.of(Tied())
    x = torch.randn(5, 4)
    changed, carried = transform(net, net.start())
    assert [one.layer for one in changed.additions] == ["own"]
    params = {
        name: p + 0.3 * torch.randn_like(p) if name not in changed.frozen else p
        for name, p in carried.params.items()
    }
    merged, whole = transform.merge(changed, replace(carried, params=params))
    torch.testing.assert_close(
        merged(whole.params, whole.buffers, x), changed(params, carried.buffers, x), rtol=1e-4, atol=1e-5
    )


def test_quantising_leaves_such_weights_and_naming_one_alone_is_said(tmp_path: Path) -> None:
    net = Net.of(Tied())
    coded, _ = Quantised()(net, net.start())
    assert [name for name, one in coded.module.named_modules() if isinstance(one, QuantisedLinear)] == ["own"]
    with pytest.raises(
        MetatlError, match=r"linear layers are own.*one, two, normed: the weight is not the la"
    ):
        LoRA(targets="two")(net, net.start())
    plain = Net.of(nn.ModuleDict({name: nn.Linear(4, 4) for name in ("one", "two", "last")}), "last")
    store.save_peft(tmp_path, *transformed([LoRA(targets="two")], plain, plain.start()))
    with pytest.raises(MetatlError, match="the weight of 'two' is not that layer's alone"):
        FromPeft(str(tmp_path))(net, net.start())

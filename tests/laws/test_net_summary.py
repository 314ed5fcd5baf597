"""`metatl net`: weights by layer, what a method moves, what a step holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from metatl import MetatlError, models
from metatl.pretrained import vision
from metatl.transferring.backbone import Backbone
from metatl.transferring.net_command import _Example, subject_of
from metatl.transferring.rows import rows
from metatl.transferring.summary import summary
from tests.commands import metatl, refused

LECTURE = """
model: {class_path: CNN, init_args: {filters: [8, 16], kernels: [3, 5], strides: [1, 2], hidden: 512}}
shape: [3, 32, 32]
outputs: 4
"""
VGG16 = """
model: {class_path: timm.create_model, init_args: {model_name: vgg16}}
shape: [3, 224, 224]
outputs: 2
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "net.yaml"
    path.write_text(text)
    return path


def test_the_lectures_net_has_2_103_156_weights(tmp_path: Path) -> None:
    """224 + 3,216 + 2,097,664 + 2,052; the last slide of lecture 001 has the two dense layers only."""
    path = written(tmp_path, LECTURE)
    found = metatl("net", path)
    assert (found.code, "2,103,156 weights" in found.out) == (0, True), found
    told = json.loads(metatl("net", path, "--json").out)
    assert [one["weights"] for one in told["layers"]] == [224, 3216, 2_097_664, 2052]
    assert [one["shape"] for one in told["layers"]] == [[8, 32, 32], [16, 16, 16], [512], [4]]


def test_vgg16_with_two_outputs_has_134_268_738(tmp_path: Path) -> None:
    """The lecture's 134,268,737 fits no number of outputs. Nothing is allocated: shapes are enough."""
    if not vision.has("timm"):
        pytest.skip("timm is not installed")
    net = subject_of(str(written(tmp_path, VGG16)), shapes=True)
    assert next(net.module.parameters()).is_meta
    assert summary(net).weights == 134_268_738
    assert summary(net, outputs=1).weights == 134_264_641
    assert summary(net, outputs=1000).weights == 138_357_544


def toy() -> Backbone:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).eval()
    return Backbone(module, "4", _Example(torch.zeros(1, 4)), {}, "toy", {"net": "toy"})


@pytest.mark.parametrize(
    ("method", "moved"),
    [
        ("fine-tuning", [30, 35, 12]),
        ("logistic-regression", [0, 0, 12]),
        ("extra-trees", [0, 0, 0]),
        ("bias-only", [6, 5, 12]),
        ("last-block", [0, 35, 12]),
        ("gradual-unfreezing", [30, 35, 12]),
        ("lora", [8 * (4 + 6), 8 * (6 + 5), 12]),
    ],
)
def test_what_a_method_moves(method: str, moved: list[int]) -> None:
    found = summary(toy(), rows()[method], 2)
    assert [one.moved for one in found.layers] == moved
    assert found.moved == sum(moved)
    assert found.weights == sum(one.weights for one in found.layers)
    assert [one.weights for one in summary(toy(), rows()["fine-tuning"], 2).layers] == [30, 35, 12]


@pytest.mark.parametrize(
    "method", ["fine-tuning", "last-block", "bias-only", "layer-wise-rates", "half-transfer"]
)
def test_what_a_net_holds_still_no_method_moves(method: str) -> None:
    net, row = toy(), rows([method])[method]
    freed = summary(net, row, 2).moved
    head = net.module.get_submodule(net.head)
    for leaf in net.module.parameters():
        leaf.requires_grad_(False)
    held = summary(net, row, 2)
    assert held.moved == 2 * (head.in_features + 1) < freed  # pyright: ignore[reportOperatorIssue]
    assert {one.name for one in held.layers if one.moved} == {net.head}


class Aside(nn.Module):
    """With a layer that no pass uses."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.aside = toy().module, nn.Linear(7, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


def test_what_no_pass_uses_does_not_move() -> None:
    net = replace(toy(), module=Aside().eval(), head="body.4")
    for method in ("fine-tuning", "last-block", "bias-only"):
        (aside,) = (one for one in summary(net, rows([method])[method], 2).layers if one.name == "aside")
        assert (aside.weights, aside.moved) == (56, 0)


class Recurrent(nn.Module):
    """Its biases are called `bias_ih_l0_reverse`, say."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.LSTM(4, 6, 2, bidirectional=True), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x.transpose(0, 1))[0][-1])


def test_biases_of_a_recurrent_layer_are_biases() -> None:
    net = Backbone(Recurrent().eval(), "head", _Example(torch.zeros(2, 5, 4)), {}, "", {})
    found = summary(net, rows(["bias-only"])["bias-only"], 2)
    assert [one.moved for one in found.layers] == [2 * 2 * 2 * 24, 2 * 13]


def test_the_memory_of_a_step() -> None:
    """Four bytes a number, Adam's two and a count; of a row its input and two outputs of tanh."""
    found = summary(toy(), rows()["fine-tuning"]).bytes
    assert found == {
        "weights": 4 * 83,
        "gradients": 4 * 83,
        "rule": 2 * 4 * 83 + 4,
        "activations of 16 rows": 16 * 4 * (4 + 6 + 5),
    }
    last = summary(toy(), rows()["last-block"]).bytes
    assert last["activations of 16 rows"] == 16 * 4 * (6 + 5)
    assert summary(toy(), rows()["ridge"]).bytes == {"weights": 4 * 83}


def test_convolutions_of_other_sizes() -> None:
    net = models.CNN((3, 9, 9), 2, (4, 5, 6), 7, (5, 3), (1, 2))
    sizes = [(m.kernel_size[0], m.stride[0]) for m in net.convolutions if isinstance(m, nn.Conv2d)]
    assert sizes == [(5, 1), (3, 2), (3, 2)]
    assert net(torch.zeros(2, 3, 9, 9)).shape == (2, 2)
    with pytest.raises(MetatlError, match="kernels are odd"):
        models.CNN((3, 9, 9), 2, kernels=(4,))


def test_a_config_of_an_experiment_is_its_net(tmp_path: Path) -> None:
    data = "{class_path: Glyphs, init_args: {train_classes: 6, val_classes: 5, test_classes: 5, size: 16}}"
    path = written(
        tmp_path,
        f"name: x\ndata: {data}\nmodel: {{class_path: Conv4, init_args: {{filters: 2}}}}\n"
        "adaptation: {head: {class_path: Zeros}}\n",
    )
    found = metatl("net", path, "--method", "norms-only", "--outputs", "5")
    assert found.code == 0, found
    assert (
        "norms-only moves 31 of them" in found.out
    )  # four norms of two channels, and an output layer 2 -> 5


def test_what_is_no_net_is_one_line(tmp_path: Path) -> None:
    assert "Conv4" in refused("net", "Conv5")
    assert "outputs is 0" in refused("net", "Conv4", "--outputs", "0")
    assert "nearest: fine-tuning" in refused("net", "Conv4", "--method", "fine-tunin")
    assert "size is of nets by name" in refused("net", written(tmp_path, LECTURE), "--size", "3")
    assert "model" in refused("net", written(tmp_path, "shape: [3]\n"))
    small = written(tmp_path, LECTURE.replace("[3, 32, 32]", "[3, 32]"))
    assert "not enough values to unpack" in refused("net", small)
    assert "none.yaml" in refused("net", tmp_path / "none.yaml")
    assert summary(replace(toy(), head="4")).moved == 0

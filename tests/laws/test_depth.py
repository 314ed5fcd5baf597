"""Depth comes from use: the order of first uses in a pass, else a module's own groups, else registration."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metatl import Net, models
from metatl.guides import DepthDecay, LastBlocks, Unfreeze, layers
from metatl.lab import config
from metatl.lab.run import prepare
from metatl.order_of_use import blocks_in_order, weights_in_order
from metatl.pretrained import vision
from metatl.transforms import LoRA, transformed
from metatl.types import MetatlError


class Backwards(nn.Module):
    """Registered in the reverse of use; the first layer is called by its weight alone."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.out, self.norm = nn.Linear(5, outputs), nn.LayerNorm(5)
        self.two, self.one, self.unused = nn.Linear(6, 5), nn.Linear(shape[0], 6), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        assert self.out.weight.shape[1] == 5, "looking at a shape is no use of a weight"
        x = nn.functional.linear(x, self.one.weight, self.one.bias).tanh()
        return self.out(self.norm(self.two(x)))


class Grouped(Backwards):
    """With groups as timm's nets tell them."""

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        return {"stem": r"^one", "blocks": [(r"^two", (0,)), (r"^norm", (99999,))]}


class Called(Backwards):
    """With groups that are a function of the name."""

    def group_matcher(self) -> Any:
        return lambda name: {"one": 0, "two": (1, 0), "norm": (1, 1)}.get(name.split(".")[0], 2)


BY_USE = [["one.weight", "one.bias"], ["two.weight", "two.bias", "norm.weight", "norm.bias"]]


@pytest.mark.parametrize(("made", "example"), [(Backwards, True), (Grouped, False), (Called, False)])
def test_layers_are_in_the_order_of_use(made: type[Backwards], example: bool) -> None:
    net = Net.of(made((4,), 3), "out", torch.zeros(2, 4) if example else None)
    params = {name: leaf for name, leaf in net.start().params.items() if "unused" not in name}
    assert layers(net, params) == [*BY_USE, ["out.weight", "out.bias"]]
    guide = DepthDecay(2.0)(net, replace(net.start(), params=params))
    assert [float(guide[f"{name}.weight"]) for name in ("one", "two", "norm", "out")] == [0.25, 0.5, 0.5, 1.0]
    steps = Unfreeze()(net, replace(net.start(), params=params))
    assert [int(steps[f"{name}.weight"].sum()) for name in ("one", "two", "norm", "out")] == [1, 2, 2, 3]


def test_registration_serves_where_nothing_is_known() -> None:
    net = Net.of(Backwards((4,), 3), "out")
    assert weights_in_order(net, net.start().params)[:2] == ["norm.weight", "norm.bias"]
    assert layers(net, net.start().params)[-1] == ["out.weight", "out.bias"], "the output layer is last"


def test_the_output_layer_is_found_by_use() -> None:
    assert Net.of(Backwards((4,), 3), example=torch.zeros(2, 4)).head == "out"
    assert Net.of(Backwards((4,), 3)).head == "unused", "the last that is registered, without an example"


def test_what_a_transform_adds_belongs_to_its_layer() -> None:
    net = Net.of(Backwards((4,), 3), example=torch.zeros(2, 4))
    net, start = transformed([LoRA(1, targets="^two$")], net, net.start())
    found = next(group for group in layers(net, start.params) if "two.weight" in group)
    assert found[:4] == ["two.weight", "two.bias", "two.lora_A.weight", "two.lora_B.weight"]
    assert len(layers(net, start.params)) == 4


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (models.MLP((4,), 3, (5, 5), norm=True), (4,)),
        (models.CNN((1, 8, 8), 3, (2, 2), 5), (1, 8, 8)),
        (models.Conv4((1, 16, 16), 3, 2), (1, 16, 16)),
        (models.Conv1d((2, 16), 3, 2), (2, 16)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_our_models_are_registered_as_they_are_used(module: nn.Module, shape: tuple[int, ...]) -> None:
    """So guides that were made by registration keep their numbers."""
    net = Net.of(module, example=torch.zeros(2, *shape))
    assert list(net.order) == list(net.start().params)


def test_a_net_of_timm_has_its_own_groups() -> None:
    if not vision.has("timm"):
        pytest.skip("timm is not installed")
    made: Any = vision.timm().create_model("resnet18", num_classes=3)
    names = [name for name, _ in made.named_parameters()]
    grouped, traced = Net.of(made), Net.of(made, example=torch.zeros(2, 3, 32, 32))
    assert (grouped.order, list(traced.order)) == ((), names)
    turned = list(reversed(names))
    assert weights_in_order(grouped, names) == names
    first, last = weights_in_order(grouped, turned)[0], weights_in_order(grouped, turned)[-1]
    assert (first.split(".")[0], last.split(".")[0]) == ("bn1", "fc"), "the stem, and what no group holds"
    assert weights_in_order(traced, turned) == names


def test_a_run_knows_depth_and_head_by_use(tmp_path: Path) -> None:
    values = {
        "name": "a",
        "data": {"class_path": "Sinusoid"},
        "model": {"class_path": f"{__name__}.Backwards"},
        "guide": {"class_path": "DepthDecay", "init_args": {"factor": 2.0}},
    }
    run = prepare(config.parse(values))
    assert run.net.head == "out"
    assert layers(run.net, run.first.params)[0] == ["one.weight", "one.bias"]


def moved(net: Net, blocks: int) -> set[str]:
    """The layers whose guide is 1; all others have 0."""
    guide = LastBlocks(blocks)(net, net.start())
    assert {float(entry) for entry in guide.values()} <= {0.0, 1.0}
    return {name.rpartition(".")[0] for name, entry in guide.items() if float(entry)}


def test_last_blocks_are_counted_from_the_output_layer() -> None:
    net = Net.of(Backwards((4,), 3), example=torch.zeros(2, 4))
    assert moved(net, 0) == {"out"}
    assert moved(net, 1) == {"two", "norm", "out"}, "a norm belongs to what comes before it"
    assert moved(net, 9) == {"one", "unused", "two", "norm", "out"}
    net, start = transformed([LoRA(1, targets="^two$")], net, net.start())
    assert float(LastBlocks()(net, start)["two.lora_A.weight"]) == 1
    with pytest.raises(MetatlError, match="blocks is -1"):
        LastBlocks(-1)


class Auxiliary(nn.Module):
    """A head that only training looks at, registered behind the blocks, as GoogLeNet has them."""

    def __init__(self) -> None:
        super().__init__()
        self.aside, self.low, self.high = nn.Linear(3, 3), nn.Linear(4, 5), nn.Linear(5, 5)
        self.aux, self.out = nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.high(self.low(x).tanh()).tanh())


def test_what_no_pass_uses_is_no_block() -> None:
    net = Net.of(Auxiliary(), example=torch.zeros(2, 4))
    assert {name.partition(".")[0] for name in net.unused} == {"aside", "aux"}
    assert moved(net, 1) == {"high", "aux", "out"}
    assert len(blocks_in_order(net, net.start().params)) == 3
    compiled = nn.Sequential(
        torch.jit.script(nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 5))), nn.Linear(5, 3)
    )
    for module in (Auxiliary().low, compiled):
        assert not {n for n in Net.of(module, example=torch.zeros(2, 4)).unused if not n.startswith("0.")}


@pytest.mark.parametrize(
    ("module", "shape", "last"),
    [
        (models.MLP((4,), 3, (5, 5), norm=True), (4,), {"body.3", "body.4", "head"}),
        (models.Conv4((1, 16, 16), 3, 2), (1, 16, 16), {"blocks.3.0", "blocks.3.1", "head"}),
        (nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Linear(5, 3)), (4,), {"2", "3"}),
    ],
)
def test_a_block_is_what_shares_a_number(module: nn.Module, shape: tuple[int, ...], last: set[str]) -> None:
    assert moved(Net.of(module, example=torch.zeros(2, *shape)), 1) == last


@pytest.mark.parametrize(
    ("name", "last", "count"),
    [
        ("efficientnet_lite0", r"^(blocks\.6|conv_head|bn2|classifier)", 18),
        ("resnet18", r"^(layer4\.1|fc)", 10),
    ],
)
def test_blocks_of_timm_are_its_own(name: str, last: str, count: int) -> None:
    if not vision.has("timm"):
        pytest.skip("timm is not installed")
    net = Net.of(vision.timm().create_model(name, num_classes=3), example=torch.zeros(2, 3, 32, 32))
    params = net.start().params
    guide = LastBlocks()(net, net.start())
    assert {n for n, entry in guide.items() if float(entry)} == {n for n in params if re.match(last, n)}
    found = blocks_in_order(net, params)
    assert len(found) == count
    assert sorted(n for block in found for n in block) == sorted(params)


@pytest.mark.parametrize("side", [8, 16, 28])
def test_the_order_of_use_is_told_by_a_single_row(side: int) -> None:
    """Also where maps of one place give a batch norm a single value a channel."""
    module, x = models.Conv4((1, side, side), 3), torch.rand(5, 1, side, side)
    assert Net.of(module, None, x[:1]).order == Net.of(module, None, x).order != ()


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.c1, self.c2, self.norm = nn.Linear(width, width), nn.Linear(width, width), nn.LayerNorm(width)
        self.shortcut = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.c2(self.c1(x)) + self.shortcut(x))


class _Staged(nn.Module):
    """Stages that are attributes with names, as many write them; wrapped once more where asked."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.place = nn.Linear(4, 6), nn.Parameter(torch.zeros(1, 6))
        self.l1, self.l2, self.fc = _Residual(6), _Residual(6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.l2(self.l1(self.stem(x) + self.place)))


class _Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = _Staged()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


@pytest.mark.parametrize(("made", "front"), [(_Staged, ""), (_Wrapped, "net.")])
def test_stages_with_names_are_blocks_shortcut_and_all(made: type[nn.Module], front: str) -> None:
    net = Net.of(made(), example=torch.zeros(2, 4))
    found = [
        {name.removeprefix(front) for name in block} for block in blocks_in_order(net, net.start().params)
    ]
    assert [{name.split(".")[0] for name in block} for block in found] == [
        {"stem", "place"},
        {"l1"},
        {"l2"},
        {"fc"},
    ]
    assert sum(map(len, found)) == len(net.start().params)


@pytest.mark.parametrize("made", [models.Conv4, models.CNN, models.ResNet12])
def test_own_nets_keep_the_blocks_of_their_numbers(made: type[nn.Module]) -> None:
    """What shares its name up to the first number, in order of use."""
    net = Net.of(made((1, 28, 28), 3), example=torch.zeros(2, 1, 28, 28))  # type: ignore[call-arg]
    params = net.start().params

    def numbered(name: str) -> tuple[str, ...]:
        parts = name.split(".")
        first = next((i for i, part in enumerate(parts) if part.isdigit()), len(parts) - 2)
        return tuple(parts[: first + 1])

    found = [block for block in blocks_in_order(net, params) if not net.is_head(block[0])]
    heavy = [{numbered(name) for name in block if params[name].dim() > 1} for block in found]
    assert all(len(names) == 1 for names in heavy)
    assert len({next(iter(names)) for names in heavy}) == len(found) > 1

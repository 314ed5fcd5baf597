"""The output layer is all weights that it is called with, also of a tied one and of a parametrised one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from metatl import Descent, Net
from metatl.guides import LastBlocks, Norms, TransferGuide
from metatl.guides.guide import Depth, by_depth
from metatl.heads import Prototypes, Ridge, Zeros
from metatl.lab import config
from metatl.lab.run import prepare
from metatl.lab.store import save_peft
from metatl.rules import SGD
from metatl.transforms import DoRA, FromPeft, LoRA
from metatl.types import Batch, MetatlError, Transfer
from tests.commands import config_of

X, Y = torch.randint(0, 5, (6, 3), generator=torch.Generator().manual_seed(0)), torch.arange(6) % 5


class Words(nn.Module):
    """Embedded words, a layer, a norm, and an output layer: tied to the words, or normed by weight."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.deep = nn.Embedding(5, 6), nn.Linear(6, 6)
        self.norm, self.says = nn.LayerNorm(6), nn.Linear(6, 5)
        if tied:
            self.says.weight = self.words.weight
        else:
            weight_norm(self.says)

    def forward(self, x: Tensor) -> Tensor:
        return self.says(self.norm(torch.tanh(self.deep(self.words(x).mean(1)))))


OWN = {
    "tied": {"words.weight", "says.bias"},
    "normed": {"says.bias", *(f"says.parametrizations.weight.original{i}" for i in (0, 1))},
}
each = pytest.mark.parametrize("kind", OWN)


def made(kind: str) -> Net:
    return Net.of(Words(kind == "tied").double(), example=X)


@each
@pytest.mark.parametrize("guide", [LastBlocks(0), Norms()], ids=str)
def test_it_moves_with_all_its_weights_as_torch_moves_them(kind: str, guide: TransferGuide) -> None:
    net = made(kind)
    start = net.start()
    fitted = Descent(SGD(0.3), 3).fit(net, replace(start, guide=guide(net, start)), Batch(X, Y))
    moves = OWN[kind] | ({"norm.weight", "norm.bias"} if isinstance(guide, Norms) else set[str]())
    theirs = Words(kind == "tied").double()
    for name, leaf in theirs.named_parameters():
        leaf.requires_grad_(name in moves)
    rule = torch.optim.SGD([p for p in theirs.parameters() if p.requires_grad], 0.3)
    for _ in range(3):
        rule.zero_grad()
        F.cross_entropy(theirs(X), Y).backward()
        rule.step()
    for name, leaf in theirs.named_parameters():
        torch.testing.assert_close(fitted[name], leaf.detach(), rtol=1e-9, atol=1e-12)
    assert {name for name, leaf in fitted.items() if not torch.equal(leaf, start.params[name])} == moves


@each
@pytest.mark.parametrize("transform", [LoRA(2), DoRA(2)], ids=str)
def test_it_moves_beside_what_is_added(kind: str, transform: LoRA | DoRA) -> None:
    net = made(kind)
    net, start = transform(net, net.start())
    fitted = Descent(SGD(0.3), 3).fit(net, start, Batch(X, Y))
    still = {name for name, leaf in fitted.items() if torch.equal(leaf, start.params[name])}
    assert start.params.keys() - still == OWN[kind] | {n for one in net.additions for n in one.names()}


@each
def test_its_features_and_size_are_known_and_no_task_starts_it_anew(kind: str) -> None:
    net, module = made(kind), Words(kind == "tied").double()
    start = net.start()
    deep = module.norm(torch.tanh(module.deep(module.words(X).mean(1))))
    torch.testing.assert_close(net.features(start.params, {}, X), deep)
    assert net.head_size(start.params, 3) == 3 * 7
    why = {"tied": "shares its weight", "normed": r"makes its weight of others \(weight norm"}[kind]
    for head in (Zeros(), Prototypes(), Ridge()):
        way = Descent(SGD(0.1), 1, head=head)
        refused: list[Callable[[], object]] = [
            lambda way=way: way.fit(net, start, Batch(X, Y)),
            lambda way=way: way.check(net, start, False),
        ]
        for call in refused:
            with pytest.raises(MetatlError, match=f"'says' {why}"):
                call()


@pytest.mark.parametrize("example", [None, torch.zeros(2, 4)], ids=["as registered", "as used"])
def test_depth_counts_a_layer_with_weight_norm_once(example: Tensor | None) -> None:
    """As without it: by layer and by block."""

    def grouped(norm: Callable[[nn.Linear], nn.Module], by: Depth) -> list[set[str]]:
        layers = {name: norm(nn.Linear(4, 4)) for name in ("first", "deep", "says")}
        net = Net.of(nn.Sequential(OrderedDict(layers)), example=example)
        found = by_depth(net, net.start().params, by)
        return [
            {name.replace("parametrizations.", "").split(".original")[0] for name in one} for one in found
        ]

    for by in ("layer", "block"):
        assert grouped(weight_norm, by) == grouped(lambda layer: layer, by)
        assert len(grouped(weight_norm, by)) == 3


def test_a_run_that_cannot_be_evaluated_is_refused_before_it_learns() -> None:
    values = config_of("supervised", 2) | {"model": {"class_path": f"{__name__}.Normed"}}
    with pytest.raises(MetatlError, match="'says' makes its weight of others"):
        prepare(config.parse(values))


class Normed(nn.Module):
    """Rows x [n, *shape] to outputs [n, outputs]."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.says = weight_norm(nn.Linear(torch.Size(shape).numel(), outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.says(self.flat(x))


def test_peft_files_hold_it_or_are_refused(tmp_path: Path) -> None:
    for kind in OWN:
        plain = made(kind)
        net, start = LoRA(2)(plain, plain.start())
        learned = Transfer(Descent(SGD(0.3), 3).fit(net, start, Batch(X, Y)), start.guide)
        if kind == "tied":
            with pytest.raises(
                MetatlError, match=r"'says' shares words\.weight with another layer and moves it"
            ):
                save_peft(tmp_path / kind, net, learned)
            continue
        save_peft(tmp_path / kind, net, learned)
        again, found = FromPeft(str(tmp_path / kind))(plain, plain.start())
        torch.testing.assert_close(again(found.params, {}, X), net(learned.params, {}, X))


def test_a_half_precision_encoder_with_a_faster_eval_mode_is_a_net() -> None:
    """In bfloat16 torch's own path of eval mode rounds otherwise than layers called one by one."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    module = nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(8, 3))
    x = torch.randn(4, 5, 8).bfloat16()
    net = Net.of(module.bfloat16().eval(), example=x)
    start = net.start()
    torch.testing.assert_close(net(start.params, start.buffers, x), module(x), rtol=0.04, atol=0.04)

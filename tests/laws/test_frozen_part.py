"""What no moving weight can change runs once a row: the same weights; the plain way wherever it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional as F

from metatl import Net, models, tree
from metatl.adapt import Descent, rest
from metatl.adapt.parts import Rest
from metatl.guides import ByName, Unfreeze
from metatl.guides.guide import TransferGuide
from metatl.heads import Prototypes, Zeros
from metatl.objectives import KLAnchor, TaskLoss
from metatl.pretrained import vision
from metatl.rules import SGD, Adam
from metatl.transforms import LoRA, transformed
from metatl.types import Batch, Params, Transfer

N, SIZE = 10, 4
WAY = Descent(Adam(1e-2), 7, moments="frozen", batch_size=SIZE)  # 28 rows, so batches wrap around the end


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Rest | None]:
    """What `rest_of` gave, with recording for nothing, however little it saves."""
    seen: list[Rest | None] = []
    real = rest.rest_of

    def watched(*given: Any) -> Rest | None:
        seen.append(real(*given))
        return seen[-1]

    monkeypatch.setattr(rest, "rest_of", watched)
    monkeypatch.setattr(rest, "OPERATION", {"cpu": 0})
    return seen


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Passes are tiny: threads would only wait for each other."""
    torch.set_num_threads(1)


class Convolutions(nn.Module):
    """Torch's own batch norms, a ReLU in place, a long skip from the first block to the last."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.two = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.three = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        early = self.one(x)
        y = self.three(self.two(early))
        y += early
        return self.out(y.mean((2, 3)))


class Words(nn.Module):
    """Two transformer blocks over token ids with a mask, given as a mapping; keeps a table that it makes."""

    table: Tensor | None = None

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True) for _ in "ab")
        self.out = nn.Linear(8, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        if self.table is None:
            self.table = torch.arange(ids.shape[1]).to(self.out.weight).cos().unsqueeze(-1)
        x = self.embed(ids) + self.table
        for block in self.blocks:
            x = block(x, src_key_padding_mask=mask)
        return self.out((x * ~mask.unsqueeze(-1)).mean(1))


class Plain(nn.Module):
    """Three layers, and something between the first and the second; keeps what it is given."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.two, self.three, self.out = (
            nn.Linear(5, 6),
            nn.Linear(6, 6),
            nn.Linear(6, 6),
            nn.Linear(6, 3),
        )
        self.between = between
        self.kept: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.kept.append(x)
        self.hidden = self.two(self.between(self.one(x).tanh()))
        return self.out(self.three(self.hidden.tanh()).tanh())


def rows(*shape: int) -> Batch:
    return Batch(torch.randn(N, *shape, dtype=torch.float64), torch.arange(N) % 3)


def problem(module: nn.Module, guide: TransferGuide, x: Any) -> tuple[Net, Transfer]:
    """The module in float64, its running moments none of the usual ones."""
    for name, buffer in module.double().named_buffers():
        if "running" in name:
            buffer.copy_(0.5 + torch.rand_like(buffer))
    net = Net.of(module, example=tree.at(x, slice(0, 2)))
    start = net.start()
    return net, replace(start, guide=guide(net, start))


def plainly(way: Descent, net: Net, transfer: Transfer, support: Batch) -> Params:
    with torch.no_grad():
        return list(way.trajectory(net, transfer, support, "first_order"))[-1].params


def check(way: Descent, net: Net, transfer: Transfer, support: Batch) -> None:
    expected, got = plainly(way, net, transfer, support), way.fit(net, transfer, support)
    moved = {name for name in expected if not torch.equal(expected[name], transfer.params[name])}
    assert moved
    for name, leaf in expected.items():
        torch.testing.assert_close(got[name], leaf, rtol=0, atol=1e-10)
        assert (name in moved) or torch.equal(got[name], leaf)
    again = way.fit(net, transfer, support)
    assert all(torch.equal(again[name], leaf) for name, leaf in got.items())


def only(pattern: str) -> TransferGuide:
    return ByName(((pattern, 1.0), ("", 0.0)))


WORDS = Batch(
    {"ids": torch.randint(11, (N, 6)), "mask": torch.arange(6) > torch.arange(N).unsqueeze(1) % 4 + 2}
)


def cases() -> dict[str, tuple[nn.Module, str, Batch, int]]:
    """Module, what moves, rows, and how many tensors are kept."""
    return {
        "batch norms": (Convolutions(), "^(three|out)", rows(2, 6, 6), 2),
        "the output layer": (Convolutions(), "^out", rows(2, 6, 6), 1),
        "our own norms": (models.Conv4((1, 16, 16), 3, 4), r"^(blocks\.3|head)", rows(1, 16, 16), 1),
        "a mapping": (Words(), r"^(blocks\.1|out)", WORDS._replace(y=torch.arange(N) % 3), 3),
        "a guide of zeros in the middle": (Plain(torch.relu), "^(two|out)", rows(5), 1),
    }


@pytest.mark.parametrize("name", cases())
def test_the_same_weights(name: str, found: list[Rest | None]) -> None:
    module, pattern, support, kept = cases()[name]
    net, transfer = problem(module, only(pattern), support.x)
    check(WAY, net, transfer, support)
    assert found[0] is not None
    assert [len(part) for part in found[0].rows] == [N] * kept


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("resnet18", r"^(layer4\.1\.(conv2|bn2)|fc)"), ("vit_tiny_patch16_224", r"^(blocks\.11|head)")],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_nets_of_timm(name: str, pattern: str, layout: torch.memory_format, found: list[Rest | None]) -> None:
    if not vision.has("timm"):
        pytest.skip("timm is not installed")
    options = {"img_size": 32} if name.startswith("vit") else {}
    module: Any = vision.timm().create_model(name, num_classes=3, **options)
    support = rows(3, 32, 32)
    support = support._replace(x=support.x.contiguous(memory_format=layout))
    check(replace(WAY, rule=SGD(1e-2), steps=4), *problem(module, only(pattern), support.x), support)
    assert found[0] is not None


@pytest.mark.parametrize(
    "way",
    [
        replace(WAY, head=Zeros(), terms=(KLAnchor(0.5),)),
        replace(WAY, head=Prototypes(), batch_size=None),
        replace(WAY, terms=(TaskLoss(2.0),), rule=SGD(0.1, 0.9), steps=30),
        replace(WAY, batch_size=1, guided="gradient", steps=30),
    ],
)
@pytest.mark.parametrize("outputs", [3, 5])
def test_heads_terms_and_row_weights(way: Descent, outputs: int, found: list[Rest | None]) -> None:
    support = rows(2, 6, 6)._replace(weight=torch.rand(N, dtype=torch.float64))
    net, transfer = problem(Convolutions(), only("^(three|out)"), support.x)
    if way.head.fresh:
        net = net.with_outputs(outputs)
    check(way, net, transfer, support)
    assert found[0] is not None


def test_low_rank_additions_behind(found: list[Rest | None]) -> None:
    support = rows(5)
    net, start = problem(Plain(torch.relu), only(""), support.x)
    net, transfer = transformed([LoRA(2, targets="three")], net, start)
    check(WAY, net, transfer, support)
    assert found[0] is not None
    net, transfer = transformed([LoRA(2)], *problem(Plain(torch.relu), only(""), support.x))
    check(WAY, net, transfer, support)


def test_layers_that_the_steps_never_reach(found: list[Rest | None]) -> None:
    support = rows(5)
    net, transfer = problem(Plain(torch.relu), Unfreeze(3), support.x)
    check(replace(WAY, steps=6), net, transfer, support)
    assert found[0] is not None
    check(replace(WAY, steps=12), net, transfer, support)
    assert found[-1] is None


def _larger(x: Tensor) -> Tensor:
    return x * 2 if bool(x.sum() > 0) else x


@pytest.mark.parametrize(
    "between",
    [
        lambda x: x - x.mean(0),
        lambda x: x + x.roll(1, 0),
        lambda x: x * x.shape[0],
        lambda x: F.dropout(x, 1e-9, training=True),
        _larger,
    ],
    ids=["mean", "roll", "batch size", "draws", "branch"],
)
def test_what_cannot_be_cut_runs_as_it_is(
    between: Callable[[Tensor], Tensor], found: list[Rest | None]
) -> None:
    support = rows(5)
    net, transfer = problem(Plain(between), only("^(two|out)"), support.x)
    check(WAY, net, transfer, support)
    assert found == [None, None]


def test_moments_of_the_batch_are_left_alone(found: list[Rest | None]) -> None:
    support = rows(2, 6, 6)
    net, transfer = problem(Convolutions(), only("^(three|out)"), support.x)
    check(replace(WAY, moments="support"), net, transfer, support)
    assert found == []


def test_passes_do_not_grow_with_the_steps(found: list[Rest | None]) -> None:
    """One to count, one to check; that which is recorded leaves nothing in the module."""
    support = rows(5)
    for steps in (7, 70):
        net, transfer = problem(Plain(torch.relu), only("^(two|out)"), support.x)
        before = len(net.module.kept)  # type: ignore[arg-type]
        replace(WAY, steps=steps).fit(net, transfer, support)
        assert [len(x) for x in net.module.kept][before:] == [1, 2]  # type: ignore[union-attr]
        assert not any(isinstance(x, FakeTensor) for x in net.module.kept)  # type: ignore[union-attr]


def test_only_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    support = rows(2, 6, 6)
    net, transfer = problem(Convolutions(), only("^(three|out)"), support.x)
    moving = WAY.moving(transfer)

    def made(steps: int) -> Rest | None:
        with WAY.support_moments():
            return rest.rest_of(net, transfer, moving, support.x, SIZE, steps)

    assert made(1000) is None, "a small net is quicker than its recording"
    monkeypatch.setattr(rest, "OPERATION", {"cpu": 1})
    assert made(1000) is not None
    assert made(2) is None, "no row is passed twice"
    monkeypatch.setattr(rest, "MOST_BYTES", N * 4 * 36 * 8)
    assert made(1000) is None, "two maps of four channels are twice that"
    monkeypatch.setattr(rest, "MOST_BYTES", 2 * N * 4 * 36 * 8)
    assert made(1000) is not None
    assert rest.rest_of(net, transfer, frozenset(transfer.params), support.x, SIZE, 1000) is None


def test_under_vmap_it_runs_as_it_is(found: list[Rest | None]) -> None:
    x, y = torch.randn(2, N, 5, dtype=torch.float64), torch.arange(N) % 3
    net, transfer = problem(Plain(torch.relu), only("^(two|out)"), x[0])
    both = torch.func.vmap(lambda one: WAY.fit(net, transfer, Batch(one, y)))(x)
    for task in range(2):
        net, _ = problem(Plain(torch.relu), only("^(two|out)"), x[0])
        alone = WAY.fit(net, transfer, Batch(x[task], y))
        torch.testing.assert_close(both["two.weight"][task], alone["two.weight"], rtol=0, atol=1e-10)
    assert [one is None for one in found] == [True, False, False]

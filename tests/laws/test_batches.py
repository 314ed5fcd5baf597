"""Batches are trees with weights: mappings of inputs and targets, rows that count, on every engine."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from metatl import Descent, Net, tree
from metatl.engines import Batched, Loop
from metatl.guides import SupportFisher, TopK
from metatl.heads import Head, Learned, Prototypes, Ridge
from metatl.objectives import KLAnchor, OneHot, TaskLoss
from metatl.objectives.term import Term
from metatl.rules import SGD
from metatl.types import Batch, Episode, MetatlError
from tests.outer import Outer, outer_gradient


def images_net() -> Net:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 3)]
    return Net.of(nn.Sequential(*layers).double())


def rows(n: int) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 1, 4, 4, dtype=torch.float64), torch.arange(n) % 3


def close(one: dict[str, Tensor], two: dict[str, Tensor]) -> None:
    for name, leaf in two.items():
        torch.testing.assert_close(one[name], leaf, rtol=1e-9, atol=1e-11)


TERMS: list[tuple[Term, ...]] = [(TaskLoss(),), (OneHot(),), (KLAnchor(0.4),)]


@pytest.mark.parametrize("head", [Learned(), Prototypes(), Ridge()])
@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("moments", ["batch", "support", "frozen"])
def test_weights_count_rows(head: Head, terms: tuple[Term, ...], moments: str) -> None:
    """A row of weight 0 is a row left out, a row of weight k is k rows; moments of batch norms too."""
    net, (x, y) = images_net(), rows(9)
    start = net.start()
    adaptation = Descent(SGD(0.3), 3, head, terms, moments=moments)  # type: ignore[arg-type]
    times = torch.tensor([1, 0, 2, 3, 1, 1, 1, 2, 1])
    copies = torch.arange(9).repeat_interleave(times)
    weighted = Batch(x, y, times.double())
    close(adaptation(net, start, weighted), adaptation(net, start, Batch(x[copies], y[copies])))
    same = adaptation(net, start, Batch(x, y, torch.ones(9, dtype=torch.float64)))
    close(same, adaptation(net, start, Batch(x, y)))
    fitted, new = adaptation(net, start, weighted), rows(4)[0]
    one = adaptation.predict(net, start, fitted, weighted, new)
    two = adaptation.predict(net, start, fitted, Batch(x[copies], y[copies]), new)
    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", ["empirical", "true"])
def test_weights_count_rows_of_a_fisher_mask(kind: str) -> None:
    net, (x, y) = images_net(), rows(9)
    start = net.start()
    guide = SupportFisher(TopK(0.9), kind)  # type: ignore[arg-type]
    adaptation = Descent(SGD(0.3), 2, moments="frozen", guide_from_support=guide)
    times = torch.tensor([1, 0, 2, 3, 1, 1, 1, 2, 1])
    copies = torch.arange(9).repeat_interleave(times)
    close(
        adaptation(net, start, Batch(x, y, times.double())),
        adaptation(net, start, Batch(x[copies], y[copies])),
    )


@pytest.mark.parametrize("weight", [[1.0, -1.0, 1.0], [0.0, 0.0, 0.0], [1.0, float("nan"), 1.0]])
def test_weights_that_mean_nothing_are_refused(weight: list[float]) -> None:
    net, (x, y) = images_net(), rows(3)
    with pytest.raises(MetatlError, match="weights"):
        Descent()(net, net.start(), Batch(x, y, torch.tensor(weight)))


class Words(nn.Module):
    """Token ids and a mask in, two heads out."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.norm = nn.Embedding(20, 6), nn.LayerNorm(6)
        self.kind, self.size = nn.Linear(6, 3), nn.Linear(6, 2)

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        seen = (self.words(ids) * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        hidden = torch.tanh(self.norm(seen))
        return {"kind": self.kind(hidden), "size": self.size(hidden)}


def sentences(tasks: int, n: int) -> Batch:
    x = {"ids": torch.randint(0, 20, (tasks, n, 5)), "mask": (torch.rand(tasks, n, 5) > 0.2).double()}
    x["mask"][..., 0] = 1.0
    y = {"kind": torch.randint(0, 3, (tasks, n)), "size": torch.randn(tasks, n, 2, dtype=torch.float64)}
    return Batch(x, y, torch.rand(tasks, n, dtype=torch.float64) + 0.1)


@pytest.mark.parametrize("unroll", ["full", "first_order"])
@pytest.mark.parametrize("record", [False, True])
def test_trees_batched_are_the_loop(unroll: str, record: bool) -> None:
    """Mappings in and out, several targets and weights: one outer gradient, that of finite differences."""
    torch.manual_seed(1)
    net = Net.of(Words().double())
    assert net(net.start().params, {}, tree.at(sentences(1, 4).x, 0)).keys() == {"kind", "size"}
    episodes, start = Episode(sentences(3, 6), sentences(3, 4)), net.start()
    adaptation = Descent(SGD(0.4), 2, batch_size=4)
    outer = Outer(unroll)  # type: ignore[arg-type]
    loop, said = outer_gradient(Loop(), net, start, adaptation, episodes, outer)
    for _ in range(2):
        batched, also = outer_gradient(Batched(record=record), net, start, adaptation, episodes, outer)
        close(batched.params, loop.params)
        torch.testing.assert_close(also["query_loss"], said["query_loss"])
    if unroll == "full":
        way = {n: torch.randn_like(p) for n, p in start.params.items()}

        def loss(h: float) -> float:
            at = replace(start, params=tree.add(start.params, tree.scale(way, h)))
            return float(outer_gradient(Loop(), net, at, adaptation, episodes, outer)[1]["query_loss"])

        slope, along = (loss(1e-5) - loss(-1e-5)) / 2e-5, float(tree.flat(loop.params) @ tree.flat(way))
        assert abs(slope - along) < 1e-7 * max(1.0, abs(slope))


def test_a_target_without_an_output_is_named() -> None:
    net = Net.of(Words().double())
    batch = tree.at(sentences(1, 4), 0)
    with pytest.raises(MetatlError, match=r"'weight'.*kind, size"):
        Descent()(net, net.start(), batch._replace(y={"weight": batch.y["size"]}))

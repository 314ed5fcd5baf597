"""Terms that align domains: their formulas by hand, and what they are where there is nothing to align."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.models import MLP
from metatl.net import Net, Pass
from metatl.objectives import (
    CDAN,
    DANN,
    MCC,
    MMD,
    Anchor,
    DeepCORAL,
    Entropy,
    FeatureMatching,
    PseudoLabels,
    Seen,
    Term,
)
from metatl.objectives.deep_coral import covariance
from metatl.objectives.mmd import squared_discrepancy
from metatl.objectives.term import check_layers
from metatl.testing import check_term
from metatl.types import Batch, MetatlError
from tests.toys import rows, toy_net

NOTHING = torch.empty(0)


def randn(*size: int) -> Tensor:
    return torch.randn(*size, dtype=torch.float64)


def over(term: Term, features: tuple[Tensor, Tensor], outputs: Any = None, **more: Any) -> Tensor:
    """A term's value on given features and outputs of both domains."""
    names, outputs = ("source", "target"), outputs or features
    passes = {n: Pass(o, f) for n, f, o in zip(names, features, outputs, strict=True)}
    batches = {n: Batch(NOTHING, None, more.get(f"{n}_weight")) for n in names}
    return term.over({}, Seen(passes, batches, Anchor({}, None), more.get("own", {}), more.get("at", 0.0)))


@pytest.mark.parametrize("term", [DeepCORAL(), DeepCORAL(layer="output"), MCC(), Entropy()], ids=repr)
def test_terms_without_an_adversary_keep_their_laws(term: Term) -> None:
    net = toy_net()
    check_term(term, net, net.start(), rows(6), {"target": rows(5)._replace(y=None)})


@pytest.mark.parametrize(
    "term", [CDAN(hidden=4), MMD(), MMD(layer="output"), PseudoLabels(threshold=0.3)], ids=repr
)
def test_terms_whose_gradient_holds_something_still_keep_the_others(term: Term) -> None:
    net = toy_net()
    check_term(term, net, net.start(), rows(6), {"target": rows(5)._replace(y=None)}, reverses=True)


def test_features_are_matched_pair_by_pair_and_the_source_s_stay_where_they_are() -> None:
    one, other, k = randn(5, 3).requires_grad_(), randn(5, 3).requires_grad_(), torch.arange(1.0, 6).double()
    names = FeatureMatching.streams
    passes = {n: Pass(x, x) for n, x in zip(names, (one, other), strict=True)}
    batches = {n: Batch(NOTHING, None, k if n == names[1] else None) for n in names}
    seen = Seen(passes, batches, Anchor({}, None), {}, 0.0)
    found = FeatureMatching(2.0).over({}, seen)
    apart = [float(k[i] * (other[i] - one[i]).detach().square().sum() / 3) for i in range(5)]
    assert found.item() == pytest.approx(2 * sum(apart) / float(k.sum()))
    found.backward()
    assert one.grad is None
    assert other.grad is not None
    torch.testing.assert_close(other.grad, 4 * k[:, None] * (other - one).detach() / (3 * k.sum()))


@pytest.mark.parametrize("kind", [DANN, CDAN, MMD, DeepCORAL])
def test_terms_look_at_what_goes_into_a_layer(kind: Any) -> None:
    net = Net.of(MLP((4,), 3, (6, 5), "tanh").double())
    start, batches = net.start(), {"source": rows(6), "target": rows(5)._replace(y=None)}
    for term in (kind(layer="body.2"), kind(layer="head")):
        check_term(term, net, start, batches["source"], {"target": batches["target"]}, reverses=True)
    passes = {n: net.passed(start.params, {}, b.x, ["body.2", "head"]) for n, b in batches.items()}
    for given, batch in zip(passes.values(), batches.values(), strict=True):
        first = F.linear(batch.x, start.params["body.0.weight"], start.params["body.0.bias"]).tanh()
        assert torch.equal(given.inputs["body.2"], first)
        assert torch.equal(given.inputs["head"], given.features)
    values: list[Tensor] = []
    for term in (kind(), kind(layer="head"), kind(layer="body.2")):
        own = term.weights(net, start, 3)
        values.append(term.over(start.params, Seen(passes, batches, Anchor({}, None), own, 0.5)))
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


def test_a_layer_that_is_not_there_is_named() -> None:
    net = Net.of(MLP((4,), 3, (6, 5)))
    with pytest.raises(MetatlError, match=r"no linear layer 'body\.3'.*body\.2"):
        check_layers([MMD(layer="body.3")], net, net.start())


def test_coral_is_0_for_equal_covariances_and_its_gradient_is_the_published_one() -> None:
    x = randn(9, 4)
    turned = x @ torch.linalg.qr(randn(4, 4)).Q
    assert float(over(DeepCORAL(), (x, 3.0 - x))) < 1e-25
    assert float(over(DeepCORAL(), (x, turned))) > 1e-3
    torch.testing.assert_close(covariance(x), torch.cov(x.T))
    one, other = x.clone().requires_grad_(), randn(7, 4)
    (found,) = torch.autograd.grad(over(DeepCORAL(2.0), (one, other)), one)
    gap = torch.cov(x.T) - torch.cov(other.T)
    torch.testing.assert_close(found, 2.0 * (x - x.mean(0)) @ gap / (16 * 8))


def by_pairs(x: Tensor, y: Tensor, bandwidths: tuple[float, ...], unbiased: bool) -> float:
    """MMD^2, pair by pair."""
    both = torch.cat([x, y])
    mean = float(torch.cdist(both, both).square().mean())

    def k(a: Tensor, b: Tensor) -> float:
        d = float((a - b).square().sum())
        return sum(torch.exp(torch.tensor(-d / (2 * w * mean))).item() for w in bandwidths) / len(bandwidths)

    def within(rows: Tensor) -> float:
        n = len(rows)
        pairs = [(i, j) for i in range(n) for j in range(n) if i != j or not unbiased]
        return sum(k(rows[i], rows[j]) for i, j in pairs) / len(pairs)

    across = sum(k(a, b) for a in x for b in y) / (len(x) * len(y))
    return within(x) + within(y) - 2 * across


@pytest.mark.parametrize("unbiased", [True, False])
def test_mmd_is_that_of_all_pairs(unbiased: bool) -> None:
    x, y, widths = randn(4, 3), randn(5, 3) + 1, (0.5, 1.0, 2.0)
    found = over(MMD(2.0, widths, unbiased), (x, y))
    assert float(found) == pytest.approx(2.0 * by_pairs(x, y, widths, unbiased), abs=1e-6)
    counted = over(MMD(2.0, widths, unbiased), (x, y), source_weight=torch.tensor([2.0, 1, 1, 1]).double())
    twice = squared_discrepancy(x[[0, 0, 1, 2, 3]], y, [w * 1e9 for w in widths], unbiased)
    assert counted.isfinite()
    assert abs(float(twice)) < 1e-8


def test_mmd_of_the_same_rows_is_0_and_of_alike_ones_0_on_average() -> None:
    x = randn(20, 3)
    assert abs(float(over(MMD(unbiased=False), (x, x)))) < 1e-6
    found = torch.stack([over(MMD(), (randn(10, 3), randn(10, 3))) for _ in range(100)])
    assert abs(float(found.mean())) < 4 * float(found.std()) / 10
    assert float(found.min()) < 0
    biased = torch.stack([over(MMD(unbiased=False), (randn(10, 3), randn(10, 3))) for _ in range(20)])
    assert float(biased.mean()) > 0.05


def test_cdan_is_dann_on_products_and_sure_rows_count_more() -> None:
    net = toy_net()
    features, outputs = (randn(4, 5), randn(3, 5)), (randn(4, 3), randn(3, 3))
    plain = CDAN(hidden=4, certain=False)
    own = plain.weights(net, net.start(), 0)
    products = tuple(
        torch.einsum("nc,nd->ncd", o.softmax(1), f).flatten(1) for o, f in zip(outputs, features, strict=True)
    )
    assert own["0.weight"].shape == (4, 15)
    torch.testing.assert_close(
        over(plain, features, outputs, own=own, at=0.3),
        over(DANN(), products, own=own, at=0.3),  # pyright: ignore[reportArgumentType]
    )
    sure = [1 + torch.exp((o.softmax(1) * o.log_softmax(1)).sum(1)) for o in outputs]
    torch.testing.assert_close(
        over(CDAN(hidden=4), features, outputs, own=own),
        over(plain, features, outputs, own=own, source_weight=sure[0], target_weight=sure[1]),
    )


def test_mcc_by_hand() -> None:
    output = randn(6, 3)
    p = (output / 2.5).softmax(1)
    w = 1 + torch.exp((p * p.log()).sum(1))
    w = 6 * w / w.sum()
    c = sum(w[i] * torch.outer(p[i], p[i]) for i in range(6))
    assert isinstance(c, Tensor)
    c = c / c.sum(1, keepdim=True)
    torch.testing.assert_close(over(MCC(), (output, output)), (c.sum() - c.trace()) / 3)
    assert float(over(MCC(), (output, 1e4 * torch.eye(3).double()))) < 1e-12


def test_pseudo_labels_count_the_sure_rows_alone() -> None:
    output = torch.tensor([[5.0, 0, 0], [0.1, 0, 0], [0, 0, 4.0]], dtype=torch.float64, requires_grad=True)
    found = over(PseudoLabels(threshold=0.9), (output, output))
    label = F.cross_entropy(output[[0, 2]], torch.tensor([0, 2]), reduction="sum") / 3
    torch.testing.assert_close(found, label)
    (slope,) = torch.autograd.grad(found, output)
    assert not slope[1].any()
    assert slope[0].any()


def test_values_that_mean_nothing_are_refused() -> None:
    with pytest.raises(MetatlError, match="bandwidths"):
        MMD(bandwidths=())
    with pytest.raises(MetatlError, match="temperature"):
        MCC(temperature=0.0)
    with pytest.raises(MetatlError, match="threshold"):
        PseudoLabels(threshold=1.5)

"""Heads and terms: what they are equal to."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metatl import tree
from metatl.adapt import Descent, predict
from metatl.heads import Learned, Prototypes, Ridge, Zeros
from metatl.learners import Supervised
from metatl.net import Net
from metatl.objectives import L2, L2SP, Anchor, KLAnchor, TaskLoss, Term
from metatl.rules import SGD
from metatl.types import Batch, MetatlError
from tests.toys import WAY, WIDTH, assert_close, rows, toy_data, toy_net, toy_task


@pytest.mark.parametrize("temperature", [1.0, 7.0])
def test_prototypes_are_a_softmax_of_negative_squared_distances(temperature: float) -> None:
    net, task = toy_net(), toy_task(9, 12)
    start = net.start()
    adapted = Descent(steps=0, head=Prototypes(temperature))(net, start, task.support)
    features = torch.tanh(task.support.x @ start.params["body.0.weight"].T + start.params["body.0.bias"])
    queries = torch.tanh(task.query.x @ start.params["body.0.weight"].T + start.params["body.0.bias"])
    centres = torch.stack([features[task.support.y == c].mean(0) for c in range(WAY)])
    expected = (-torch.cdist(queries, centres).square() / temperature).softmax(-1)
    found = predict(net, adapted, start, task, "support").softmax(-1)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_features_are_what_the_output_layer_sees() -> None:
    net, batch = toy_net(norm=True), rows(6)
    start = net.start()
    features = net.features(start.params, start.buffers, batch.x)
    output = features @ start.params["head.weight"].T + start.params["head.bias"]
    torch.testing.assert_close(output, net(start.params, start.buffers, batch.x))


def test_ridge_is_the_closed_form() -> None:
    """The n x n form with centred rows is the d x d normal equations with a free bias."""
    net, batch = toy_net(), rows(12)
    start = net.start()
    params, _ = Ridge(0.7, 2.0).init(net, start, batch)
    x = net.features(start.params, start.buffers, batch.x)
    y = F.one_hot(batch.y, WAY).double()
    ones = torch.ones(12, 1, dtype=torch.float64)
    design = torch.cat([x, ones], 1)
    penalty = torch.diag(torch.tensor([0.7] * WIDTH + [0.0], dtype=torch.float64))
    solved = torch.linalg.solve(design.T @ design + penalty, design.T @ y)
    torch.testing.assert_close(params["head.weight"], 2.0 * solved[:-1].T, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(params["head.bias"], 2.0 * solved[-1], rtol=1e-9, atol=1e-10)


def test_a_fresh_head_has_its_own_rows_and_guide_1() -> None:
    net, batch = toy_net(outputs=7), rows(6)
    start = net.start()
    start.guide["head.weight"].zero_()
    for head in (Zeros(), Prototypes(), Ridge()):
        params, guide = head.init(net.with_outputs(WAY), start, batch)
        assert params["head.weight"].shape == (WAY, WIDTH)
        assert bool((guide["head.weight"] == 1).all())
        assert list(params) == list(start.params)
    params, guide = Learned().init(net, start, batch)
    assert params["head.weight"] is start.params["head.weight"]
    assert bool((guide["head.weight"] == 0).all())


def test_heads_refuse_what_they_cannot_be() -> None:
    bare = Net.of(nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3, bias=False)).double())
    for head in (Prototypes(), Ridge()):
        with pytest.raises(MetatlError, match="bias"):
            head.init(bare, bare.start(), rows(6))
    assert "1.bias" not in Zeros().init(bare, bare.start(), rows(6))[0]
    net = toy_net()
    real = Batch(rows(6).x, torch.randn(6, WAY, dtype=torch.float64))
    with pytest.raises(MetatlError, match="class labels"):
        Prototypes().init(net, net.start(), real)
    assert Ridge().init(net, net.start(), real)[0]["head.weight"].shape == (WAY, WIDTH)
    bare = Net.of(nn.Conv2d(1, 2, 1))
    with pytest.raises(MetatlError, match="linear output layer"):
        Prototypes().init(bare, bare.start(), real)
    with pytest.raises(MetatlError, match="linear output layer"):
        Net.of(nn.Conv2d(1, 1, 1), head="head")


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_kl_anchor_is_cross_entropy_with_the_interpolated_target(alpha: float) -> None:
    """Up to the entropy of the anchor: same gradient, p - target in the logits."""
    net, batch = toy_net(), rows(8)
    start = net.start()
    frozen = torch.randn(8, WAY, dtype=torch.float64)
    target = (1 - alpha) * F.one_hot(batch.y, WAY).double() + alpha * frozen.softmax(-1)
    entropy = -(frozen.softmax(-1) * frozen.log_softmax(-1)).sum(-1).mean()
    output = net(start.params, start.buffers, batch.x).detach().requires_grad_()
    ours = KLAnchor(alpha)(start.params, output, batch, Anchor(start.params, frozen))
    theirs = F.cross_entropy(output, target)
    torch.testing.assert_close(ours, theirs - alpha * entropy)
    (grad,) = torch.autograd.grad(ours, output)
    torch.testing.assert_close(grad, (output.softmax(-1) - target) / 8)


def test_alpha_1_does_not_move() -> None:
    net, task = toy_net(), toy_task()
    start = net.start()
    held = Descent(SGD(0.5), 5, terms=(KLAnchor(1.0),))(net, start, task.support)
    assert_close(held, start.params, 1e-12)
    free = Descent(SGD(0.5), 5, terms=(KLAnchor(0.0),))(net, start, task.support)
    assert_close(free, Descent(SGD(0.5), 5)(net, start, task.support), 1e-12)


@pytest.mark.parametrize("term", [KLAnchor(1.0), L2SP(2.0, 0.5)], ids=["KL", "L2-SP"])
def test_terms_are_0_at_the_anchor(term: Term) -> None:
    net, batch = toy_net(), rows(8)
    params = net.start().params
    output = net(params, {}, batch.x)
    assert abs(float(term(params, output, batch, Anchor(params, output)))) < 1e-15
    away = tree.map(lambda p: p + 0.1, params)
    assert float(term(away, net(away, {}, batch.x), batch, Anchor(params, output))) > 1e-3


def test_l2_sp_and_l2_by_hand() -> None:
    """Omega = alpha/2 |w_S - w_S^0|^2 + beta/2 |w_new|^2 (Li, Grandvalet & Davoine 2018)."""
    anchor = {"body": torch.tensor([1.0, 2.0]), "head": torch.tensor([0.0])}
    params = {"body": torch.tensor([2.0, 0.0]), "head": torch.tensor([3.0])}
    batch, output = rows(2), torch.zeros(2, WAY)
    fresh = L2SP(0.2, 0.1)(params, output, batch, Anchor(anchor, None, frozenset({"head"})))
    assert float(fresh) == pytest.approx(0.1 * (1 + 4) + 0.05 * 9)
    carried = L2SP(0.2, 0.1)(params, output, batch, Anchor(anchor, None))
    assert float(carried) == pytest.approx(0.1 * (1 + 4 + 9))
    assert float(L2(0.2)(params, output, batch, Anchor(anchor, None))) == pytest.approx(0.1 * (4 + 9))


def test_l2_sp_knows_a_fresh_layer_by_any_name() -> None:
    """In an adaptation: the fresh layer is pulled to 0, not to the prototypes that it starts from."""
    net = Net.of(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, WAY)).double())
    assert net.head == "2"
    task, start = toy_task(), net.start()
    terms = (TaskLoss(0.0), L2SP(0.0, 1.0))
    begun, _ = Prototypes().init(net, start, task.support)
    after = Descent(SGD(0.1), 3, Prototypes(), terms)(net, start, task.support)
    torch.testing.assert_close(after["2.weight"], 0.9**3 * begun["2.weight"])
    torch.testing.assert_close(after["0.weight"], begun["0.weight"])


def test_anchored_terms_stand_in_adaptations_only() -> None:
    net = toy_net(outputs=8, dtype=torch.float32)
    for term in (KLAnchor(), L2SP()):
        with pytest.raises(MetatlError, match="pre-training"):
            Supervised(terms=(TaskLoss(), term)).check(net, net.start(), toy_data())
    real, net = Batch(rows(4).x, torch.zeros(4, WAY, dtype=torch.float64)), toy_net()
    with pytest.raises(MetatlError, match="class labels"):
        Descent(terms=(KLAnchor(),))(net, net.start(), real)

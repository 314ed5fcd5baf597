"""Rules x guides: what a guide of 0, 1 or c does; rules are torch.optim's with the guide behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from metatl import tree
from metatl.adapt import Descent, descend
from metatl.adapt.descend import last
from metatl.adapt.inner import Piece
from metatl.guides import ByName
from metatl.lab.experiment import with_value
from metatl.rules import SGD, Adam, AdamW, CarriedAdam, Rule, RuleState
from metatl.types import Guide, MetatlError, Params, Transfer
from tests.toys import assert_bitwise, assert_close, rows, scales, toy_net, toy_task, with_guide

STEPS = 12
RULES: dict[str, tuple[Rule, type[torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (SGD(0.1), torch.optim.SGD, dict(lr=0.1)),
    "momentum": (SGD(0.1, 0.9), torch.optim.SGD, dict(lr=0.1, momentum=0.9)),
    "nesterov": (SGD(0.1, 0.9, True), torch.optim.SGD, dict(lr=0.1, momentum=0.9, nesterov=True)),
    "decay": (SGD(0.1, 0.5, False, 0.2), torch.optim.SGD, dict(lr=0.1, momentum=0.5, weight_decay=0.2)),
    "adam": (Adam(0.05), torch.optim.Adam, dict(lr=0.05)),
    "adam, decay": (
        Adam(0.05, 0.5, 0.9, 1e-3, weight_decay=0.1),
        torch.optim.Adam,
        dict(lr=0.05, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1),
    ),
    "adamw": (AdamW(0.05, weight_decay=0.3), torch.optim.AdamW, dict(lr=0.05, weight_decay=0.3)),
    "carried adam": (
        CarriedAdam(0.05, 0.9, 1e-4),
        torch.optim.Adam,
        dict(lr=0.05, betas=(0.0, 0.9), eps=1e-4),
    ),
}
GUIDES: dict[str, Callable[[Params], Guide]] = {
    "ones": tree.ones,
    "scales": scales,
    "head only": lambda params: {
        n: torch.full_like(p, float(n.startswith("head"))) for n, p in params.items()
    },
}
rules = pytest.mark.parametrize("rule", [rule for rule, *_ in RULES.values()], ids=RULES)


def start() -> tuple[Params, Callable[[Params], Tensor]]:
    """Weights, and a curved loss in them."""
    net, batch = toy_net(), rows(12)
    transfer = net.start()

    def loss(params: Params) -> Tensor:
        return torch.nn.functional.cross_entropy(net(params, transfer.buffers, batch.x), batch.y)

    return transfer.params, loss


def run(
    rule: Rule, guide: Guide, params: Params, loss: Callable[[Params], Tensor], steps: int = STEPS
) -> Params:
    """The last point of a guided descent."""
    pieces = [Piece(rows(1), None)] * steps
    points = descend(lambda p, _: loss(p), params, iter(pieces), rule=rule, guide=guide, unroll="first_order")
    return list(points)[-1].params


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.parametrize("name", RULES)
def test_rule_is_torch_optim_and_lerp(name: str, guide: str) -> None:
    rule, optimiser, options = RULES[name]
    params, loss = start()
    scale = GUIDES[guide](params)
    theirs = {n: p.clone().requires_grad_() for n, p in params.items()}
    made = optimiser(list(theirs.values()), **options)
    for _ in range(STEPS):
        made.zero_grad()
        loss(theirs).backward()
        before = tree.detach({n: p.clone() for n, p in theirs.items()})
        made.step()
        with torch.no_grad():
            for n, p in theirs.items():
                p.copy_(torch.lerp(before[n], p, scale[n].expand_as(p)))
    ours = run(rule, scale, params, loss)
    assert_close(ours, tree.detach(theirs), 1e-10)
    assert any((ours[n] - p).abs().max() > 0.02 for n, p in params.items()), "nothing has moved"


@rules
def test_guide_0_freezes_bitwise(rule: Rule) -> None:
    params, loss = start()
    guide = tree.ones(params)
    guide["body.0.weight"] = torch.zeros_like(params["body.0.weight"])
    guide["head.weight"][1] = 0.0
    after = run(rule, guide, params, loss)
    assert torch.equal(after["body.0.weight"], params["body.0.weight"])
    assert torch.equal(after["head.weight"][1], params["head.weight"][1])
    assert not (after["head.weight"][0] == params["head.weight"][0]).any()
    assert_bitwise(run(rule, tree.zeros(params), params, loss), params)


@rules
def test_guide_1_is_the_unguided_run_bitwise(rule: Rule) -> None:
    params, loss = start()
    plain, state = params, rule.init(params)
    for _ in range(STEPS):
        updates, state = rule.update(torch.func.grad(loss)(plain), state, plain)
        plain = tree.add(plain, updates)
    assert_bitwise(run(rule, tree.ones(params), params, loss), plain)


@rules
def test_a_descent_is_the_same_inside_a_transformation_bitwise(rule: Rule) -> None:
    """Outside one, torch's own backward pass runs and temporary tensors are written over."""
    params, loss = start()
    guide = scales(params)
    inside = torch.func.vmap(lambda _: run(rule, guide, params, loss), randomness="same")(torch.zeros(1))
    assert_bitwise(run(rule, guide, params, loss), tree.map(lambda leaf: leaf[0], inside))


class Handing(Rule):
    """Momentum whose update is its memory itself."""

    def init(self, params: Params) -> RuleState:
        return {"velocity": tree.zeros(params)}

    def update(self, grads: Params, state: RuleState, params: Params) -> tuple[Params, RuleState]:
        velocity = tree.map(lambda v, g: 0.9 * v - 0.1 * g, state["velocity"], grads)
        return velocity, {"velocity": velocity}


@pytest.mark.parametrize("guided", ["update", "gradient"])
def test_a_memory_that_is_handed_out_is_not_written_on(guided: Any) -> None:
    params, loss = start()
    pieces = [Piece(rows(1), None)] * STEPS
    found = [
        last(
            descend(
                lambda p, _: loss(p), params, iter(pieces), rule=rule, guide=tree.ones(params),
                unroll="first_order", guided=guided,
            )
        )
        for rule in (Handing(), SGD(0.1, 0.9))
    ]  # fmt: skip
    assert_close(*found, 1e-10)


def test_weights_that_a_loss_does_not_read_stay() -> None:
    params, loss = start()
    more = {**params, "unread": torch.ones(3, dtype=torch.float64)}
    after = run(SGD(0.1), tree.ones(more), more, loss)
    assert torch.equal(after["unread"], more["unread"])
    assert not torch.equal(after["head.weight"], params["head.weight"])
    assert_bitwise(run(SGD(0.1), tree.ones(params), params, lambda _: torch.zeros(())), params)


@pytest.mark.parametrize("c", [0.25, 3.0])
@rules
def test_constant_guide_is_a_rate(rule: Rule, c: float) -> None:
    params, loss = start()
    guided = run(rule, {n: torch.tensor(c, dtype=p.dtype) for n, p in params.items()}, params, loss)
    assert_close(guided, run(with_value(rule, "lr", c * rule.lr), tree.ones(params), params, loss), 1e-9)


def test_scaled_gradients_do_nothing_under_adam() -> None:
    """Why the guide scales updates: Adam divides a scale of the gradient out again."""
    params, loss = start()
    moved: dict[str, list[float]] = {"update": [], "gradient": []}
    for guided, found in moved.items():
        for scale in (1.0, 0.01):
            guide = {n: torch.tensor(scale, dtype=p.dtype) for n, p in params.items()}
            pieces = [Piece(rows(1), None)] * 5
            points = descend(
                lambda p, _: loss(p), params, iter(pieces), rule=Adam(0.01), guide=guide,
                unroll="first_order", guided=guided,  # type: ignore[arg-type]
            )  # fmt: skip
            found.append(float(tree.norm(tree.sub(list(points)[-1].params, params))))
    assert moved["gradient"][1] > 0.9 * moved["gradient"][0]
    assert moved["update"][1] < 0.011 * moved["update"][0]


def test_guide_with_a_step_axis_is_indexed_along_it() -> None:
    params, loss = start()
    on = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    guide = {n: on.view(-1, *[1] * p.dim()) for n, p in params.items()}
    assert_bitwise(run(SGD(0.1), guide, params, loss, 2), params)
    assert_bitwise(run(SGD(0.1), guide, params, loss, 5), run(SGD(0.1), tree.ones(params), params, loss, 3))


def test_skipping_frozen_weights_changes_nothing() -> None:
    net, task = toy_net(norm=True), toy_task()
    transfer = with_guide(net.start(), ByName((("^head", 1.0), (r"\.1\.", 0.5), ("", 0.0)))(net, net.start()))
    adaptation = Descent(SGD(0.1, 0.9), 4)
    moving = frozenset(n for n in transfer.params if not n.startswith("body.0"))
    *_, all_of_it = adaptation.trajectory(net, transfer, task.support, "full")
    *_, skipped = adaptation.trajectory(net, transfer, task.support, "full", moving)
    assert_bitwise(skipped.params, all_of_it.params)
    *_, nothing = adaptation.trajectory(net, transfer, task.support, "full", frozenset())
    assert torch.equal(nothing.params["body.0.weight"], transfer.params["body.0.weight"])


def test_a_weight_without_a_guide_is_named() -> None:
    net, task = toy_net(), toy_task()
    transfer = net.start()
    del transfer.guide["head.bias"]
    with pytest.raises(MetatlError, match=r"head\.bias"):
        Descent()(net, transfer, task.support)
    with pytest.raises(MetatlError, match=r"body\.0\.weight"):
        ByName((("^head", 1.0),))(net, transfer)


def test_a_guide_that_does_not_broadcast_is_named() -> None:
    from metatl.adapt import check_guide

    start = toy_net().start()
    check_guide(start)
    for shape in [(2, 5), (1, 1, 1, 1), (0,), (3, 2, 5)]:
        with pytest.raises(MetatlError, match=r"body\.0\.weight"):
            check_guide(Transfer(start.params, start.guide | {"body.0.weight": torch.ones(shape)}))
    for shape in [(), (4,), (5, 1), (7, 1, 1), (7, 5, 4)]:
        check_guide(Transfer(start.params, start.guide | {"body.0.weight": torch.ones(shape)}))

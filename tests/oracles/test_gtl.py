"""Guided Transfer Learning: raw guide, normalisation, and the table of focus and temperature, by hand.

Sources: Nikolic, Andric & Nikolic 2023, arXiv 2303.16154, and the authors' library of 2024.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from metatl import tree
from metatl.adapt import Descent, displacement
from metatl.data import Tasks
from metatl.engines import Batched, Loop
from metatl.guides import Constant, LayerMean, MinMax, Permuted, TopK
from metatl.heads import Learned, Zeros
from metatl.learners import Scout
from metatl.rules import SGD
from metatl.types import MetatlError, Transfer
from tests.toys import INPUTS, WIDTH, assert_bitwise, assert_close, toy_data, toy_net, with_guide

M = torch.tensor([0.2, 1.0, 0.4, 0.6], dtype=torch.float64)


def shaped(m: Tensor, **options: object) -> Tensor:
    return MinMax(**options)({"w": m})["w"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("focus", "expected"),
    [
        ("zero_enforced_and_normalized", [0.0, 1.0, 0.25, 0.5]),
        ("raw", [0.2, 1.0, 0.4, 0.6]),
        ("zero_enforced", [0.0, 0.8, 0.2, 0.4]),
        ("normalized", [0.2, 1.0, 0.4, 0.6]),
    ],
)
def test_focus(focus: str, expected: list[float]) -> None:
    torch.testing.assert_close(shaped(M, focus=focus), torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(
        shaped(5 * M, focus="normalized"), torch.tensor([0.2, 1.0, 0.4, 0.6], dtype=torch.float64)
    )


@pytest.mark.parametrize(
    ("temperature", "unit", "raw"),  # on g = [0, 1, .25, .5]; on m itself, where R = .8
    [
        ("icy", [0.0, 1.0, 0.0, 0.0], [0.0, 1.2, 0.0, 0.4]),
        ("chilly", [0.0, 1.0, 0.25, 0.5], [0.0, 0.8, 0.2, 0.4]),
        ("room", [0.0, 1.0, 0.25, 0.5], [0.2, 1.0, 0.4, 0.6]),
        ("warm", [0.5, 1.0, 0.625, 0.75], [0.5, 0.9, 0.6, 0.7]),
        ("evaporating", [1.0, 1.25, 1.0625, 1.125], [0.85, 1.05, 0.9, 0.95]),
        ("freezing", [0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]),
        ("step", [0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]),
        ("custom", [0.0, 2.9, 0.65, 1.4], [0.5, 2.9, 1.1, 1.7]),
    ],
)
def test_temperature(temperature: str, unit: list[float], raw: list[float]) -> None:
    options = dict(temperature=temperature, slope=3.0, intercept=0.1)
    torch.testing.assert_close(shaped(M, **options), torch.tensor(unit, dtype=torch.float64))
    torch.testing.assert_close(shaped(M, focus="raw", **options), torch.tensor(raw, dtype=torch.float64))


def test_freezing_keeps_the_top_percent_of_each_tensor() -> None:
    """1 from the 99th percentile (nearest rank) on: of 300 distinct values the ranks 297 to 300."""
    m = torch.randperm(300).double().view(20, 15)
    torch.testing.assert_close(shaped(m, temperature="freezing"), (m >= 296).double())


def test_scope_power_factor_threshold() -> None:
    raw = {"small": torch.tensor([0.0, 1.0]), "big": torch.tensor([2.0, 4.0])}
    per_tensor, whole = MinMax()(raw), MinMax(scope="global")(raw)
    assert torch.equal(tree.flat(per_tensor), torch.tensor([0.0, 1.0, 0.0, 1.0]))
    assert torch.equal(tree.flat(whole), torch.tensor([0.0, 0.25, 0.5, 1.0]))
    torch.testing.assert_close(shaped(M, power=2.0).tolist(), [0.0, 1.0, 0.0625, 0.25])
    torch.testing.assert_close(shaped(M, factor=2.0, threshold=0.5).tolist(), [0.0, 2.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [("room", 1.0), ("icy", 1.0), ("chilly", 1.0), ("warm", 1.0), ("evaporating", 1.25), ("freezing", 1.0)],
)
def test_a_constant_tensor_is_fully_guided(temperature: str, expected: float) -> None:
    """A bias with one entry, or a tensor that no scout moved, cannot be ranked: no division by 0."""
    for constant in (torch.tensor([0.3]), torch.zeros(3, 2)):
        assert torch.equal(shaped(constant, temperature=temperature), torch.full_like(constant, expected))


def scouts(**options: object) -> Scout:
    scout = Scout(2, 4, Tasks(3, 2, 0), Descent(SGD(0.2), 4, moments="batch"))
    return replace(scout, **options)  # type: ignore[arg-type]


def learned(scout: Scout, engine: Loop | Batched, outputs: int = 3) -> Transfer:
    torch.manual_seed(0)
    net, data = toy_net(outputs=outputs, dtype=torch.float32), toy_data()
    net = net.with_outputs(3)
    state = scout.init(net, net.start())
    for step in range(scout.steps):
        state, metrics = scout.step(net, engine, state, scout.draw(data, 0, step))
        assert int(metrics["scouts_left_out"]) == 0
    return scout.finish(net, state)


def by_hand(power: float, head: bool) -> dict[str, Tensor]:
    """Each scout starts from the same weights, takes four plain steps on its task, leaves end - start."""
    torch.manual_seed(0)
    net, data = toy_net(dtype=torch.float32), toy_data()
    start, m = net.start().params, tree.zeros(net.start().params)
    for i in range(8):
        task = tree.at(data.draw("meta_train", Tasks(3, 2, 0), 0, i, 1), 0).support
        begun = (
            start if head else {**start, "head.weight": torch.zeros(3, WIDTH), "head.bias": torch.zeros(3)}
        )
        p = variables(begun)
        optimiser = torch.optim.SGD(p.values(), 0.2)
        for _ in range(4):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(p, {}, task.x), task.y).backward()
            optimiser.step()
        m = {n: m[n] + (p[n].detach() - begun[n]).abs() ** power / 8 for n in m}
    guide = {n: (v - v.min()) / (v.max() - v.min()) for n, v in m.items()}
    return guide if head else {n: torch.ones_like(g) if n.startswith("head") else g for n, g in guide.items()}


def variables(params: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n: p.clone().requires_grad_() for n, p in params.items()}


@pytest.mark.parametrize("engine", [Loop(), Batched()], ids=["loop", "batched"])
@pytest.mark.parametrize("moment", ["squared", "absolute"])
def test_the_whole_method(moment: str, engine: Loop | Batched) -> None:
    found = learned(scouts(moment=moment), engine)
    assert_close(found.guide, by_hand(2.0 if moment == "squared" else 1.0, head=True), 1e-3)
    fresh = learned(scouts(moment=moment, adaptation=replace(scouts().adaptation, head=Zeros())), engine)
    expected = by_hand(2.0 if moment == "squared" else 1.0, head=False)
    assert_close(fresh.guide, expected, 1e-3)
    assert not torch.allclose(found.guide["body.0.weight"], expected["body.0.weight"], atol=1e-2)
    for g in (found.guide["body.0.weight"], fresh.guide["body.0.weight"]):
        assert (float(g.min()), float(g.max())) == (0.0, 1.0)


def test_scouts_run_without_a_guide_and_change_no_weight() -> None:
    torch.manual_seed(0)
    net = toy_net(dtype=torch.float32)
    start = net.start()
    scout, data = scouts(), toy_data()
    guided = with_guide(start, tree.scale(tree.ones(start.params), 0.1))
    state, _ = scout.step(net, Loop(), scout.init(net, guided), scout.draw(data, 0, 0))
    plain, _ = scout.step(net, Loop(), scout.init(net, start), scout.draw(data, 0, 0))
    assert_bitwise(state.memory["sum"], plain.memory["sum"])
    assert_bitwise(scout.finish(net, state).params, start.params)


def test_a_diverged_scout_is_left_out_and_counted() -> None:
    """One whose displacement is not finite, and those beyond `outlier` times the median of the others."""
    net, data = toy_net(dtype=torch.float32), toy_data()
    scout, start = scouts(scouts=6), net.start()
    drawn = scout.draw(data, 0, 0)
    moves = [displacement(net, scout.adaptation, start, tree.at(drawn, i).support) for i in range(6)]
    drawn.support.x[2] = float("nan")
    sizes = [float(tree.norm(d)) for d in moves]
    median = sorted(sizes[:2] + sizes[3:])[2]
    limit = 1.0001 * max(s for s in (*sizes[:2], *sizes[3:]) if s < max(sizes[:2] + sizes[3:])) / median
    kept = [i for i in range(6) if i != 2 and sizes[i] <= limit * median]
    assert len(kept) == 4
    state, metrics = replace(scout, outlier=limit).step(net, Loop(), scout.init(net, start), drawn)
    assert int(metrics["scouts_left_out"]) == 2
    assert float(state.memory["count"]["scouts"]) == 4
    assert_close(state.memory["sum"], {n: sum(moves[i][n] ** 2 for i in kept) for n in start.params}, 1e-6)


def test_a_mask_from_scouts_counts_the_tasks_head() -> None:
    """A start with 50 outputs, scouts of 3 classes: the budget holds a head of 3 rows, not of 50."""
    fresh = replace(scouts().adaptation, head=Zeros())
    body, head = INPUTS * WIDTH + WIDTH, 3 * (WIDTH + 1)
    found = learned(scouts(adaptation=fresh, shape=TopK(0.7)), Batched(), outputs=50)
    kept = sum(int(g.sum()) for n, g in found.guide.items() if not n.startswith("head"))
    assert kept == int(0.7 * (body + head)) - head
    with pytest.raises(MetatlError, match="raise the density"):
        learned(scouts(adaptation=fresh, shape=TopK(0.3)), Batched(), outputs=50)


def test_controls() -> None:
    """Permuted: the histogram of each tensor; layer mean: one value each; constant: one for the body."""
    net = toy_net()
    start = net.start()
    guide = {n: torch.rand_like(p) for n, p in start.params.items()}
    carried = with_guide(start, guide)
    body = [n for n in guide if n.startswith("body")]
    permuted, mean, constant = (make(net, carried) for make in (Permuted(1), LayerMean(), Constant()))
    for n in body:
        assert torch.equal(permuted[n].flatten().sort().values, guide[n].flatten().sort().values)
        assert not torch.equal(permuted[n], guide[n])
        torch.testing.assert_close(mean[n], torch.full_like(guide[n], float(guide[n].mean())))
        entries = torch.cat([guide[m].flatten() for m in body])
        torch.testing.assert_close(constant[n], torch.full_like(guide[n], float(entries.mean())))
    assert_bitwise(Permuted(1)(net, carried), permuted)
    assert not torch.equal(Permuted(2)(net, carried)["body.0.weight"], permuted["body.0.weight"])
    assert float(Constant(0.25)(net, carried)["body.0.bias"][0]) == 0.25
    for control in (permuted, mean, constant):
        assert torch.equal(control["head.weight"], guide["head.weight"])


def test_learned_heads_are_guided_like_every_weight() -> None:
    found = learned(scouts(adaptation=replace(scouts().adaptation, head=Learned())), Loop())
    assert float(found.guide["head.weight"].min()) == 0.0

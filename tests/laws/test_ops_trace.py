"""A recorded function gives what the function gives, for every later call with tensors of the same kind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from metatl.engines.fast.fuse import fuse
from metatl.engines.fast.ops import rerouted
from metatl.engines.fast.trace import Traced
from metatl.models import MLP, Conv4


@pytest.fixture(autouse=True)
def _setup() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # tensors this small only wait for a second thread


def meta_gradient(net: torch.nn.Module, steps: int = 1):
    """A function (weights, guide, x, y) -> (outer gradient, loss)."""
    net = fuse(net)

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.mse_loss(functional_call(net, weights, (x,)), y)

    def step(weights: dict[str, Tensor], guide: dict[str, Tensor], x: Tensor, y: Tensor):
        leaves = {name: p.detach().requires_grad_() for name, p in weights.items()}

        def outer(x: Tensor, y: Tensor) -> Tensor:
            free = leaves
            for _ in range(steps):
                grads = grad(loss)(free, x, y)
                free = {name: p + guide[name] * (grads[name] * -0.1) for name, p in free.items()}
            return loss(free, x.flip(0), y)

        with rerouted():
            losses = vmap(outer)(x, y)
        grads = torch.autograd.grad(losses.mean(), list(leaves.values()), allow_unused=True)
        return {
            n: torch.zeros_like(p) if g is None else g
            for (n, p), g in zip(leaves.items(), grads, strict=True)
        }, losses

    return step


NETS = {
    "mlp": (lambda: MLP((3,), 2, hidden=(8, 8)), (3,)),
    "mlp, batch norm": (lambda: MLP((3,), 2, hidden=(8,), norm=True), (3,)),
    "conv4, stride": (lambda: Conv4((1, 16, 16), 2, filters=8), (1, 16, 16)),
    "conv4, pool": (lambda: Conv4((3, 16, 16), 2, filters=8, form="pool"), (3, 16, 16)),
}


def case(name: str, tasks: int = 3):
    make, shape = NETS[name]
    net = make().double()
    weights = {n: p.detach() for n, p in net.named_parameters()}
    guide = {n: torch.rand_like(p) for n, p in weights.items()}
    return net, (weights, guide, torch.randn(tasks, 5, *shape).double(), torch.randn(tasks, 5, 2).double())


def assert_same(ours, theirs) -> None:
    largest = max(float(g.abs().max()) for g in theirs[0].values())
    for name, expected in theirs[0].items():
        assert (ours[0][name] - expected).abs().max() < 1e-11 * largest, name
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", NETS)
def test_a_recorded_meta_gradient_serves_other_tasks_and_weights(name):
    net, args = case(name)
    step = meta_gradient(net, steps=1 if "conv" in name else 2)
    recorded = Traced(step)
    assert_same(recorded(*args), step(*args))
    _, other = case(name)
    assert_same(recorded(*other), step(*other))
    assert len(recorded.recordings) == 1


def test_every_combination_of_shapes_has_its_own_recording():
    net, args = case("mlp")
    step = meta_gradient(net)
    recorded = Traced(step)
    for tasks in (3, 2, 3):
        _, args = case("mlp", tasks)
        assert_same(recorded(*args), step(*args))
    assert len(recorded.recordings) == 2


def test_a_slice_of_a_larger_meta_batch_is_read_where_it_lies():
    net, (weights, guide, x, y) = case("mlp, batch norm", 4)
    step = meta_gradient(net)
    recorded = Traced(step)
    for half in (slice(0, 2), slice(2, 4)):
        assert_same(recorded(weights, guide, x[half], y[half]), step(weights, guide, x[half], y[half]))
    assert len(recorded.recordings) == 1


def replays(fn, *args: Tensor, others: tuple[Tensor, ...]) -> Traced:
    recorded = Traced(fn)
    torch.testing.assert_close(recorded(*args), fn(*args))
    torch.testing.assert_close(recorded(*others), fn(*others))
    return recorded


def test_views_constants_and_repetitions_are_left_out():
    def fn(x: Tensor) -> Tensor:
        y = x.t().unsqueeze(0).expand(3, -1, -1).transpose(1, 2)[1:]
        ones = torch.ones(4, 5).cumsum(0)
        return (y * ones).sum(0) + (y * ones).sum(0) + x.t().t()

    recorded = replays(fn, torch.randn(4, 5), others=(torch.randn(4, 5),))
    (recording,) = recorded.recordings.values()
    names = [
        getattr(n.target, "__name__", str(n.target))
        for n in recording.replay.graph.nodes
        if n.op == "call_function"
    ]
    assert sorted(names) == ["add", "add", "as_strided", "mul", "sum"]


def test_what_is_written_into_is_no_constant():
    def fn(x: Tensor) -> Tensor:
        total = torch.zeros(4, 4)
        total[1:3] += x
        again = torch.zeros(4, 4)
        again[0] = x[0]
        return total * 2.0 + again

    replays(fn, torch.randn(2, 4), others=(torch.randn(2, 4),))


def test_factors_move_without_changing_values():
    def fn(x: Tensor, small: Tensor) -> tuple[Tensor, ...]:
        return (
            small + (x * -0.5) * small,
            -(small * x) * 0.25,
            x - 3.0 * x,
            x * torch.full_like(x, 2.0) / 4.0,
            x.permute(0, 2, 1).sum(0),
            x.permute(0, 2, 1).sum(0, keepdim=True),
            torch.ones(2, 1) * x[0, :2] * 1.0,
            x.long() * 2,
        )

    replays(fn, torch.randn(8, 3, 4), torch.randn(3, 4), others=(torch.randn(8, 3, 4), torch.randn(3, 4)))


def test_inputs_may_carry_a_graph_and_outputs_carry_none():
    weights = torch.randn(3, requires_grad=True)
    recorded = Traced(lambda w: {"twice": w * 2.0, "count": 3})
    out = recorded(weights * 1.0)
    assert out["count"] == 3
    assert not out["twice"].requires_grad
    torch.testing.assert_close(out["twice"], weights.detach() * 2.0)


def test_what_the_caller_gets_is_its_own():
    def fn(x: Tensor) -> tuple[Tensor, ...]:
        return torch.zeros(3), torch.zeros(3), x * 2.0, x * 2.0, torch.ones(2, 3)[0]

    recorded, x = Traced(fn), torch.ones(3)
    for _ in range(2):
        for given in recorded(x):
            given.add_(5.0)
    for given, expected in zip(recorded(x), fn(x), strict=True):
        torch.testing.assert_close(given, expected)
    assert (x == 1.0).all()

"""Norms: exact under vmap and second order, equal to the stock ones, refused where they would be wrong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from metatl import norm, tree
from metatl.adapt import Descent, query_loss
from metatl.engines import Batched, Loop
from metatl.learners import Supervised
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.rules import SGD
from metatl.types import Batch, Episode, MetatlError, Params, Transfer
from tests.outer import Outer, outer_gradient

STOCK: dict[str, nn.Module] = {
    "batch": nn.BatchNorm2d(3),
    "batch, no affine": nn.BatchNorm2d(3, affine=False),
    "batch, no running moments": nn.BatchNorm2d(3, track_running_stats=False),
    "instance": nn.InstanceNorm2d(3, affine=True),
    "instance, no affine": nn.InstanceNorm2d(3),
    "layer": nn.LayerNorm([4, 4]),
    "layer, no bias": nn.LayerNorm([4, 4], bias=False),
    "group": nn.GroupNorm(3, 3),
    "rms": nn.RMSNorm([4, 4]),
}


def around(layer: nn.Module) -> nn.Module:
    """A small net around a norm, float64, no weight at its usual value."""
    torch.manual_seed(0)
    front, back = nn.Conv2d(1, 3, 3, padding=1), nn.Linear(48, 2)
    made = nn.Sequential(front, layer, nn.Tanh(), nn.Flatten(), back).double()
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.3 * torch.randn_like(p))
        for b in made.buffers():
            if b.is_floating_point():
                b.add_(0.5 * torch.rand_like(b))
    return made


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, 1, 4, 4, dtype=torch.float64)


def copy_of(layer: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(layer)


@pytest.mark.parametrize("name", STOCK)
def test_outputs_are_those_of_the_module(name: str) -> None:
    """Batch moments as in train mode, frozen ones as in eval mode, and the module itself is left alone."""
    stock = around(copy_of(STOCK[name]))
    before = {n: t.clone() for n, t in stock.state_dict().items()}
    net, x = Net.of(stock), images(5)
    start = net.start()
    torch.testing.assert_close(net(start.params, start.buffers, x), stock.train()(x))
    stock.load_state_dict(before)
    with moments_from(Rows(frozen=True)):
        if name == "batch, no running moments":
            with pytest.raises(MetatlError, match="running moments"):
                net(start.params, start.buffers, x)
        else:
            assert torch.equal(net(start.params, start.buffers, x), stock.eval()(x))
    assert all(torch.equal(stock.state_dict()[n], before[n]) for n in before)


@pytest.mark.parametrize("name", STOCK)
def test_meta_gradients_are_exact(name: str) -> None:
    """Trap 1: the batched gradient is the loop's and that of finite differences, whatever the norm was."""
    net = Net.of(around(copy_of(STOCK[name])))
    transfer, y = net.start(), torch.tensor([0, 1, 0, 1]).repeat(2, 1)
    episodes = Episode(Batch(images(2, 4), y), Batch(images(2, 4), y))
    adaptation = Descent(SGD(0.5), 2, moments="batch")
    batched, _ = outer_gradient(Batched(), net, transfer, adaptation, episodes, Outer())
    loop, _ = outer_gradient(Loop(), net, transfer, adaptation, episodes, Outer())
    for n in loop.params:
        torch.testing.assert_close(batched.params[n], loop.params[n], rtol=1e-9, atol=1e-12)
    direction = {n: torch.randn_like(p) for n, p in transfer.params.items()}

    def loss(h: float) -> float:
        at = Transfer(tree.add(transfer.params, tree.scale(direction, h)), transfer.guide, transfer.buffers)
        losses = [query_loss(net, adaptation, at, tree.at(episodes, i), "full")[0] for i in range(2)]
        return float(torch.stack(losses).mean())

    near, far = (loss(h) - loss(-h) for h in (1e-5, 2e-5))
    slope, along = (8 * near - far) / 12e-5, float(tree.flat(loop.params) @ tree.flat(direction))
    assert abs(slope - along) < 1e-6 * max(1.0, abs(slope))


def plain_meta_gradient(module: nn.Module) -> tuple[Params, Params]:
    """vmap and loop over two tasks with torch's own tools: one inner step, second order, no rerouting."""
    params, x = dict(module.named_parameters()), images(2, 4)

    def task(params: Params, x: Tensor) -> Tensor:
        def loss(p: Params) -> Tensor:
            return functional_call(module, p, (x,)).square().mean()

        grads = grad(loss)(params)
        return loss({n: p - 0.5 * grads[n] for n, p in params.items()})

    stacked = grad(lambda p: vmap(task, (None, 0))(p, x).mean())(params)
    looped = grad(lambda p: (task(p, x[0]) + task(p, x[1])) / 2)(params)
    return tree.detach(stacked), tree.detach(looped)


def test_our_batch_norm_is_exact_without_any_rerouting() -> None:
    stacked, looped = plain_meta_gradient(around(norm.BatchNorm(3)))
    for n in looped:
        torch.testing.assert_close(stacked[n], looped[n], rtol=1e-10, atol=1e-13)


class Activated(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(super().forward(x))


class Direct(nn.Module):
    """Calls torch.layer_norm, torch.batch_norm and torch.instance_norm themselves."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.weight, self.bias = nn.Parameter(torch.rand(3)), nn.Parameter(torch.rand(3))
        self.register_buffer("mean", torch.rand(3))
        self.register_buffer("var", torch.rand(3))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "layer":
            last = x.movedim(1, -1)
            return torch.layer_norm(last, [3], self.weight, self.bias, 1e-5).movedim(-1, 1)
        moments = (self.mean, self.var) if self.kind == "batch" else (None, None)
        call = torch.batch_norm if self.kind == "batch" else torch.instance_norm
        return call(x, self.weight, self.bias, *moments, self.kind != "batch", 0.1, 1e-5, False)


@pytest.mark.parametrize("layer", [Activated(3), Direct("layer"), Direct("batch"), Direct("instance")])
def test_subclasses_and_direct_calls_are_exact_too(layer: nn.Module) -> None:
    """Trap 1 at the call: the batched second-order gradient is the loop's, whoever calls the norm."""
    net = Net.of(around(copy_of(layer)))
    transfer, y = net.start(), torch.tensor([0, 1, 0, 1]).repeat(2, 1)
    episodes = Episode(Batch(images(2, 4), y), Batch(images(2, 4), y))
    for moments in ("batch", "frozen"):
        adaptation = Descent(SGD(0.5), 2, moments=moments)
        batched, _ = outer_gradient(Batched(), net, transfer, adaptation, episodes, Outer())
        loop, _ = outer_gradient(Loop(), net, transfer, adaptation, episodes, Outer())
        for n in loop.params:
            torch.testing.assert_close(batched.params[n], loop.params[n], rtol=1e-9, atol=1e-12)


def test_a_norm_used_twice_stays_one_norm_and_modules_are_kept() -> None:
    shared = nn.BatchNorm1d(4)
    net = Net.of(nn.Sequential(shared, nn.Tanh(), shared, nn.Linear(4, 2)))
    assert net.module[0] is net.module[2]  # type: ignore[index]
    assert type(net.module[0]) is nn.BatchNorm1d  # type: ignore[index]


@pytest.mark.parametrize("spatial", [True, False])
def test_running_moments_are_torchs(spatial: bool) -> None:
    """Three steps of pre-training leave the buffers that torch's own norm leaves in training mode."""
    layer = nn.BatchNorm2d(3) if spatial else nn.BatchNorm1d(3)
    first = nn.Conv2d(1, 3, 3) if spatial else nn.Linear(5, 3)
    stock = nn.Sequential(first, layer, nn.Tanh(), nn.Flatten(), nn.Linear(12 if spatial else 3, 2)).double()
    net = Net.of(stock)
    learner = Supervised(3, rule=SGD(0.1), schedule="constant", moment_rate=0.1)
    state, optimiser = learner.init(net, net.start()), torch.optim.SGD(stock.parameters(), 0.1)
    stock.train()
    for _ in range(3):
        x = images(7) if spatial else torch.randn(7, 5, dtype=torch.float64)
        batch = Batch(x, torch.arange(7) % 2)
        state, metrics = learner.step(net, Loop(), state, {"source": batch})
        loss = nn.functional.cross_entropy(stock(batch.x), batch.y)
        torch.testing.assert_close(metrics["loss"], loss.detach())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for name, moment in state.transfer.buffers.items():
        torch.testing.assert_close(moment, stock.state_dict()[name], rtol=1e-9, atol=1e-12)
        assert (moment - net.start().buffers[name]).abs().max() > 1e-3
    for name, p in state.transfer.params.items():
        torch.testing.assert_close(p, stock.state_dict()[name], rtol=1e-9, atol=1e-12)

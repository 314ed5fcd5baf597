"""The rerouted operations agree with the stock ones in a plain loop, through the second derivative."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import grad as autograd
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from metatl.engines.fast import conv as ops_conv
from metatl.engines.fast import native as ops_native
from metatl.engines.fast.conv import conv2d
from metatl.engines.fast.norm import normalise
from metatl.engines.fast.ops import rerouted
from metatl.types import MetatlError

TASKS = 3
WINDOWS = [  # kernel, stride, padding, dilation
    ((3, 3), 2, 1, 1),
    ((3, 3), 1, 1, 1),
    ((3, 2), (1, 2), (0, 1), (2, 1)),
    ((1, 1), 1, 0, 1),
    ((5, 1), (3, 1), (2, 0), 1),
]


def randn(*shape: int, grad: bool = True) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=grad)


@pytest.fixture(autouse=True)
def _setup():
    torch.manual_seed(0)
    torch.set_num_threads(1)  # tensors this small only wait for a second thread


def both_derivatives(fn: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """Value, first and second derivatives of a curved function of fn's output."""
    value = fn(*inputs)
    first = autograd(value.sin().sum(), inputs, create_graph=True)
    second = autograd(sum(f.cos().sum() for f in first), inputs)
    return [value, *first, *second]


def assert_same(ours: list[Tensor], theirs: list[Tensor], tolerance: float = 1e-10) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert (a - b).abs().max() <= tolerance * max(1.0, float(b.detach().abs().max()))


@pytest.fixture(params=["compiled", "torch"])
def kernels(request, monkeypatch) -> str:
    if request.param == "torch":
        monkeypatch.setattr(ops_conv, "covers", lambda *_: False)
    elif ops_native.library() is None:
        pytest.skip("no C++ compiler here that builds metatl/engines/fast/csrc")
    return request.param


@pytest.mark.parametrize("channels", [8, 3])
@pytest.mark.parametrize("window", WINDOWS)
def test_conv2d_is_the_stock_one_to_second_order(kernels, window, channels):
    kernel, *rest = window
    inputs = [randn(2, channels, 7, 8), randn(16, channels, *kernel), randn(16)]
    with rerouted():
        ours = both_derivatives(lambda x, w, b: F.conv2d(x, w, b, *rest), inputs)
    assert_same(ours, both_derivatives(lambda x, w, b: F.conv2d(x, w, b, *rest), inputs))


def test_conv2d_derivatives_by_finite_differences():
    inputs = (randn(1, 2, 5, 4), randn(2, 2, 3, 3), randn(2))
    assert gradcheck(lambda x, w, b: conv2d(x, w, b, (2, 1), (1, 0), (1, 1)), inputs)
    assert gradgradcheck(lambda x, w, b: conv2d(x, w, b, (2, 1), (1, 0), (1, 1)), inputs)


@pytest.mark.parametrize("axes", [(0, 2), (2,), (1, 2)])
def test_normalise_derivatives_by_finite_differences(axes):
    inputs = (randn(3, 2, 4),)
    assert gradcheck(lambda x: normalise(x, axes, 1e-3), inputs)
    assert gradgradcheck(lambda x: normalise(x, axes, 1e-3), inputs)


@pytest.mark.parametrize("axes", [(0, 0), (None, 0), (0, None), (1, 2)])
def test_conv2d_under_vmap_with_shared_and_own_inputs(kernels, axes):
    ax, aw = axes
    x, w = randn(2, 8, 6, 6), randn(8, 8, 3, 3)
    xs = (
        x
        if ax is None
        else torch.stack([randn(2, 8, 6, 6) for _ in range(TASKS)], ax).detach().requires_grad_()
    )
    ws = (
        w
        if aw is None
        else torch.stack([randn(8, 8, 3, 3) for _ in range(TASKS)], aw).detach().requires_grad_()
    )

    def loop(xs: Tensor, ws: Tensor) -> Tensor:
        rows = [xs if ax is None else xs.select(ax, i) for i in range(TASKS)]
        filters = [ws if aw is None else ws.select(aw, i) for i in range(TASKS)]
        return torch.stack([F.conv2d(a, b, None, 2, 1) for a, b in zip(rows, filters, strict=True)])

    def batched(xs: Tensor, ws: Tensor) -> Tensor:
        return vmap(lambda x, w: conv2d(x, w, None, (2, 2), (1, 1), (1, 1)), (ax, aw))(xs, ws)

    assert_same(both_derivatives(batched, [xs, ws]), both_derivatives(loop, [xs, ws]))


def test_conv2d_under_two_vmaps(kernels):
    x, w = randn(2, TASKS, 2, 8, 5, 5), randn(TASKS, 8, 8, 3, 3)
    ours = both_derivatives(
        vmap(vmap(lambda x, w: conv2d(x, w, None, (1, 1), (1, 1), (1, 1))), (0, None)),
        [x, w],
    )
    theirs = both_derivatives(
        lambda x, w: torch.stack(
            [torch.stack([F.conv2d(a, b, None, 1, 1) for a, b in zip(r, w, strict=True)]) for r in x]
        ),
        [x, w],
    )
    assert_same(ours, theirs)


def test_conv1d_is_the_stock_one_to_second_order():
    inputs = [randn(2, 3, 9), randn(4, 3, 5), randn(4)]
    with rerouted():
        ours = both_derivatives(lambda x, w, b: F.conv1d(x, w, b, 2, 2), inputs)
    assert_same(ours, both_derivatives(lambda x, w, b: F.conv1d(x, w, b, 2, 2), inputs))


@pytest.mark.parametrize("options", [{"groups": 2}, {"padding": "same"}, {"padding": "valid", "bias": False}])
def test_what_is_not_covered_runs_as_it_is(options):
    layer = nn.Conv2d(4, 4, 3, **options).double()
    x = randn(2, 4, 6, 6)
    theirs = both_derivatives(layer, [x])
    with rerouted():
        assert_same(both_derivatives(layer, [x]), theirs)


NORMS = {
    "batch": lambda: nn.BatchNorm2d(4, track_running_stats=False),
    "batch, no affine part": lambda: nn.BatchNorm2d(4, affine=False, track_running_stats=False),
    "instance": lambda: nn.InstanceNorm2d(4, affine=True),
    "layer": lambda: nn.LayerNorm([4, 4, 4]),
    "layer, last axis": lambda: nn.LayerNorm(4),
    "layer, no bias": lambda: nn.LayerNorm((4, 4), bias=False),
    "group": lambda: nn.GroupNorm(2, 4),
}


def a_net(norm: str) -> nn.Module:
    """Strided and padded convolutions around a stock norm whose affine part is not the identity."""
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), NORMS[norm](), nn.Tanh(),
        nn.Conv2d(4, 4, 3, padding=1), NORMS[norm](), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return net


def meta_gradients(net: nn.Module, steps: int = 2) -> tuple[list[Tensor], list[Tensor], list[str]]:
    """The outer gradient of a MAML loss: rerouted under vmap, and the stock operations in a loop."""
    params = dict(net.named_parameters())
    dtype = next(iter(params.values())).dtype
    x, y = torch.randn(TASKS, 6, 1, 7, 7, dtype=dtype), torch.randint(3, (TASKS, 6))

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(net, weights, (x,)), y)

    def batched(x: Tensor, y: Tensor) -> Tensor:
        weights = params
        for _ in range(steps):
            grads = grad(loss)(weights, x, y)
            weights = {name: w - 0.5 * grads[name] for name, w in weights.items()}
        return loss(weights, x.flip(0), y)

    def looped(x: Tensor, y: Tensor) -> Tensor:
        weights = params
        for _ in range(steps):
            grads = autograd(loss(weights, x, y), list(weights.values()), create_graph=True)
            weights = {name: w - 0.5 * g for (name, w), g in zip(weights.items(), grads, strict=True)}
        return loss(weights, x.flip(0), y)

    with rerouted():
        ours = autograd(vmap(batched)(x, y).sum(), list(params.values()))
    theirs = autograd(sum(looped(a, b) for a, b in zip(x, y, strict=True)), list(params.values()))
    return list(ours), list(theirs), list(params)


@pytest.mark.parametrize("norm", NORMS)
def test_meta_gradient_with_stock_norms_is_exact(norm):
    ours, theirs, names = meta_gradients(a_net(norm).double())
    largest = max(float(t.abs().max()) for t in theirs)
    worst = {n: float((a - b).abs().max()) / largest for n, a, b in zip(names, ours, theirs, strict=True)}
    assert max(worst.values()) < 1e-10, worst


def test_meta_gradient_in_float32_is_close():
    ours, theirs, _ = meta_gradients(a_net("batch"), steps=1)
    ours, theirs = torch.cat([g.flatten() for g in ours]), torch.cat([g.flatten() for g in theirs])
    assert (ours - theirs).norm() < 1e-3 * theirs.norm()


def test_a_net_may_view_what_a_convolution_gives():
    layer = nn.Conv2d(1, 4, 3)
    x = torch.randn(2, 1, 6, 6)
    with rerouted():
        seen = layer(x).view(x.size(0), -1)
        assert layer(x).view(torch.int32).dtype == torch.int32
    torch.testing.assert_close(seen, layer(x).flatten(1))


def test_a_norm_with_running_moments_is_refused_in_training():
    layer, x = nn.BatchNorm2d(3), torch.randn(2, 3, 4, 4)
    with rerouted(), pytest.raises(MetatlError, match=r"Net\.of"):
        layer(x)
    with rerouted():
        torch.testing.assert_close(layer.eval()(x), x / (1 + layer.eps) ** 0.5)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, w: conv2d(x, w, None, (1, 1), (1, 1), (1, 1)),
        lambda x, w: normalise(x * w.sum(), (0, 2, 3), 1e-5),
    ],
)
def test_a_third_derivative_is_refused(fn):
    x, w = randn(2, 2, 4, 4), randn(2, 2, 3, 3)
    first = autograd(fn(x, w).sin().sum(), [x, w], create_graph=True)
    second = autograd(sum(f.sin().sum() for f in first), [x, w], create_graph=True)
    with pytest.raises(MetatlError, match="third derivative"):
        autograd(sum(s.sin().sum() for s in second), [x, w])

"""Blocks that run as one function agree with their layers through the second derivative, compiled or not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import grad as autograd
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from metatl.engines.fast import block as ops_block
from metatl.engines.fast import native as ops_native
from metatl.engines.fast.block import conv_norm_act
from metatl.engines.fast.block_torch import Block
from metatl.engines.fast.fuse import Fused, find_run, fuse
from metatl.engines.fast.ops import rerouted
from metatl.models import Conv1d, Conv4, ResNet12
from metatl.norm import BatchNorm, Rows, moments_from
from metatl.types import MetatlError

BLOCKS = {  # channels in, channels out, height, width, block
    "stride": (8, 16, 7, 6, Block((2, 2), (1, 1), (1, 1))),
    "pool": (16, 8, 6, 6, Block((1, 1), (1, 1), (1, 1), pool=True)),
    "pool, odd, leaky": (8, 8, 7, 9, Block((1, 1), (1, 1), (1, 1), slope=0.1, pool=True)),
    "no activation, first rows": (8, 8, 6, 6, Block((2, 1), (0, 1), (1, 1), slope=1.0, first=2)),
    "pool, dilated, first rows": (8, 24, 7, 5, Block((1, 1), (1, 1), (2, 1), slope=0.2, pool=True, first=3)),
    "grey": (1, 8, 9, 9, Block((2, 2), (1, 1), (1, 1))),
    "colour": (3, 8, 9, 8, Block((1, 1), (1, 1), (1, 2), pool=True)),
}


@pytest.fixture(autouse=True)
def _setup() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # tensors this small only wait for a second thread


@pytest.fixture(params=["compiled", "torch"])
def kernels(request, monkeypatch) -> str:
    if request.param == "torch":
        monkeypatch.setattr(ops_block, "covers", lambda *_: False)
    elif ops_native.library() is None:
        pytest.skip("no C++ compiler here that builds metatl/engines/fast/csrc")
    return request.param


def layers(x: Tensor, w: Tensor, gamma: Tensor, beta: Tensor, block: Block) -> Tensor:
    """The block, layer by layer."""
    z = F.conv2d(x, w, None, block.stride, block.padding, block.dilation)
    seen = z if block.first is None else z[: block.first]
    mean = seen.mean((0, 2, 3), keepdim=True)
    scale = ((seen - mean).square().mean((0, 2, 3), keepdim=True) + block.eps).rsqrt()
    y = F.leaky_relu((z - mean) * scale * gamma.view(-1, 1, 1) + beta.view(-1, 1, 1), block.slope)
    return F.max_pool2d(y, 2) if block.pool else y


def derivatives(fn, inputs: list[Tensor], by: list[int]) -> list[Tensor]:
    """Value, first and second derivatives of a curved function of fn's output."""
    value, wanted = fn(*inputs), [inputs[i] for i in by]
    first = autograd(value.sin().sum(), wanted, create_graph=True)
    weights = [torch.linspace(0.3, 1.7, f.numel(), dtype=f.dtype).view(f.shape) for f in first]
    second = autograd(sum((w * f).cos().sum() for w, f in zip(weights, first, strict=True)), wanted)
    return [value, *first, *second]


def inputs_for(name: str, dtype: torch.dtype) -> tuple[list[Tensor], Block, list[int]]:
    c, o, h, w, block = BLOCKS[name]
    shapes = [(4, c, h, w), (o, c, 3, 3), (o,), (o,)]
    tensors = [torch.randn(s, dtype=dtype, requires_grad=True) for s in shapes]
    return tensors, block, [0, 1, 2, 3] if c >= 8 else [1, 2, 3]


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_is_its_layers_to_second_order(kernels, name):
    tensors, block, by = inputs_for(name, torch.float64)
    ours = derivatives(lambda *t: conv_norm_act(*t, block), tensors, by)
    for a, b in zip(ours, derivatives(lambda *t: layers(*t, block), tensors, by), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10 * float(b.detach().abs().max()))


def test_the_input_of_a_thin_block_has_a_gradient_too(kernels):
    tensors, block, _ = inputs_for("colour", torch.float64)
    ours = derivatives(lambda *t: conv_norm_act(*t, block), tensors, [0, 1])
    for a, b in zip(ours, derivatives(lambda *t: layers(*t, block), tensors, [0, 1]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10 * float(b.detach().abs().max()))


@pytest.mark.parametrize("name", ["stride", "pool, odd, leaky", "grey"])
def test_compiled_and_torch_agree_in_float32(name, monkeypatch):
    if ops_native.library() is None:
        pytest.skip("no C++ compiler here that builds metatl/engines/fast/csrc")
    c, o, h, w, block = BLOCKS[name]
    wide = [torch.randn(s, requires_grad=True) for s in [(6, c, h, w), (2 * o, c, 3, 3), (2 * o,), (2 * o,)]]
    by = [1, 2, 3]
    ours = derivatives(lambda *t: conv_norm_act(*t, block), wide, by)
    monkeypatch.setattr(ops_block, "covers", lambda *_: False)
    for a, b in zip(ours, derivatives(lambda *t: conv_norm_act(*t, block), wide, by), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.detach().abs().max()))


@pytest.mark.parametrize("axes", [(0, 0, 0), (0, None, None), (None, 0, None), (1, 2, 1)])
def test_tasks_with_shared_and_own_inputs(kernels, axes):
    (x, w, gamma, beta), block, _ = inputs_for("stride", torch.float64)
    stacked = [
        t if a is None else torch.stack([torch.randn_like(t) for _ in range(3)], a).requires_grad_()
        for t, a in zip((x, w, gamma), axes, strict=True)
    ]
    tensors = [*stacked, beta]

    def one_by_one(x: Tensor, w: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        def pick(t: Tensor, axis: int | None, i: int) -> Tensor:
            return t if axis is None else t.select(axis, i)

        rows = [[pick(t, a, i) for t, a in zip((x, w, gamma), axes, strict=True)] for i in range(3)]
        return torch.stack([layers(*row, beta, block) for row in rows])

    ours = derivatives(vmap(lambda *t: conv_norm_act(*t, block), (*axes, None)), tensors, [0, 1, 2, 3])
    for a, b in zip(ours, derivatives(one_by_one, tensors, [0, 1, 2, 3]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10 * float(b.detach().abs().max()))


def meta_gradient(net: nn.Module, x: Tensor, y: Tensor, batched: bool) -> list[Tensor]:
    """A two-step MAML gradient: under vmap and the mode, or one task after another."""
    params = dict(net.named_parameters())

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return -functional_call(net, weights, (x,)).log_softmax(-1).gather(-1, y.unsqueeze(-1)).mean()

    def outer(x: Tensor, y: Tensor) -> Tensor:
        weights = params
        for _ in range(2):
            grads = grad(loss)(weights, x, y)
            weights = {name: p - 0.3 * grads[name] for name, p in weights.items()}
        with moments_from(Rows(first=3)):
            return loss(weights, x.flip(0), y)

    if batched:
        with rerouted():
            total = vmap(outer)(x, y).sum()
    else:
        total = sum(outer(a, b) for a, b in zip(x, y, strict=True))
    grads = autograd(total, list(params.values()), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(grads, params.values(), strict=True)]


NETS = {
    "conv4, stride": (lambda: Conv4((1, 17, 17), 3, filters=8), (1, 17, 17)),
    "conv4, pool": (lambda: Conv4((3, 18, 18), 3, filters=8, form="pool"), (3, 18, 18)),
    "conv1d": (lambda: Conv1d((4, 30), 3, filters=8, blocks=2), (4, 30)),
}


@pytest.mark.parametrize("name", NETS)
def test_meta_gradient_of_a_fused_net(kernels, name):
    make, shape = NETS[name]
    net = make().double()
    x, y = torch.randn(2, 5, *shape).double(), torch.randint(3, (2, 5))
    fused = fuse(net)
    assert any(isinstance(m, Fused) for m in fused.modules())
    ours, theirs = meta_gradient(fused, x, y, batched=True), meta_gradient(net, x, y, batched=False)
    largest = max(float(t.abs().max()) for t in theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).abs().max() < 1e-10 * largest


def test_fusing_shares_layers_and_keeps_names():
    net = Conv4((1, 16, 16), 3, filters=8)
    fused = fuse(net)
    assert isinstance(fused.blocks[0], Fused)
    assert not any(isinstance(m, Fused) for m in net.modules())
    assert list(dict(fused.named_parameters())) == list(dict(net.named_parameters()))
    assert all(a is b for a, b in zip(fused.parameters(), net.parameters(), strict=True))
    assert fuse(ResNet12((3, 16, 16), 2, widths=(8, 8, 8, 8))).head is not None


@pytest.mark.parametrize("rows", [Rows(frozen=True), Rows(sink={}), Rows(first=2), Rows()])
def test_a_fused_net_gives_the_same_output_wherever_the_moments_come_from(rows):
    net = Conv4((1, 16, 16), 3, filters=8, form="pool").double()
    for module in net.modules():
        if isinstance(module, BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    x = torch.randn(4, 1, 16, 16).double()
    with moments_from(rows):
        torch.testing.assert_close(fuse(net)(x), net(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "row",
    [
        [nn.Conv2d(8, 8, 3, groups=2), BatchNorm(8)],
        [nn.Conv2d(8, 8, 3, padding="same"), BatchNorm(8)],
        [nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), BatchNorm(8)],
        [nn.Conv2d(8, 8, 3), BatchNorm(8, affine=False)],
        [nn.Conv2d(8, 8, 3), nn.ReLU()],
        [nn.Conv2d(8, 8, 3)],
        [nn.ReLU(), nn.Conv2d(8, 8, 3)],
        [nn.Conv3d(8, 8, 3), BatchNorm(8)],
    ],
)
def test_what_is_no_run_is_left_alone(row):
    assert find_run(row) is None


@pytest.mark.parametrize(
    ("rest", "taken"),
    [
        ([nn.ReLU(), nn.MaxPool2d(2)], 4),
        ([nn.LeakyReLU(0.1), nn.MaxPool2d(3)], 3),
        ([nn.Tanh()], 2),
        ([nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)], 3),
        ([], 2),
    ],
)
def test_a_run_ends_where_it_should(rest, taken):
    run = find_run([nn.Conv2d(8, 8, 3), BatchNorm(8), *rest])
    assert run is not None
    assert run.layers == taken


def test_a_third_derivative_is_refused(kernels):
    (x, w, gamma, beta), block, _ = inputs_for("stride", torch.float64)
    first = autograd(conv_norm_act(x, w, gamma, beta, block).sin().sum(), [x, w], create_graph=True)
    second = autograd(sum(f.sin().sum() for f in first), [x, w], create_graph=True)
    with pytest.raises(MetatlError, match="third derivative"):
        autograd(sum(s.sin().sum() for s in second), [x, w])

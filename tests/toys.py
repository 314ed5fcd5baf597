"""Small nets, tasks and data for the laws: float64 for laws of numbers, float32 for laws of bytes."""

from __future__ import annotations

import torch
from torch import Tensor

from metatl import tree
from metatl.data import Bank, ClassData
from metatl.models import MLP
from metatl.net import Net
from metatl.types import Batch, Episode, Guide, Params, Split, Transfer

WAY, WIDTH, INPUTS = 3, 5, 4


def toy_net(norm: bool = False, outputs: int = WAY, dtype: torch.dtype = torch.float64) -> Net:
    """A tanh net 4 -> 5 -> outputs with nothing at its usual zeros and ones."""
    module = MLP((INPUTS,), outputs, (WIDTH,), "tanh", norm).to(dtype)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.2 * torch.randn_like(p))
        for b in module.buffers():
            b.add_(0.3 * torch.rand_like(b))
    return Net.of(module)


def rows(count: int, dtype: torch.dtype = torch.float64) -> Batch:
    """Random examples with every class in turn."""
    return Batch(torch.randn(count, INPUTS, dtype=dtype), torch.arange(count) % WAY)


def toy_task(support: int = 6, query: int = 9) -> Episode:
    """One random task."""
    return Episode(rows(support), rows(query))


def toy_tasks(count: int) -> Episode:
    """A meta-batch."""
    return tree.gather([toy_task() for _ in range(count)], torch.stack)


def scales(params: Params) -> Guide:
    """A guide with a number, a matrix with zeros, and a vector."""
    guide = {name: torch.rand_like(p) for name, p in params.items()}
    first, second = list(guide)[:2]
    guide[first] = guide[first] * (guide[first] > 0.4)
    guide[second] = torch.tensor(0.3, dtype=params[second].dtype)
    return guide


def with_guide(transfer: Transfer, guide: Guide) -> Transfer:
    """The same weights under another guide."""
    return Transfer(transfer.params, guide, transfer.buffers)


def assert_bitwise(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Same names, same bits."""
    assert list(ours) == list(theirs)
    for name, leaf in theirs.items():
        assert torch.equal(ours[name], leaf), name


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float = 1e-12) -> None:
    """Same names, same numbers up to rounding."""
    assert list(ours) == list(theirs)
    for name, leaf in theirs.items():
        torch.testing.assert_close(
            ours[name], leaf, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


def toy_data(classes: int = 8, examples: int = 10) -> ClassData:
    """Gaussian blobs, float32; three splits of disjoint classes."""
    draw = torch.Generator().manual_seed(7)

    def bank() -> Bank:
        centres = 1.5 * torch.randn(classes, 1, INPUTS, generator=draw)
        x = centres + torch.randn(classes, examples, INPUTS, generator=draw)
        return Bank.from_arrays(x.flatten(0, 1), torch.arange(classes).repeat_interleave(examples))

    splits: tuple[Split, ...] = ("meta_train", "meta_val", "meta_test")
    return ClassData("blobs", {split: bank() for split in splits})

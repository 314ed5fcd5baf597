"""LoRA and DoRA at convolutions: a change of the matrix [out, in kh kw], of rank r, whatever the stride."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from metatl import Net
from metatl.testing import check_transform
from metatl.transforms import DoRA, LoRA
from metatl.types import MetatlError, Params, Transfer

LAYERS: dict[str, Any] = {
    "strided": lambda: nn.Conv2d(3, 5, (3, 2), (2, 1), (1, 0)),
    "dilated": lambda: nn.Conv2d(3, 5, 3, dilation=2, padding="same"),
    "of signals": lambda: nn.Conv1d(3, 5, 4, 2, 1, bias=False),
}


def made(kind: str) -> tuple[Net, torch.Tensor]:
    torch.manual_seed(0)
    layer = LAYERS[kind]()
    x = torch.randn(2, 3, *[8] * (layer.weight.dim() - 2))
    width = layer(x).flatten(1).shape[1]
    return Net.of(nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.Linear(width, 4)).double()), x.double()


def merged_alike(transform: LoRA | DoRA, net: Net, x: torch.Tensor) -> tuple[Transfer, Params, Transfer]:
    """What it starts from, its weights moved at random, and these merged, whose outputs are the same."""
    check_transform(transform, net, net.start(), x)
    there, start = transform(net, net.start())
    moved = {n: p + torch.randn_like(p) if "lora" in n else p for n, p in start.params.items()}
    plain, merged = transform.merge(there, replace(start, params=moved))
    torch.testing.assert_close(
        plain(merged.params, merged.buffers, x), there(moved, start.buffers, x), rtol=1e-10, atol=1e-10
    )
    return start, moved, merged


@pytest.mark.parametrize("kind", LAYERS)
def test_the_kernel_changes_by_a_matrix_of_this_rank(kind: str) -> None:
    net, x = made(kind)
    lora = LoRA(2, alpha=3.0, kernels=True)
    start, _, merged = merged_alike(lora, net, x)
    change = (merged.params["0.weight"] - start.params["0.weight"]).flatten(1)
    assert int(torch.linalg.matrix_rank(change)) == 2
    weight = start.params["0.weight"]
    added = sum(p.numel() for n, p in start.params.items() if "lora" in n)
    assert added == 2 * (weight[0].numel() + len(weight))


@pytest.mark.parametrize("kind", LAYERS)
def test_a_decomposed_kernel_has_magnitudes_and_directions(kind: str) -> None:
    """m / |V| * (V x) + b, V = W + s B A by kernel, each of the length that its magnitude says."""
    net, x = made(kind)
    dora = DoRA(2, alpha=3.0, kernels=True)
    start, moved, merged = merged_alike(dora, net, x)
    weight = start.params["0.weight"]
    down, up = (moved[f"0.lora_{part}.weight"].flatten(1) for part in "AB")
    whole = weight + 1.5 * (up @ down).view_as(weight)
    lengths = moved["0.lora_magnitude_vector"]
    expected = (
        lengths.view(-1, *(1,) * (weight.dim() - 1))
        * whole
        / whole.flatten(1).norm(dim=1).view(-1, *(1,) * (weight.dim() - 1))
    )
    torch.testing.assert_close(merged.params["0.weight"], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("way", [LoRA, DoRA])
@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 1, 2), nn.Conv2d(3, 5, 1, padding=1), nn.Conv1d(3, 5, 1)])
@pytest.mark.parametrize("targets", ["all-linear", "^0$"])
def test_a_convolution_of_one_point_is_linear_with_any_stride(
    layer: nn.Module, targets: str, way: type[LoRA | DoRA]
) -> None:
    x = torch.randn(2, 3, *[8] * (layer.get_parameter("weight").dim() - 2)).double()
    width = layer.double()(x).flatten(1).shape[1]
    net = Net.of(nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.Linear(width, 4)).double())
    lora = way(2, targets=targets)
    merged_alike(lora, net, x)


@pytest.mark.parametrize("way", [LoRA, DoRA])
def test_convolutions_are_taken_where_they_are_asked_for_alone(way: type[LoRA | DoRA]) -> None:
    net, _ = made("strided")
    with pytest.raises(MetatlError, match="no layer is meant"):
        way(2)(net, net.start())
    grouped = Net.of(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(), nn.Linear(4, 2)))
    with pytest.raises(MetatlError, match="no layer is meant"):
        way(2, kernels=True)(grouped, grouped.start())

"""PatchMix between two domains: shares and labels, its ends, and what it is on tokens of patches."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from metatl import importing
from metatl.data import Domain, PatchMix
from metatl.data.patch_mix import by_patches
from metatl.types import MetatlError
from tests.laws.test_bridges import written

SHAPES = {"pictures": ((3, 12, 8), 4, (3, 2)), "columns": ((10,), 5, (2,))}


@pytest.mark.parametrize("kind", SHAPES)
def test_every_patch_has_one_share_and_the_row_their_mean(kind: str) -> None:
    shape, patch, counts = SHAPES[kind]
    source, target = torch.ones(6, *shape), torch.zeros(6, *shape)
    mixed, share = PatchMix(6, patch).mixed(3, source, target)
    found = mixed.reshape(6, -1).unique(dim=1)  # of a picture of ones in one of zeros: the shares
    assert all(len(row.unique()) == torch.Size(counts).numel() for row in mixed)
    assert found.min() > 0
    assert found.max() < 1
    torch.testing.assert_close(share, mixed.flatten(1).mean(1))
    for axis in range(len(counts)):
        side = mixed.movedim(-1 - axis, -1)
        blocks = side.reshape(*side.shape[:-1], -1, patch)
        assert torch.equal(blocks.amin(-1), blocks.amax(-1))


@pytest.mark.parametrize("kind", SHAPES)
def test_at_share_one_it_is_the_source_and_at_share_none_the_target(kind: str) -> None:
    shape, patch, counts = SHAPES[kind]
    source, target = (torch.randn(4, *shape, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    whole = torch.ones(4, *counts)
    assert torch.equal(by_patches(whole, source, target, patch), source)
    assert torch.equal(by_patches(0 * whole, source, target, patch), target)
    same, _ = PatchMix(4, patch).mixed(0, source, source)
    torch.testing.assert_close(same, source)


def test_shares_follow_their_distribution() -> None:
    source = torch.ones(400, 40)
    mixed, _ = PatchMix(400, 1, a=2.0, b=6.0).mixed(0, source, 0 * source)
    of_target = 1 - mixed.double().flatten()
    assert float(of_target.mean()) == pytest.approx(2 / 8, abs=0.005)
    assert float(of_target.var()) == pytest.approx(12 / (64 * 9), abs=0.001)


def test_tokens_of_a_linear_layer_of_patches_are_mixed_by_the_same_shares() -> None:
    draw = torch.Generator().manual_seed(0)
    source, target = (torch.randn(3, 3, 16, 16, generator=draw) for _ in range(2))
    share, layer = torch.rand(3, 4, 4, generator=draw), nn.Conv2d(3, 7, 4, stride=4)
    with torch.no_grad():
        tokens = layer(by_patches(share, source, target, 4))
        expected = share[:, None] * layer(source) + (1 - share[:, None]) * layer(target)
    torch.testing.assert_close(tokens, expected, atol=1e-5, rtol=1e-5)


def test_tokens_of_a_vision_transformer_are() -> None:
    if find_spec("timm") is None:
        pytest.skip("timm is not installed")
    layer = importing.found("timm.create_model")(
        "vit_tiny_patch16_224", img_size=32, num_classes=2
    ).patch_embed.eval()
    source, target = (torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    share = torch.tensor([[[0.2, 0.9], [0.5, 0.0]], [[1.0, 0.3], [0.7, 0.4]]])
    with torch.no_grad():
        tokens = layer(by_patches(share, source, target, 16))
        one, other = layer(source), layer(target)
    weight = share.flatten(1)[..., None]
    torch.testing.assert_close(tokens, weight * one + (1 - weight) * other, atol=1e-4, rtol=1e-4)


def test_mixed_rows_are_of_the_rows_that_other_streams_draw(tmp_path: Path) -> None:
    data, bridge = written(tmp_path, 12, 12).load(), PatchMix(8, 4)
    source, target = data.batch("meta_train", 8, 0, 1), Domain(size=8).draw(data, 0, 1)
    drawn = bridge.draw(data, 0, 1)
    assert torch.equal(drawn.y["label"], source.y)
    inside = (drawn.x >= torch.minimum(source.x, target.x) - 1e-6) & (
        drawn.x <= torch.maximum(source.x, target.x) + 1e-6
    )
    assert inside.all()
    assert torch.equal(drawn.x, bridge.draw(data, 0, 1).x)
    assert not torch.equal(drawn.y["share"], bridge.draw(data, 0, 2).y["share"])


def test_what_has_no_whole_patches_is_one_line(tmp_path: Path) -> None:
    data = written(tmp_path, 12, 12).load()
    with pytest.raises(MetatlError, match="no whole patches of 5"):
        PatchMix(8, 5).check(data)
    with pytest.raises(MetatlError, match="no whole patches of 1"):
        PatchMix(8, 1).mixed(0, torch.ones(2, 3, 4), torch.ones(2, 3, 4))
    with pytest.raises(MetatlError, match="a and b above 0"):
        PatchMix(a=0.0)

"""Masked rows and their reconstruction: what is replaced, by what, and what an error is a mean over."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metatl import Net, train
from metatl.data import ClassData, Masked, Unlabelled
from metatl.data.bank import Bank
from metatl.engines import Loop
from metatl.errors import MetatlError
from metatl.learners import Supervised
from metatl.models import MLP, PatchDecoder
from metatl.objectives import Reconstruction
from metatl.objectives.term import Anchor
from metatl.pretrained import vision
from metatl.rules import Adam
from metatl.types import Batch
from metatl.weights.fitting import best_fit

COLUMNS = 6
ANCHOR = Anchor({}, None)


def table(seed: int, rows: int = 400, related: bool = True) -> ClassData:
    """Rows whose columns are two hidden values and noise, or nothing but noise."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, COLUMNS, generator=draws)
    if related:
        mixing = torch.randn(2, COLUMNS, generator=draws)
        x = torch.randn(rows, 2, generator=draws) @ mixing / mixing.norm(dim=0) + 0.1 * x
    return ClassData("made", {"meta_train": Bank.sorted_by_class(x, [rows // 2] * 2, ("a", "b"))})


def drawn(stream: Masked, data: ClassData, step: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    batch: Any = stream.draw(data, 5, step)
    return batch.x, batch.y["values"], batch.y["masked"]


@pytest.mark.parametrize("fill", ["zero", "marginal", "swap", "token"])
def test_values_are_replaced_at_the_rate_asked_for(fill: Any) -> None:
    data, stream = table(0), Masked(size=200, probability=0.3, fill=fill)
    x, values, mask = drawn(stream, data)
    torch.testing.assert_close(torch.where(mask, values, x), values, rtol=0, atol=0)
    assert ((x != values) == mask).all()
    share = mask.float().mean().item()  # of 1,200 values; standard error 1.3 points
    assert 0.25 < share < 0.35
    assert not torch.equal(mask, drawn(stream, data, 1)[2])
    again = drawn(stream, data)
    assert torch.equal(x, again[0])
    assert torch.equal(mask, again[2])


def test_what_stands_in_their_place() -> None:
    data = table(1, rows=40)
    rows = data.banks["meta_train"].x
    x, _, mask = drawn(Masked(size=40, fill="zero"), data)
    assert (x[mask] == 0).all()
    x, _, mask = drawn(Masked(size=40, fill="token", token=7.0), data)
    assert (x[mask] == 7).all()
    x, _, mask = drawn(Masked(size=40, probability=0.9, fill="marginal"), data)
    for column in range(COLUMNS):
        assert torch.isin(x[:, column], rows[:, column]).all()
    of_one = [torch.isclose(rows[:, m], x[i, m]).all(1).any() for i, m in enumerate(mask) if m.sum() > 1]
    assert not any(of_one)
    x, _, mask = drawn(Masked(size=40, probability=0.9, fill="swap"), data)
    of_one = [torch.isclose(rows[:, m], x[i, m]).all(1).any() for i, m in enumerate(mask) if m.sum() > 1]
    assert len(of_one) > 20
    assert all(of_one)


def test_a_value_replaced_by_its_equal_is_not_masked() -> None:
    data = ClassData("counts", {"meta_train": Bank.sorted_by_class(torch.zeros(20, 3), [10, 10], ("a", "b"))})
    assert not drawn(Masked(size=20, probability=0.9), data)[2].any()


def test_the_loss_is_the_formula() -> None:
    draws = torch.Generator().manual_seed(0)
    x, output = torch.randn(5, 3, generator=draws), torch.randn(5, 6, generator=draws)
    mask = torch.rand(5, 3, generator=draws) < 0.5
    batch = Batch(x, {"values": x, "masked": mask})
    error = (output[:, :3] - x).square()
    torch.testing.assert_close(Reconstruction(2.0)({}, output[:, :3], batch, ANCHOR), 2 * error[mask].mean())
    vime = Reconstruction(2.0, "all", 1.0)({}, output, batch, ANCHOR)
    told = F.binary_cross_entropy_with_logits(output[:, 3:], mask.float())
    torch.testing.assert_close(vime, 2 * error.mean() + told)


def learned(data: ClassData, stream: Masked, term: Reconstruction) -> dict[str, float]:
    learner = Supervised(300, 64, Adam(3e-3), (term,), streams={"source": stream})
    net = Net.of(MLP((COLUMNS,), learner.outputs(data), (32,))).with_outputs(learner.outputs(data))
    learner.check(net, net.start(), data)
    seen = list[dict[str, float]]()
    recorders = [lambda state, metrics: seen.append({n: m.item() for n, m in metrics.items()})]
    train(learner, net, Loop(), learner.init(net, net.start()), data, 0, recorders)  # pyright: ignore[reportArgumentType]
    return {name: sum(one[name] for one in seen[-50:]) / 50 for name in seen[-1]}


@pytest.mark.parametrize("fill", ["zero", "marginal", "swap", "token"])
def test_related_columns_are_filled_in_better_than_by_their_means(fill: Any) -> None:
    found = learned(table(2), Masked(size=64, fill=fill, token=-3.0), Reconstruction())
    assert found["masked_error"] < 0.5 * found["mean_error"]


def test_columns_of_noise_are_not() -> None:
    found = learned(table(3, 4000, related=False), Masked(size=256), Reconstruction())
    assert found["masked_error"] > 0.97 * found["mean_error"]


def test_mask_and_values_are_learned_together() -> None:
    found = learned(table(4), Masked(size=64, tell=True), Reconstruction(2.0, "all", 1.0))
    assert found["masked_error"] < 0.7 * found["mean_error"]


def pictures(seed: int, rows: int = 64) -> ClassData:
    """Pictures [1, 32, 32] of nearly one grey: what a patch holds can be told from the others."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 1, 1, 1, generator=draws) + 0.1 * torch.randn(rows, 1, 32, 32, generator=draws)
    return ClassData("made", {"meta_train": Bank.sorted_by_class(x, [rows // 2] * 2, ("a", "b"))})


def test_patches_are_replaced_as_a_whole() -> None:
    x, values, mask = drawn(Masked(size=60, probability=0.5, fill="token", patch=8), pictures(0))
    assert torch.equal(x[mask], torch.full_like(x[mask], -10.0))
    squares = F.unfold(mask.float(), 8, stride=8).mean(1)
    assert ((squares == 0) | (squares == 1)).all()
    assert 0.4 < squares.mean() < 0.6
    assert torch.equal(values, pictures(0).banks["meta_train"].x[_places(values, pictures(0))])


def _places(values: Tensor, data: ClassData) -> Tensor:
    return torch.cdist(values.flatten(1), data.banks["meta_train"].x.flatten(1)).argmin(1)


def test_a_transformer_fills_in_patches_and_its_weights_fit_the_net_of_its_name() -> None:
    size: dict[str, Any] = {"patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
    data, stream = pictures(1), Masked(size=16, probability=0.4, fill="zero", patch=8)
    learner = Supervised(60, 16, Adam(3e-3), (Reconstruction(),), streams={"source": stream})
    module = PatchDecoder((1, 32, 32), 1024, "vit_tiny_patch16_224", size)
    x = torch.randn(2, 1, 32, 32)
    tokens = module.body.forward_features(x)[:, 1:]
    first = module.head(tokens)[:, 5].view(2, 8, 8)  # the second patch of the second row
    torch.testing.assert_close(module(x).view(2, 32, 32)[:, 8:16, 8:16], first)
    net, seen = Net.of(module, "head"), list[dict[str, float]]()
    layer = {"head.weight": torch.randn(3, 32), "head.bias": torch.randn(3)}
    params = {**net.start().params, **layer}
    of_task = F.linear(tokens.mean(1), layer["head.weight"], layer["head.bias"])
    torch.testing.assert_close(net.with_outputs(3)(params, net.start().buffers, x), of_task)
    learner.check(net, net.start(), data)
    recorders = [lambda state, metrics: seen.append({n: m.item() for n, m in metrics.items()})]
    state = train(learner, net, Loop(), learner.init(net, net.start()), data, 0, recorders)  # pyright: ignore[reportArgumentType]
    ends = {name: sum(one[name] for one in seen[-10:]) / 10 for name in seen[-1]}
    assert ends["masked_error"] < 0.7 * ends["mean_error"]
    plain = vision.timm().create_model("vit_tiny_patch16_224", num_classes=3, img_size=32, in_chans=1, **size)
    fit = best_fit(plain.state_dict(), state.transfer.params)
    assert set(fit.new) == {"head.weight", "head.bias"} or "head.weight" in fit.other_shape
    assert torch.equal(
        fit.tensors["blocks.0.attn.qkv.weight"], state.transfer.params["body.blocks.0.attn.qkv.weight"]
    )


def test_labels_are_not_read() -> None:
    stream, data = Masked(size=30), table(5)
    other = replace(
        data, banks={"meta_train": Bank.sorted_by_class(data.banks["meta_train"].x, [100, 300], ("a", "b"))}
    )
    assert torch.equal(stream.draw(data, 0, 3).x, stream.draw(other, 0, 3).x)


def test_refusals_are_one_line() -> None:
    data = table(6)
    for wrong, said in [
        (lambda: Masked(probability=1.0), "between 0 and 1"),
        (lambda: Masked(fill="noise"), "give zero, marginal"),  # pyright: ignore[reportArgumentType]
        (lambda: Masked(size=1), "2 rows"),
        (lambda: Masked(fill="token", token=math.nan), "finite value"),
        (lambda: Masked(patch=0), "1 pixel or more"),
        (lambda: Masked(patch=-8), "1 pixel or more"),
        (lambda: Reconstruction(-1.0), "weights of 0 or more"),
        (
            lambda: Reconstruction()({}, torch.zeros(2, 3), Batch(torch.zeros(2, 3), torch.zeros(2)), ANCHOR),
            "masked rows",
        ),
        (lambda: learned(data, Masked(size=8), Reconstruction(1.0, "all", 1.0)), "tell: true"),
        (lambda: Masked().check(_counts()), "real values"),
    ]:
        with pytest.raises(MetatlError, match=said):
            wrong()
    assert Unlabelled().outputs(data) is None


def _counts() -> ClassData:
    return ClassData(
        "c", {"meta_train": Bank.sorted_by_class(torch.ones(4, 3, dtype=torch.int64), [2, 2], ("a", "b"))}
    )

"""Several targets at once: one is ordinary training, missing ones have no gradient, and how nets share."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metatl.aggregates import MGDA, Aggregate, GradNorm, Mean, NashMTL, PCGrad, Uncertainty, UPGrad
from metatl.data import LabelledRows
from metatl.data.many_targets import ManyTargets
from metatl.engines import Loop
from metatl.learners import State, Supervised
from metatl.models import CoupledNets, CrossStitch, MaskedTrunk, SharedTrunk
from metatl.net import Net
from metatl.objectives import OfTarget, SoftSharing
from metatl.objectives.term import Anchor
from metatl.rules import Adam
from metatl.train import train
from metatl.types import Batch, MetatlError
from tests.toys import assert_bitwise, assert_close

TARGETS = {"points": 3, "size": 1}
TERMS = (OfTarget("points"), OfTarget("size"))
NOTHING = Anchor({}, None)


def data(n: int = 48) -> ManyTargets:
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(0))
    y = {"points": x[:, :3].argmax(1), "size": x[:, :1] + x[:, 3:]}
    y["points"][::5] = -1
    y["size"][::7] = torch.nan
    return ManyTargets("toy", {"meta_train": Batch(x, y)})


def net_of(targets: dict[str, int] = TARGETS, kind: Any = SharedTrunk, **given: Any) -> Net:
    torch.manual_seed(1)
    return Net.of(kind((4,), 1, targets, hidden=(6, 5), **given))


def learned(net: Net, terms: Any, aggregate: Aggregate | None, steps: int = 6, **other: Any) -> State:
    learner = Supervised(
        steps,
        16,
        Adam(1e-2),
        terms,
        streams={"source": LabelledRows("meta_train", 16)},
        aggregate=aggregate,
        **other,
    )
    learner.check(net, net.start(), data())
    return train(learner, net, Loop(), learner.init(net, net.start()), data(), seed=0)


@pytest.mark.parametrize("aggregate", [Mean(), PCGrad(), MGDA(), UPGrad(), NashMTL()])
def test_one_task_is_ordinary_training(aggregate: Aggregate) -> None:
    one = {"points": 3}
    alone = learned(net_of(one), TERMS[:1], None).transfer.params
    assert_bitwise(learned(net_of(one), TERMS[:1], aggregate).transfer.params, alone)


@pytest.mark.parametrize("aggregate", [Mean(), PCGrad(), MGDA(), UPGrad()])
def test_heads_get_their_own_gradient_and_copies_are_one_task(aggregate: Aggregate) -> None:
    """Three heads that start alike and read one target: trunk and heads move as one task's."""
    net, batch = net_of({"a": 3, "b": 3, "c": 3}), data().parts["meta_train"]
    start = {n: p.double() for n, p in net.start().params.items()}
    for part in ("weight", "bias"):
        for i in "12":
            start[f"heads.{i}.{part}"] = start[f"heads.0.{part}"].clone()
    y = dict.fromkeys("abc", batch.y["points"])
    leaves = {n: p.requires_grad_() for n, p in start.items()}
    output = net(leaves, {}, batch.x.double())
    losses = [OfTarget(name)({}, output, Batch(batch.x, y), NOTHING) for name in "abc"]
    kept = OfTarget("a")({}, net(leaves, {}, batch.x.double()), Batch(batch.x, y), NOTHING)
    found, _ = aggregate.over_losses(losses, leaves, {})
    wanted = torch.autograd.grad(kept, list(leaves.values()), allow_unused=True)
    for (name, leaf), own in zip(leaves.items(), wanted, strict=True):
        key = name.replace("heads.1", "heads.0").replace("heads.2", "heads.0")
        own = dict(zip(leaves, wanted, strict=True))[key]
        assert own is not None
        assert torch.allclose(found[name], own, atol=1e-9), name
        assert leaf.shape == own.shape


def test_a_missing_target_has_no_gradient() -> None:
    output = {"points": torch.randn(6, 3, requires_grad=True), "size": torch.randn(6, 1, requires_grad=True)}
    y = {
        "points": torch.tensor([0, -1, 2, 1, -1, 0]),
        "size": torch.tensor([1.0, 2, torch.nan, 3, 4, 5])[:, None],
    }
    loss = sum(term({}, output, Batch(torch.zeros(6, 1), y), NOTHING) for term in TERMS)
    assert isinstance(loss, Tensor)
    loss.backward()
    for name, gone in {"points": [1, 4], "size": [2]}.items():
        grad = output[name].grad
        assert grad is not None
        assert grad.abs().sum(1).eq(0).nonzero().flatten().tolist() == gone
    output = {name: one.detach() for name, one in output.items()}
    rows = [0, 2, 3, 5]
    short = Batch(torch.zeros(4, 1), {"points": y["points"][rows]})
    whole = TERMS[0]({}, output, Batch(torch.zeros(6, 1), y), NOTHING)
    assert float(whole) == pytest.approx(
        float(TERMS[0]({}, {"points": output["points"][rows]}, short, NOTHING))
    )
    none = Batch(torch.zeros(6, 1), {"points": torch.full((6,), -1), "size": torch.full((6, 1), torch.nan)})
    assert [float(term({}, output, none, NOTHING)) for term in TERMS] == [0.0, 0.0]


def test_a_row_without_a_target_changes_nothing_of_it() -> None:
    """Another x in the rows without the size: the size's own head learns the same."""
    held = data()
    batch = held.parts["meta_train"]
    x = batch.x.clone()
    x[batch.y["size"].isnan().flatten()] = 9.0
    net = net_of({"size": 1})
    learner = Supervised(5, 48, Adam(1e-2), TERMS[1:], streams={"source": LabelledRows("meta_train", 48)})
    found = [
        train(learner, net, Loop(), learner.init(net, net.start()), ManyTargets("toy", {"meta_train": b}), 0)
        for b in (batch, batch._replace(x=x))
    ]
    assert_close(found[0].transfer.params, found[1].transfer.params, 1e-6)


@pytest.mark.parametrize("aggregate", [PCGrad(), Uncertainty(), GradNorm()])
def test_resumes_to_the_bit(aggregate: Aggregate) -> None:
    net, held = net_of(), data()
    streams: dict[str, Any] = {"source": LabelledRows("meta_train", 16)}
    learner = Supervised(4, 16, Adam(1e-2), TERMS, "constant", streams=streams, aggregate=aggregate)
    half = train(replace(learner, steps=2), net, Loop(), learner.init(net, net.start()), held, 0)
    ended = train(learner, net, Loop(), half, held, 0)
    whole = train(learner, net, Loop(), learner.init(net, net.start()), held, 0)
    assert_bitwise(ended.transfer.params, whole.transfer.params)
    assert_bitwise(ended.memory["aggregate"], whole.memory["aggregate"])


def test_cross_stitch_with_the_identity_is_separate_nets() -> None:
    stitched, apart = net_of(kind=CrossStitch, same=1.0, rate=1.0), net_of(shared=0)
    params = stitched.start().params
    taken = {n: params[n].clone().requires_grad_() for n in apart.start().params}
    mine = {n: p.clone().requires_grad_() for n, p in params.items()}
    batch = data().parts["meta_train"]
    values = [
        sum(t({}, net(p, {}, batch.x), batch, NOTHING) for t in TERMS)
        for net, p in ((apart, taken), (stitched, mine))
    ]
    assert torch.equal(*values)  # type: ignore[arg-type]
    ours, theirs = (
        dict(zip(p, torch.autograd.grad(v, list(p.values())), strict=True))  # type: ignore[arg-type]
        for v, p in zip(values, (taken, mine), strict=True)
    )
    for name, leaf in ours.items():
        assert torch.allclose(leaf, theirs[name], atol=1e-7), name


def test_separate_nets_do_not_hear_of_each_other() -> None:
    """shared=0 learns what nets of one target do, from the same start."""
    both = learned(net_of(shared=0), TERMS, None).transfer.params
    start, alone = net_of(shared=0).start(), net_of({"points": 3}, shared=0)
    begun = replace(alone.start(), params={n: start.params[n] for n in alone.start().params})
    learner = Supervised(6, 16, Adam(1e-2), TERMS[:1], streams={"source": LabelledRows("meta_train", 16)})
    found = train(learner, alone, Loop(), learner.init(alone, begun), data(), 0).transfer.params
    assert_bitwise(found, {name: both[name] for name in found})


@pytest.mark.parametrize("form", ["distance", "trace_norm"])
def test_soft_sharing_by_hand(form: Any) -> None:
    a, b = torch.randn(2, 3), torch.randn(2, 3)
    params = {"nets.0.w": a, "nets.1.w": b, "nets.0.head": torch.ones(1), "other": torch.ones(2)}
    found = SoftSharing(("nets.0", "nets.1"), 2.0, form)(params, None, Batch(a), NOTHING)
    stacked = torch.stack([a.flatten(), b.flatten()])
    wanted = (a - b).square().sum() if form == "distance" else torch.linalg.matrix_norm(stacked, "nuc")
    assert float(found) == pytest.approx(2 * float(wanted), rel=1e-5)


def test_depth_of_sharing() -> None:
    counts = [sum(p.numel() for p in net_of(shared=s).module.parameters()) for s in (0, 1, None)]
    assert counts[0] > counts[1] > counts[2]
    pictures = SharedTrunk((1, 8, 8), 1, TARGETS, (4,), (5,))
    assert {n: list(y.shape) for n, y in pictures(torch.zeros(2, 1, 8, 8)).items()} == {
        "points": [2, 3],
        "size": [2, 1],
    }
    assert isinstance(copy.deepcopy(pictures), nn.Module)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: OfTarget("a", weight=-1.0), "weight is -1"),
        (lambda: SoftSharing(("a",)), "two nets or more"),
        (lambda: learned(net_of(), (OfTarget("colour"),), None), "no target 'colour'"),
        (lambda: learned(net_of({"size": 1}), TERMS, None), "no such output"),
        (lambda: SharedTrunk((4,), 1, {}), "targets is"),
        (lambda: MaskedTrunk((4,), 1, TARGETS, kept=0.0), "kept is 0.0"),
        (lambda: SharedTrunk((4,), 1, TARGETS, (4,)), "filters are of pictures"),
        (lambda: learned(net_of(), (OfTarget("size", stream="b"),), None), "stream 'b'"),
    ],
)
def test_what_cannot_be_is_one_line(made: Any, said: str) -> None:
    with pytest.raises(MetatlError, match=said):
        made()


def test_coupled_nets_start_as_cross_stitch_and_with_the_identity_as_separate_nets() -> None:
    x = data().parts["meta_train"].x
    pairs = [
        (net_of(kind=CoupledNets), net_of(kind=CrossStitch, rate=1.0)),
        (net_of(kind=CoupledNets, same=1.0), net_of(kind=CrossStitch, same=1.0)),
    ]
    for coupled, stitched in pairs:
        params = coupled.start().params
        same = {n: params.get(n, leaf) for n, leaf in stitched.start().params.items()}
        ours, theirs = coupled(params, {}, x), stitched(same, {}, x)
        assert_close(ours, theirs, 1e-6)
    pictures = CoupledNets((1, 8, 8), 1, TARGETS, (4, 6), (5,))
    stitched = CrossStitch((1, 8, 8), 1, TARGETS, (4, 6), (5,), rate=1.0)
    stitched.nets.load_state_dict(pictures.nets.state_dict())
    stitched.heads.load_state_dict(pictures.heads.state_dict())
    picture = torch.randn(3, 1, 8, 8)
    assert_close(pictures(picture), stitched(picture), 1e-6)


def test_a_channel_that_a_target_does_not_see_has_no_gradient_of_it() -> None:
    net = net_of(kind=MaskedTrunk, kept=0.5)
    start, batch = net.start(), data().parts["meta_train"]
    leaves = {n: p.requires_grad_() for n, p in start.params.items()}
    loss = TERMS[0]({}, net(leaves, start.buffers, batch.x), batch, NOTHING)
    grads = torch.autograd.grad(loss, [leaves["trunk.0.1.weight"], leaves["trunk.1.1.weight"]])
    for depth, grad in enumerate(grads):
        seen = start.buffers[f"masks_{depth}"][0].bool()
        assert 0 < int(seen.sum()) < len(seen)
        assert not bool(grad[~seen].any())
    assert not torch.equal(start.buffers["masks_0"][0], start.buffers["masks_0"][1])


def test_all_channels_kept_are_hard_sharing() -> None:
    masked, shared = net_of(kind=MaskedTrunk, kept=1.0), net_of()
    params = shared.start().params
    same = dict(zip(masked.start().params, params.values(), strict=True))
    x = data().parts["meta_train"].x
    assert_close(masked(same, masked.start().buffers, x), shared(params, {}, x), 1e-7)

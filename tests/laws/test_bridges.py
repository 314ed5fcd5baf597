"""Rows between two domains, the loss on them, and what both are at their ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from metatl import Net, train
from metatl.data import Bridge, CutAcross, Domain, Domains, MixedUp, PatchMix
from metatl.engines import Loop
from metatl.learners import Supervised
from metatl.models import LeNet
from metatl.net import Pass
from metatl.objectives import Anchor, Bridged, PseudoLabels, Seen, TaskLoss
from metatl.testing import check_learner, check_term
from metatl.types import Batch, MetatlError
from tests.toys import rows, toy_net

NOTHING = torch.empty(0)


def seen(mixed: torch.Tensor, target: torch.Tensor, label: torch.Tensor, share: torch.Tensor) -> Seen:
    passes = {"bridge": Pass(mixed, NOTHING), "target": Pass(target, NOTHING)}
    batches = {"bridge": Batch(NOTHING, {"label": label, "share": share}), "target": Batch(NOTHING, None)}
    return Seen(passes, batches, Anchor({}, None), {}, 0.0)


def written(folder: Path, *shape: int, y: Any = None) -> Domains:
    rng, y = np.random.default_rng(0), np.arange(60) % 3 if y is None else y
    for name in ("one", "two"):
        x = rng.integers(0, 256, (60, *shape)).astype(np.uint8 if len(shape) > 1 else np.float32)
        np.savez(folder / f"{name}.npz", x=x, y=y, split=np.arange(60) % 5 // 4)
    files = {name: str(folder / f"{name}.npz") for name in ("one", "two")}
    return Domains(files, ("one",), "two")


def test_the_term_is_its_formula_row_by_row() -> None:
    mixed, target = (torch.randn(8, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    label, share = torch.arange(8) % 3, torch.rand(8, dtype=torch.float64)
    found = Bridged("bridge", 2.0, 0.5).over({}, seen(mixed, target, label, share))
    sure, guess = target.softmax(-1).max(-1)
    q = (sure >= 0.5).double().mean()
    assert 0 < q < 1
    each = [F.cross_entropy(mixed, y, reduction="none") for y in (label, guess)]
    torch.testing.assert_close(found, 2 * (share * each[0] + (1 - share) * q * each[1]).mean())
    assert torch.autograd.grad(found, (mixed, target), allow_unused=True)[1] is None


def test_at_its_ends_a_bridge_is_the_source_and_pseudo_labels() -> None:
    x, label, one = torch.randn(8, 3), torch.arange(8) % 3, torch.ones(8)
    torch.testing.assert_close(Bridged().over({}, seen(x, -x, label, one)), F.cross_entropy(x, label))
    whole = Bridged().over({}, seen(x, x, label, 0 * one))
    torch.testing.assert_close(whole, PseudoLabels(threshold=0.0).value(x, None))


def test_the_term_keeps_the_laws_of_terms() -> None:
    y = {"label": torch.arange(5) % 3, "share": torch.linspace(0, 1, 5).double()}
    streams = {"target": rows(5)._replace(y=None), "bridge": rows(5)._replace(y=y)}
    net = toy_net()
    check_term(Bridged(threshold=0.2), net, net.start(), rows(6), streams, reverses=True)


@pytest.mark.parametrize("shape", [(12, 12), (10,)], ids=["pictures", "columns"])
def test_mixed_rows_are_of_the_rows_that_other_streams_draw(shape: tuple[int, ...], tmp_path: Path) -> None:
    data = written(tmp_path, *shape).load()
    for step in range(3):
        source, target = data.batch("meta_train", 8, 0, step), Domain(size=8).draw(data, 0, step)
        mixed = MixedUp(8, 0.7).draw(data, 0, step)
        torch.testing.assert_close(mixed.x, 0.7 * source.x + 0.3 * target.x)
        assert torch.equal(mixed.y["label"], source.y)
        assert mixed.y["share"].tolist() == pytest.approx([0.7] * 8)
        cut = CutAcross(8, 0.4).draw(data, 0, step)
        assert torch.equal(cut.x, CutAcross(8, 0.4).draw(data, 0, step).x)
        for i in range(8):
            new = (cut.x[i] != target.x[i]).nonzero()  # a few values of both agree by chance
            low, high = new.min(0).values, new.max(0).values
            box = tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
            assert torch.equal(cut.x[i][box], source.x[i][box])
            size = (high - low + 1)[-len(shape) :].prod() / torch.tensor(shape).prod()
            assert float(cut.y["share"][i]) == pytest.approx(float(size), abs=0.1)
            assert float(cut.y["share"][i]) == pytest.approx(0.4, abs=0.09)


@pytest.mark.parametrize("bridge", [MixedUp(8), CutAcross(8), PatchMix(8, 4)])
def test_labels_of_the_target_change_no_byte_and_a_learner_keeps_its_laws(
    bridge: Bridge, tmp_path: Path
) -> None:
    clean = written(tmp_path, 12, 12)
    other = {**np.load(tmp_path / "two.npz")}
    np.savez(tmp_path / "poisoned.npz", **{**other, "y": np.where(other["split"] == 0, -9, other["y"])})
    poisoned = Domains({**clean.files, "two": str(tmp_path / "poisoned.npz")}, ("one",), "two")
    learner = Supervised(
        2, 8, terms=(TaskLoss(), Bridged()), streams={"target": Domain(size=8), "bridge": bridge}
    )
    found = []
    for data in (clean.load(), poisoned.load()):
        torch.manual_seed(0)
        net = Net.of(LeNet(data.shape, 3, (4,), (8,), 3, norm=True))
        check_learner(learner, net, net.start(), data)
        found.append(train(learner, net, Loop(), learner.init(net, net.start()), data, 0).transfer.params)
    assert all(torch.equal(leaf, found[1][name]) for name, leaf in found[0].items())


def test_bridges_that_lead_nowhere_are_one_line(tmp_path: Path) -> None:
    data = written(tmp_path, 12, 12).load()
    net = Net.of(LeNet(data.shape, 3, (4,), (8,), 3))
    alone = Supervised(2, 8, terms=(Bridged(),), streams={"target": Domain()})
    with pytest.raises(MetatlError, match="stream 'bridge'"):
        alone.check(net, net.start(), data)
    streams: Any = {"target": Domain(size=4), "bridge": MixedUp(8)}
    uneven = Supervised(2, 8, terms=(Bridged(),), streams=streams)
    with pytest.raises(MetatlError, match="give both one size"):
        uneven.step(net, Loop(), uneven.init(net, net.start()), uneven.draw(data, 0, 0))
    with pytest.raises(MetatlError, match="size is 0"):
        MixedUp(0).check(data)
    for wrong in (lambda: MixedUp(share=1.5), lambda: CutAcross(area=1.0), lambda: Bridged(threshold=2.0)):
        with pytest.raises(MetatlError, match="give a"):
            wrong()

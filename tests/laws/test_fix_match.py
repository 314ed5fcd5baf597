"""FixMatch by hand, its streams, and what it is where there is one view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from metatl.data import Domains
from metatl.data.streams import Domain, Stream
from metatl.engines import Loop
from metatl.learners import Supervised
from metatl.models import Conv4
from metatl.net import Net, Pass
from metatl.objectives import Anchor, FixMatch, PseudoLabels, Seen, TaskLoss
from metatl.testing import check_term
from metatl.types import Batch, MetatlError
from metatl.views import Crop, Flip, Mixup
from tests.toys import rows, toy_net

NOTHING = torch.empty(0)


def seen(weak: torch.Tensor, strong: torch.Tensor, weight: torch.Tensor | None = None) -> Seen:
    passes = {"target": Pass(weak, NOTHING), "strong": Pass(strong, NOTHING)}
    batches = {"target": Batch(NOTHING, None), "strong": Batch(NOTHING, None, weight)}
    return Seen(passes, batches, Anchor({}, None), {}, 0.0)


def test_it_is_its_formula_row_by_row() -> None:
    weak, strong = (torch.randn(8, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weight = torch.rand(8, dtype=torch.float64)
    found = FixMatch(2.0, 0.6).over({}, seen(weak, strong, weight))
    share, label = weak.softmax(-1).max(-1)
    assert 0 < int((share >= 0.6).sum()) < 8
    each = F.cross_entropy(strong, label, reduction="none") * (share >= 0.6)
    torch.testing.assert_close(found, 2 * (weight * each).sum() / weight.sum())
    one, other = torch.autograd.grad(found, (weak, strong), allow_unused=True)
    assert one is None
    assert other[share < 0.6].abs().max() == 0
    torch.testing.assert_close(
        FixMatch(1.0, 0.6).over({}, seen(strong, strong)), PseudoLabels(1.0, 0.6).value(strong, None)
    )


def test_it_keeps_the_laws_of_terms() -> None:
    net, streams = toy_net(), {name: rows(5)._replace(y=None) for name in ("target", "strong")}
    check_term(FixMatch(threshold=0.3), net, net.start(), rows(6), streams, reverses=True)


@pytest.fixture
def domains(tmp_path: Path) -> Domains:
    rng, y = np.random.default_rng(0), np.arange(60) % 3
    for name in ("one", "two"):
        x = rng.integers(0, 256, (60, 16, 16), np.uint8)
        np.savez(tmp_path / f"{name}.npz", x=x, y=y, split=np.arange(60) % 5 // 4)
    files = {name: str(tmp_path / f"{name}.npz") for name in ("one", "two")}
    return Domains(files, ("one",), "two")


def test_streams_of_a_domain_draw_the_same_rows_in_views_of_their_own(domains: Domains) -> None:
    data = domains.load()
    plain, moved = Domain(size=8), Domain(size=8, views=(Crop(2),))
    again = Domain(size=8, views=(Crop(2),), key=1)
    still = Domain(size=8, views=(Flip(probability=0.0),), key=3)
    for step in range(3):
        x, seen, other, same = (one.draw(data, 0, step).x for one in (plain, moved, again, still))
        assert torch.equal(same, x)
        assert not torch.equal(seen, x)
        assert not torch.equal(seen, other)
        assert torch.equal(seen, moved.draw(data, 0, step).x)
        for row, own in zip(seen, x, strict=True):  # each row is a shift of its own, and of no other
            wide = F.pad(own[None], [2] * 4, mode="replicate")[0]
            shifts = [wide[:, i : i + 16, j : j + 16] for i in range(5) for j in range(5)]
            assert any(torch.equal(row, one) for one in shifts)


def test_a_net_learns_with_it_and_wrong_streams_are_one_line(domains: Domains) -> None:
    data = domains.load()
    net = Net.of(Conv4((1, 16, 16), 3, filters=4))
    streams: dict[str, Stream] = {
        "target": Domain(size=8, views=(Crop(1),)),
        "strong": Domain(size=8, views=(Crop(4),), key=1),
    }
    own = Supervised(2, 8, terms=(TaskLoss(), FixMatch(threshold=0.2)), streams=streams)
    own.check(net, net.start(), data)
    state = own.init(net, net.start())
    state, told = own.step(net, Loop(), state, own.draw(data, 0, 0))
    assert bool(told["loss"].isfinite())
    with pytest.raises(MetatlError, match="stream 'strong'"):
        Supervised(2, 8, terms=(FixMatch(),), streams={"target": Domain()}).check(net, net.start(), data)
    uneven = Supervised(
        2, 8, terms=(FixMatch(),), streams={"target": Domain(size=4), "strong": Domain(size=8)}
    )
    with pytest.raises(MetatlError, match="give both one size"):
        uneven.step(net, Loop(), uneven.init(net, net.start()), uneven.draw(data, 0, 0))
    with pytest.raises(MetatlError, match="Mixup mixes labels"):
        Domain(views=(Mixup(),)).check(data)
    with pytest.raises(MetatlError, match="a share from 0 to 1"):
        FixMatch(threshold=1.5)

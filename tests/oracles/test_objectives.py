"""Every loss against torch's own, scikit-learn's weights, or ten lines by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.objectives import BinaryCrossEntropy, CrossEntropy, Focal, Huber, Poisson, TaskLoss
from metatl.objectives.term import Anchor, Term
from metatl.types import Batch

CLASSES, ROWS = 4, 11
WEIGHTS = (0.5, 2.0, 1.0, 3.0)


def output(*more: int) -> Tensor:
    return torch.randn(ROWS, CLASSES, *more, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def labels(*more: int) -> Tensor:
    return torch.randint(CLASSES, (ROWS, *more), generator=torch.Generator().manual_seed(2))


def real() -> Tensor:
    return torch.randn(ROWS, CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 2


SOFT, SEVERAL, COUNTS = real().softmax(1), real() > 0.5, real().square().round()
WEIGHT = torch.tensor(WEIGHTS, dtype=torch.float64)


def focal(out: Tensor, y: Tensor, gamma: float, alpha: Tensor) -> Tensor:
    """Row by row, as it is written."""
    p = out.softmax(1)[torch.arange(len(y)), y]
    return (-alpha[y] * (1 - p) ** gamma * p.log()).mean()


def sigmoid_focal(out: Tensor, y: Tensor, gamma: float, no: float, yes: float) -> Tensor:
    p = out.sigmoid()
    held = torch.where(y, p, 1 - p)
    return (-torch.where(y, yes, no) * (1 - held) ** gamma * held.log()).mean()


Oracle = Callable[[Tensor], Tensor]
ORACLES: dict[str, tuple[Term, Tensor, Oracle]] = {
    "several labels": (
        TaskLoss(),
        SEVERAL,
        lambda o: F.binary_cross_entropy_with_logits(o, SEVERAL.double()),
    ),
    "binary, weighed": (
        BinaryCrossEntropy(2.0, positive=WEIGHTS),
        SEVERAL,
        lambda o: 2 * F.binary_cross_entropy_with_logits(o, SEVERAL.double(), pos_weight=WEIGHT),
    ),
    "binary, smoothed": (
        BinaryCrossEntropy(smoothing=0.2),
        SEVERAL,
        lambda o: F.binary_cross_entropy_with_logits(o, 0.8 * SEVERAL.double() + 0.1),
    ),
    "binary, soft": (BinaryCrossEntropy(), SOFT, lambda o: F.binary_cross_entropy_with_logits(o, SOFT)),
    "plain": (CrossEntropy(0.5), labels(), lambda o: 0.5 * F.cross_entropy(o, labels())),
    "smoothed": (
        CrossEntropy(smoothing=0.1),
        labels(),
        lambda o: F.cross_entropy(o, labels(), label_smoothing=0.1),
    ),
    "weighed": (CrossEntropy(classes=WEIGHTS), labels(), lambda o: F.cross_entropy(o, labels(), WEIGHT)),
    "both": (
        CrossEntropy(smoothing=0.3, classes=WEIGHTS),
        labels(),
        lambda o: F.cross_entropy(o, labels(), WEIGHT, label_smoothing=0.3),
    ),
    "soft": (CrossEntropy(), SOFT, lambda o: F.cross_entropy(o, SOFT)),
    "soft, both": (
        CrossEntropy(smoothing=0.3, classes=WEIGHTS),
        SOFT,
        lambda o: F.cross_entropy(o, SOFT, WEIGHT, label_smoothing=0.3),
    ),
    "focal": (
        Focal(alpha=WEIGHTS, gamma=1.5),
        labels(),
        lambda o: focal(o, labels(), 1.5, WEIGHT),
    ),
    "focal of labels": (
        Focal(alpha=(0.75, 0.25)),
        SEVERAL,
        lambda o: sigmoid_focal(o, SEVERAL, 2.0, 0.75, 0.25),
    ),
    "focal, gamma 0": (Focal(gamma=0.0), labels(), lambda o: F.cross_entropy(o, labels())),
    "huber": (Huber(delta=0.7), real(), lambda o: F.huber_loss(o, real(), delta=0.7)),
    "poisson": (Poisson(), COUNTS, lambda o: F.poisson_nll_loss(o, COUNTS)),
}
PIXELS: dict[str, tuple[Term, Oracle]] = {
    "task": (TaskLoss(), lambda o: F.cross_entropy(o, labels(3, 5))),
    "both": (
        CrossEntropy(smoothing=0.3, classes=WEIGHTS),
        lambda o: F.cross_entropy(o, labels(3, 5), WEIGHT, label_smoothing=0.3),
    ),
    "focal": (
        Focal(alpha=WEIGHTS),
        lambda o: focal(o.movedim(1, -1).reshape(-1, CLASSES), labels(3, 5).reshape(-1), 2.0, WEIGHT),
    ),
}


def same(term: Term, out: Tensor, y: Tensor, oracle: Oracle) -> None:
    """Values and gradients."""
    ours, theirs = out.clone().requires_grad_(), out.clone().requires_grad_()
    mine, right = term({}, ours, Batch(None, y), Anchor({}, None)), oracle(theirs)
    torch.testing.assert_close(mine, right, rtol=1e-12, atol=1e-12)
    mine.backward()
    right.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ORACLES)
def test_a_loss_is_its_oracle(name: str) -> None:
    term, y, oracle = ORACLES[name]
    same(term, output(), y, oracle)


@pytest.mark.parametrize("name", PIXELS)
def test_a_loss_of_a_label_a_pixel_is_its_oracle(name: str) -> None:
    term, oracle = PIXELS[name]
    same(term, output(3, 5), labels(3, 5), oracle)


@pytest.mark.parametrize("rows", [None, torch.tensor([1, 2, 0, 3, 1, 1, 1, 2, 1, 4, 1])])
def test_balanced_is_scikit_learns_of_the_rows_at_hand(rows: Tensor | None) -> None:
    weights = pytest.importorskip("sklearn.utils.class_weight")
    y = labels().clamp_max(2)  # a class without a row
    times = torch.ones(ROWS, dtype=torch.int64) if rows is None else rows
    copies = torch.arange(ROWS).repeat_interleave(times)
    there = y[copies].unique()
    given = weights.compute_class_weight("balanced", classes=there.numpy(), y=y[copies].numpy())
    scale = torch.full((CLASSES,), 7.0, dtype=torch.float64)  # of a class without a row any number
    scale[there] = torch.tensor(given)
    right = F.cross_entropy(output()[copies], y[copies], scale)
    batch = Batch(None, y, None if rows is None else rows.double())
    found = CrossEntropy(classes="balanced")({}, output(), batch, Anchor({}, None))
    torch.testing.assert_close(found, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("several", [False, True])
def test_focal_stays_a_number_where_a_row_is_as_right_as_can_be(gamma: float, several: bool) -> None:
    y = torch.tensor([[True, False, True, False]]) if several else torch.tensor([2])
    far = torch.tensor([[80.0, -80.0, 120.0, -120.0]], requires_grad=True)
    loss = Focal(gamma=gamma)({}, far, Batch(None, y), Anchor({}, None))
    (slope,) = torch.autograd.grad(loss, far, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), far)
    assert all(bool(leaf.isfinite().all()) for leaf in (loss, slope, bend))


def test_a_count_below_zero_is_no_loss() -> None:
    y = torch.full((ROWS, CLASSES), -1.0, dtype=torch.float64)
    assert math.isnan(float(Poisson()({}, output(), Batch(None, y), Anchor({}, None))))

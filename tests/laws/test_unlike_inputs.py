"""Unlike inputs in one space: eigenproblems, invariances, and what labels on both sides buy."""

from __future__ import annotations

import pytest
import torch
from scipy.linalg import eigh
from torch import Tensor

from metatl.alignments.by_labels import by_labels, laplacian, pencil
from metatl.alignments.correlations import paired
from metatl.alignments.latent import SharedLatent, apart
from metatl.types import MetatlError


def views(n: int = 60, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two views of two hidden things."""
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, 2, generator=draw, dtype=torch.float64)
    mix = [torch.randn(2, d, generator=draw, dtype=torch.float64) for d in (5, 4)]
    noise = [torch.randn(n, d, generator=draw, dtype=torch.float64) for d in (5, 4)]
    return hidden @ mix[0] + 0.3 * noise[0], hidden @ mix[1] + 0.3 * noise[1]


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_canonical_correlations_solve_their_eigenproblem(ridge: float) -> None:
    """[0 C; C' 0] v = c diag(C_xx + r, C_zz + s) v, whose largest values are the correlations."""
    x, z = views()
    found = paired(x, z, 3, ridge)
    one, other = x - x.mean(0), z - z.mean(0)
    own = [view.T @ view / len(x) for view in (one, other)]
    own = [c + ridge * c.diagonal().mean() * torch.eye(len(c)) for c in own]
    cross = one.T @ other / len(x)
    left = torch.cat([torch.cat([torch.zeros(5, 5), cross], 1), torch.cat([cross.T, torch.zeros(4, 4)], 1)])
    values = eigh(left.numpy(), torch.block_diag(*own).numpy(), eigvals_only=True)[::-1][:3]
    torch.testing.assert_close(found.correlations, torch.from_numpy(values.copy()))
    for directions, c in zip((found.one, found.other), own, strict=True):
        torch.testing.assert_close(directions.T @ c @ directions, torch.eye(3, dtype=torch.float64))
    between = found.first(x).T @ found.second(z) / len(x)
    torch.testing.assert_close(between, found.correlations.diag())


def test_correlations_do_not_change_with_the_views_coordinates() -> None:
    x, z = views()
    turn = torch.randn(5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    moved = paired(x @ turn + 7, z, 4, 0.0)
    torch.testing.assert_close(moved.correlations, paired(x, z, 4, 0.0).correlations)
    assert moved.correlations[1] > 0.8 > moved.correlations[2]


def test_more_columns_than_rows_need_the_ridge() -> None:
    draw = torch.Generator().manual_seed(1)
    x, z = (torch.randn(10, 30, generator=draw) for _ in range(2))
    assert paired(x, z, 5, 0.0).correlations.min() > 1 - 1e-6
    assert paired(x, z, 5, 1.0).correlations.max() < 0.95


def domains(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Three classes in 6 and in 4 unlike columns; 20 and 5 rows of each."""
    draw = torch.Generator().manual_seed(seed)
    means = torch.eye(3) * 4
    found: list[Tensor] = []
    for width, each in ((6, 20), (4, 5)):
        y = torch.arange(3).repeat_interleave(each)
        hidden = means[y] + torch.randn(len(y), 3, generator=draw)
        found += [hidden @ torch.randn(3, width, generator=draw), y]
    return found[0], found[1], found[2], found[3]


def test_the_laplacian_is_its_sum_over_pairs() -> None:
    w = torch.rand(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    w = w + w.T
    f = torch.arange(6.0, dtype=torch.float64).square()
    pairs = sum(w[i, j] * (f[i] - f[j]) ** 2 for i in range(6) for j in range(i))
    torch.testing.assert_close(f @ laplacian(w) @ f, pairs)


def test_manifold_alignment_solves_its_pencil_and_brings_classes_together() -> None:
    x, y, z, t = domains()
    found = by_labels(x, y, z, t, 2, ridge=0.01)
    a, b = pencil(x.double() - x.double().mean(0), y, z.double() - z.double().mean(0), t, 1.0, 5)
    a = a + 0.01 * a.diagonal().mean() * torch.eye(len(a))
    v = torch.cat([found.source, found.target])
    torch.testing.assert_close(b @ v, a @ v * found.values, rtol=1e-6, atol=1e-6)
    assert (found.values[:-1] >= found.values[1:]).all()
    f, g = found.of_source(x), found.of_target(z)
    centres = torch.stack([f[y == one].mean(0) for one in range(3)])
    assert (torch.cdist(g, centres).argmin(1) == t).double().mean() > 0.9
    torch.testing.assert_close(f.mean(0), torch.zeros(2, dtype=torch.float64))


def test_a_shared_latent_space_uses_the_source_for_a_target_of_other_columns() -> None:
    x, y, z, t = domains()
    way = SharedLatent(steps=150, lr=1e-2)
    made = way.fit(x, y, z, t, 3)
    assert (made.predict(z).argmax(1) == t).all()
    assert apart(made.source(x), y, made.target(z), t) < 0.5
    loose = SharedLatent(steps=150, lr=1e-2, lam=0.0).fit(x, y, z, t, 3)
    assert apart(loose.source(x), y, loose.target(z), t) > 5 * apart(made.source(x), y, made.target(z), t)
    again = way.fit(x, y, z, t, 3)
    torch.testing.assert_close(again.predict(z), made.predict(z), rtol=0, atol=0)


def test_class_means_that_agree_are_no_distance_apart() -> None:
    f, y = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    assert apart(f, y, f.flip(0), y.flip(0)) < 1e-12
    assert apart(f, y, f + 1, y) == pytest.approx(6.0, rel=1e-5)
    assert apart(f, y, f, y + 5) == 0


def test_what_has_no_shared_space_is_refused() -> None:
    x, y, z, t = domains()
    with pytest.raises(MetatlError, match="60 and 15 rows"):
        paired(x, z, 2)
    with pytest.raises(MetatlError, match="k is 5, of 1"):
        paired(x[:15], z, 5)
    with pytest.raises(MetatlError, match="share no class"):
        by_labels(x, y, z, t + 3, 2)
    with pytest.raises(MetatlError, match="no class has rows on both sides"):
        SharedLatent().fit(x, y, z, t + 3, 6)
    with pytest.raises(MetatlError, match="from 1 on"):
        SharedLatent(width=0)

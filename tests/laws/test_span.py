"""Labelled rows in coordinates of their span: what depends on inner products alone stays the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from metatl.transferring import choose, held_out
from metatl.transferring.choose import chosen
from metatl.transferring.fit import Labelled
from metatl.transferring.judged import judged
from metatl.transferring.rows import rows
from metatl.transferring.span import in_span

ROWS = {name: row.of("classes") for name, row in rows().items() if row.adaptation.rotation_invariant}
pytestmark = pytest.mark.usefixtures("one_thread")


def labelled(n: int, width: int = 30, seed: int = 0) -> Labelled:
    x = torch.randn(n, width, generator=torch.Generator().manual_seed(seed)).relu()
    y = torch.arange(n) % 3
    x[:, :3] += 0.5 * torch.nn.functional.one_hot(y, 3)
    return Labelled(x, y, lambda: x, 3, seed)


def test_the_rows_that_say_so() -> None:
    assert {
        "ridge",
        "logistic-regression",
        "unit-logistic",
        "soft-neighbours",
        "nearest-centroid",
    } <= ROWS.keys()
    assert not {"head-only", "cosine-classifier", "extra-trees", "linear-discriminant"} & ROWS.keys()


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("twice", [False, True])
def test_outputs_for_rows_of_the_span_are_the_same(name: str, twice: bool) -> None:
    """Of a fit to some of the rows for others; also where the rows depend on one another."""
    some = labelled(12)
    if twice:
        some = replace(some, features=torch.cat([some.features[:6]] * 2), y=torch.cat([some.y[:6]] * 2))
    (fewer,) = in_span([some])
    assert fewer.features.shape == (12, 12)
    assert fewer.features.dtype == some.features.dtype
    parts = [
        (held_out.part_of(one, torch.arange(8).numpy()), held_out.part_of(one, torch.arange(8, 12).numpy()))
        for one in (some, fewer)
    ]
    whole, inside = (judged(ROWS[name], None, [part])[0] for part in parts)  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(inside, whole, atol=1e-5, rtol=1e-5)


CHOOSING = [name for name, row in ROWS.items() if row.select]


@pytest.mark.parametrize("name", CHOOSING)
def test_the_same_values_are_chosen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = [labelled(n, seed=n) for n in (6, 9, 9, 12, 60)]
    found = chosen(ROWS[name], None, draws)  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(choose, "in_span", lambda draws: draws)  # pyright: ignore[reportUnknownLambdaType]
    assert found == chosen(ROWS[name], None, draws)  # pyright: ignore[reportArgumentType]
    assert {choice.how for choice in found} == {"cv"}


def test_inner_products_stay_and_nothing_else_changes() -> None:
    draws = [labelled(n, seed=n) for n in (5, 8, 8, 40)]
    draws.append(replace(labelled(5), features=torch.full((5, 30), torch.nan)))
    found = in_span(draws)
    assert [draw.features.shape[1] for draw in found] == [5, 8, 8, 30, 30]
    for draw, one in zip(draws[:4], found, strict=False):
        wanted = draw.features @ draw.features.T
        torch.testing.assert_close(one.features @ one.features.T, wanted, atol=1e-4, rtol=1e-5)
        assert torch.equal(one.y, draw.y)
        assert one.key == draw.key
    assert found[3] is draws[3]
    assert found[4] is draws[4]


def test_draws_may_see_other_numbers_of_columns() -> None:
    """A column that is constant among a draw's labelled rows is none of its features."""
    draws = [labelled(8, width, seed=width) for width in (30, 25, 30)]
    for draw, one in zip(draws, in_span(draws), strict=True):
        assert one.features.shape == (8, 8)
        wanted = draw.features @ draw.features.T
        torch.testing.assert_close(one.features @ one.features.T, wanted, atol=1e-4, rtol=1e-5)

"""The family of shapes between FISH's mask and GTL's guide, by hand; its ends are TopK and MinMax."""

from __future__ import annotations

import pytest
import torch

from metatl import tree
from metatl.guides import InTurn, MinMax, Permuted, PowerLaw, Shaped, TopK
from metatl.types import MetatlError, Params
from tests.toys import WAY, WIDTH, assert_bitwise, toy_net, with_guide

RAW = {
    "small": torch.tensor([0.01, 0.04, 0.0], dtype=torch.float64),
    "big": torch.tensor([[1.0, 4.0], [0.25, 0.09]], dtype=torch.float64),
    "still": torch.zeros(2, dtype=torch.float64),
}


def values(guide: Params) -> list[float]:
    return [round(value, 9) for value in tree.flat(guide).tolist()]


def test_by_hand() -> None:
    """Root of m / max m, tensor by tensor, on the 5 of 9 weights with the largest m of all."""
    root = [0.0, 1.0, 0.0, 0.5, 1.0, 0.25, 0.15, 0.0, 0.0]
    assert values(PowerLaw(power=0.5, density=5 / 9)(RAW)) == root
    assert values(PowerLaw(power=0.5, density=5 / 9, scope="global")(RAW)) == [0, 0.1, 0, *root[3:]]
    doubled = PowerLaw(power=0.5, density=5 / 9, mean=2 * sum(root) / 9)(RAW)
    assert values(doubled) == [2 * value for value in root]


def test_the_ends_are_the_published_shapes() -> None:
    raw = {"a": torch.rand(4, 3), "b": torch.rand(50)}
    assert_bitwise(PowerLaw(power=0.0, density=0.3)(raw, always=5), TopK(0.3)(raw, always=5))
    lowest_is_zero = {name: leaf - leaf.min() for name, leaf in raw.items()}
    torch.testing.assert_close(PowerLaw()(lowest_is_zero), MinMax()(lowest_is_zero))
    # A tensor that no scout moved is not frozen by that, as in MinMax.
    assert values(PowerLaw()(RAW))[-2:] == values(MinMax()(RAW))[-2:] == [1.0, 1.0]


def test_values_that_mean_nothing_are_refused() -> None:
    for options in (dict(power=-1.0), dict(mean=0.0), dict(density=0.0), dict(density=1.5)):
        with pytest.raises(MetatlError):
            PowerLaw(**options)


def test_a_raw_statistic_is_shaped_later_and_controls_come_before() -> None:
    """Scouts kept raw and shaped later are the shape's own; shuffled before, the histogram stays."""
    net = toy_net()
    start = net.start()
    raw = {name: torch.rand_like(leaf) for name, leaf in start.params.items()}
    carried, shape = with_guide(start, raw), PowerLaw(power=0.5, density=0.8, mean=1.0)
    body = {name: leaf for name, leaf in raw.items() if not net.is_head(name)}
    found = Shaped(shape, way=WAY)(net, carried)
    assert_bitwise({n: found[n] for n in body}, shape(body, always=WAY * (WIDTH + 1)))
    assert all(bool((leaf == 1).all()) for name, leaf in found.items() if net.is_head(name))
    shuffled = InTurn((Permuted(3), Shaped(shape, way=WAY)))(net, carried)
    for name in body:
        torch.testing.assert_close(
            shuffled[name].flatten().sort().values, found[name].flatten().sort().values
        )
        assert not torch.equal(shuffled[name], found[name])
    with pytest.raises(MetatlError, match="empty"):
        InTurn()

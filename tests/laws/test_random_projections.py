"""Tasks under random linear maps, pictures as tokens: what is drawn by index alone, and who sees whom."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metatl import Tasks
from metatl.data import Arrays, Fewer, RandomProjections
from metatl.data.random_projections import RandomProjectionsData
from metatl.data.source import Data, Source
from metatl.models import InContextTransformer
from metatl.types import MetatlError
from tests.toys import toy_data

TASKS = Tasks(3, 2, 4)


class Toys(Source):
    embedded = True

    def load(self, device: str = "cpu") -> Data:
        return toy_data()


def mapped(size: int = 7, projections: int | None = None) -> RandomProjectionsData:
    return RandomProjections(Toys(), size, projections).load()


def test_a_tasks_rows_are_mapped_by_one_matrix_of_its_own() -> None:
    plain, drawn = (data.draw("meta_test", TASKS, 1, 0, 2) for data in (toy_data(), mapped()))
    assert drawn.support.x.shape == (2, 6, 7)
    assert torch.equal(drawn.support.y, plain.support.y)
    rows, images = (torch.cat([one.support.x, one.query.x], 1).double() for one in (plain, drawn))
    found = torch.linalg.lstsq(rows.flatten(2), images).solution
    torch.testing.assert_close(rows.flatten(2) @ found, images, rtol=1e-4, atol=1e-4)
    assert float((found[0] - found[1]).norm() / found[0].norm()) > 0.5


def test_entries_have_variance_one_over_the_columns() -> None:
    data = mapped(300)
    maps = data._maps("meta_train", 0, 0, 40, torch.device("cpu")).double()
    columns = maps.shape[1]
    assert float(maps.var() * columns) == pytest.approx(1, abs=0.03)
    assert abs(float(maps.mean())) < 4 / maps.numel() ** 0.5


def test_it_draws_by_index_alone_and_few_maps_come_again() -> None:
    data = mapped()
    both, second = data.draw("meta_test", TASKS, 1, 0, 2), data.draw("meta_test", TASKS, 1, 1, 1)
    assert torch.equal(both.query.x[1], second.query.x[0])
    few, cpu = mapped(projections=3), torch.device("cpu")
    maps = few._maps("meta_train", 9, 0, 7, cpu)
    assert torch.equal(maps[0], maps[3])
    assert torch.equal(maps[1], few._maps("meta_train", 4, 1, 1, cpu)[0])
    assert not torch.equal(maps[0], maps[1])
    assert not torch.equal(few._maps("meta_test", 9, 0, 4, cpu)[0], few._maps("meta_test", 9, 3, 1, cpu)[0])
    prints = {one.fingerprint("meta_test", TASKS, 1, 5) for one in (mapped(), mapped(8), few)}
    assert len(prints) == 3


def test_what_it_says_of_itself_and_refuses() -> None:
    data = mapped()
    assert data.shape == (7,)
    assert data.numbering(TASKS) == Fewer(Toys()).load().numbering(TASKS) == toy_data().numbering(TASKS)
    assert data.batch("meta_train", 5, 0, 1).x.shape == (5, 7)
    assert data.describe()["projected_to"] == 7
    for given in ({"size": 0}, {"projections": 0}):
        with pytest.raises(MetatlError, match="1 or more"):
            RandomProjections(Toys(), **given).load()


def test_pictures_are_read_one_by_one() -> None:
    torch.manual_seed(0)
    net = InContextTransformer((1, 12, 12), 3, width=16, layers=2, heads=2, filters=4).double()
    x, asked = torch.rand(6, 1, 12, 12).double(), torch.rand(4, 1, 12, 12).double()
    y, order = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([3, 1, 5, 0, 2, 4])
    said = net(x, y, asked)
    torch.testing.assert_close(net(x[order], y[order], asked), said)
    torch.testing.assert_close(net(x, y, asked[2:3]), said[2:3])
    assert float((net(x.roll(1, 0), y, asked) - said).detach().abs().max()) > 1e-5
    assert net(x[:0], y[:0], asked).shape == (4, 3)
    for shape, standardise in (((9,), False), ((1, 12, 12), True)):
        with pytest.raises(MetatlError, match="filters read pictures"):
            InContextTransformer(shape, 3, filters=4, standardise=standardise)


def test_attention_that_starts_as_likeness_looks_at_the_row_itself() -> None:
    """Among rows of length alike, the largest product of query and key is a row's with itself."""
    torch.manual_seed(0)
    block = InContextTransformer((9,), 3, width=16, layers=1, heads=1, likeness=2.0).blocks[0]
    rows = torch.nn.functional.layer_norm(torch.randn(12, 16), (16,))
    query, key = block.asks(rows), block.tells(rows)[:, :16]
    torch.testing.assert_close(query @ key.T, 4 * rows @ rows.T, rtol=1e-4, atol=1e-4)
    assert torch.equal((query @ key.T).argmax(1), torch.arange(12))
    plain = InContextTransformer((9,), 3, width=16, layers=1, heads=1).blocks[0]
    assert not torch.equal(plain.asks.weight, plain.tells.weight[:16])


def test_numbers_stay_those_of_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Maps of a file's rows are made of what the file holds."""
    place = tmp_path_factory.mktemp("rows") / "rows.npz"
    x, y = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32), np.repeat(list("abcdef"), 10)
    np.savez(place, x=x, y=y)
    source = Arrays(str(place), train=("a", "b"), val=("c", "d"), test=("e", "f"))
    drawn = RandomProjections(source, 3).load().draw("meta_test", Tasks(2, 2, 1), 0, 0, 3)
    assert drawn.support.x.shape == (3, 4, 3)
    assert bool(drawn.support.x.isfinite().all())

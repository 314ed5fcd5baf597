"""A source without labels: masked values filled in, clusters for classes, scouts on pairs of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.data.examples import Examples
from metatl.lab.experiment import with_value
from metatl.models import MLP
from metatl.transferring.backbone import Backbone
from metatl.transferring.budget import Budget
from metatl.transferring.learnable import sketched
from metatl.transferring.learned import learn
from metatl.transferring.learning import Learning, fitting
from metatl.transferring.opened import Words, opened
from metatl.transferring.pretraining import how_well, learned_on
from metatl.transferring.problem import read_problem
from metatl.transferring.rows import rows
from metatl.transferring.self_supervised import filled_in
from metatl.transferring.source import ordered, source_rows, source_tasks
from metatl.transferring.unlabelled import check_clusters, with_clusters
from metatl.types import Batch, MetatlError

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")

HEAPS, EACH, COLUMNS = 3, 24, 8
TRUE = np.arange(HEAPS * EACH) % HEAPS


def heaps(seed: int) -> Any:
    """Three heaps [rows, columns], row by row in turns; the last column is constant."""
    x: Any = np.random.default_rng(seed).normal(size=(len(TRUE), COLUMNS))
    x += 8.0 * (TRUE[:, None] == np.arange(COLUMNS) % HEAPS)
    x[:, -1] = 4.0
    return x


def table(path: Path, x: Any, **more: Sequence[str]) -> Path:
    """A CSV of these rows, with further columns."""
    names = [*(f"c{i}" for i in range(x.shape[1])), *more]
    cells = [[*(f"{v:.4f}" for v in row), *also] for row, *also in zip(x, *more.values(), strict=True)]
    path.write_text("\n".join(",".join(row) for row in [names, *cells]) + "\n")
    return path


def called(labels: Any) -> list[str]:
    return ["abcdefgh"[one] for one in labels]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return table(tmp_path_factory.mktemp("t") / "t.csv", heaps(1), kind=called(TRUE))


def problem_of(target: Path) -> Examples:
    return opened(target, Words(target="kind"))[0]


def source_of(place: Path, target: Path) -> Examples:
    found = opened(place, Words(target="kind"), strict=False)[0]
    assert not found.targets.known
    return ordered(found, problem_of(target))


def net_of(place: Path, target: Path, seed: int = 0) -> tuple[Examples, Backbone]:
    source = source_of(place, target)
    return source, learned_on(source, problem_of(target), seed)[0]


def test_heaps_are_found(target: Path, tmp_path: Path) -> None:
    source, net = net_of(table(tmp_path / "s.csv", heaps(0)), target)
    found, (note,) = with_clusters(source, net, HEAPS, 0)
    assert found.targets.clusters
    assert "3 clusters" in note
    lines = np.array([int(one) for one in found.inputs.ids]) - 2
    pairs = {*zip(TRUE[lines].tolist(), found.targets.strata().tolist(), strict=True)}
    assert len(pairs) == len({heap for heap, _ in pairs}) == HEAPS


def test_scouts_see_pairs_of_clusters(target: Path, tmp_path: Path) -> None:
    source, net = net_of(table(tmp_path / "s.csv", heaps(0)), target)
    found, _ = with_clusters(source, net, HEAPS, 0)
    data = source_tasks(source_rows(found, read_problem(problem_of(target), net, 0)), net)
    learner: Any = rows(["gtl"])["gtl"].learner
    assert learner.tasks.way == 4
    scout, note = fitting(learner, data)
    assert "the source has 3 clusters, of which tasks are pairs" in note
    task: Any = scout.draw(data, 0, 0)
    assert scout.outputs(data) == 2
    x = net.preparation(found.inputs.columns)
    where: Any = [[int((x == row).all(1).nonzero()[0]) for row in one] for one in task.support.x]
    clusters = found.targets.values[torch.tensor(where)]
    for labels, of in zip(task.support.y, clusters, strict=True):
        assert {*labels.tolist()} == {0, 1}
        assert len({*zip(labels.tolist(), of.tolist(), strict=True)}) == len({*of.tolist()}) == 2


def guide_of(place: Path, target: Path, out: Path, seed: int = 0) -> tuple[Any, bytes]:
    """What scouts leave behind: weights and guide, and all that lies on disk."""
    source, net = net_of(place, target, seed)
    found, _ = with_clusters(source, net, HEAPS, seed)
    problem = read_problem(problem_of(target), net, seed)
    work = Learning(net, source_rows(found, problem), out, Budget(1e4), seed)
    row = {name: with_value(one, "learner.steps", 2) for name, one in rows(["gtl"]).items()}
    carried = learn(row, problem, work)["gtl"].net
    tensors = [*(carried.guide or {}).values(), *carried.module.parameters()]
    (file,) = out.glob("*.safetensors")
    return b"".join(one.detach().numpy().tobytes() for one in tensors), file.name.encode() + file.read_bytes()


def test_labels_and_the_order_of_rows_have_no_say(target: Path, tmp_path: Path) -> None:
    x, order = heaps(0), np.argsort(TRUE, kind="stable")
    places = [
        table(tmp_path / "bare.csv", x),
        table(tmp_path / "sorted.csv", x[order]),
        table(tmp_path / "true.csv", x, truth=called(TRUE)),
        table(tmp_path / "poisoned.csv", x[order], truth=called(np.roll(TRUE, 1)[order])),
    ]
    bare, by_class, true, poisoned = (guide_of(place, target, tmp_path / place.stem) for place in places)
    assert bare == by_class
    assert bare[0] == true[0] == poisoned[0]
    assert bare[0] != guide_of(places[0], target, tmp_path / "seed", seed=1)[0]


class _Columns:
    """Stands for an encoder of so many columns."""

    def __init__(self, columns: int) -> None:
        self.columns = columns

    def example(self) -> torch.Tensor:
        return torch.zeros(1, self.columns)


def filled(x: torch.Tensor, target: Path, y: Any = None, seed: int = 0, steps: int = 300) -> dict[str, Any]:
    """What is learned on these rows, without the cache."""
    torch.manual_seed(7)
    columns, problem = x.shape[1], problem_of(target)
    made = Backbone(MLP((columns,), columns, (32,)), "head", _Columns(columns), {}, "", {})
    return filled_in(made, sketched(problem, problem), Batch(x, y), steps, seed)


def related(seed: int, rows: int = 400) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, 2, generator=draw) @ torch.randn(2, 6, generator=draw)
    return hidden / hidden.std(0) + 0.1 * torch.randn(rows, 6, generator=draw)


def test_masked_values_of_rows_held_out_are_filled_in_better_than_by_their_means(target: Path) -> None:
    found = filled(related(0), target)
    assert found["masked_error"] < 0.6 * found["mean_error"]
    noise = filled(torch.randn(400, 6, generator=torch.Generator().manual_seed(1)), target)
    assert noise["masked_error"] > 0.85 * noise["mean_error"]


def test_the_columns_means_are_those_of_rows_that_are_learned_from(target: Path) -> None:
    """Two rows held out: those of these two lie nearer; both are masked until that tells something."""
    x = related(3, 12)
    x[:, 1:] = x[:, :1]  # one column's errors are all columns', whichever values are masked
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    held, means = x[order[:2], 0], x[order[2:], 0].mean()
    found = filled(x, target, steps=1)
    first, second = (float(one) for one in (held - means).square())
    assert float((held - held.mean()).square().max()) < min(first, second)
    assert min(first, second) <= float(found["mean_error"]) <= max(first, second)
    assert float(found["masked_error"]) > 0


def test_rows_held_out_that_are_alike_tell_nothing(target: Path) -> None:
    x = related(4, 12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    x[order[:2]] = 1.0
    found, longer = filled(x, target, steps=50), filled(x, target, steps=100)
    assert found["mean_error"] == longer["masked_error"] == 0
    assert any((found[name] != longer[name]).any() for name in found)  # not those of the first look
    (said,) = {how_well(one) for one in (found, longer)}
    assert said == "how well is not known, as the rows of the fifth that tells are alike"


def test_the_seed_says_it_all_and_targets_nothing(target: Path) -> None:
    x = related(2, 60)
    one, again = filled(x, target, steps=60), filled(x, target, torch.arange(60), steps=60)
    assert all((one[name] == again[name]).all() for name in one)
    other = filled(x, target, seed=1, steps=60)
    assert any((one[name] != other[name]).any() for name in one)
    before = torch.random.get_rng_state()  # behind 60 steps; behind 50 it is no other
    filled(x, target, steps=50)
    assert torch.equal(before, torch.random.get_rng_state())


def test_small_clusters_are_left_out(target: Path, tmp_path: Path) -> None:
    x = heaps(0)
    x[:2] = 200.0
    source, net = net_of(table(tmp_path / "s.csv", x), target)
    found, (note,) = with_clusters(source, net, HEAPS + 1, 0)
    assert len(found.targets.names) == HEAPS
    assert len(found.pool) == len(TRUE) - 2
    assert "2 rows in smaller ones are left out" in note


def test_what_cannot_be_clustered_is_one_line(target: Path, tmp_path: Path) -> None:
    few = source_of(table(tmp_path / "few.csv", heaps(0)[:9]), target)
    with pytest.raises(MetatlError, match="9 rows without labels; give 10 or more"):
        learned_on(few, problem_of(target), 0)
    one_differs = np.tile((np.arange(20) < 1)[:, None], COLUMNS).astype("f8")
    alike, net = net_of(table(tmp_path / "alike.csv", one_differs), target)
    with pytest.raises(MetatlError, match="of its 20 rows 19 are of one cluster"):
        with_clusters(alike, net, None, 0)
    for many in (1, 10):
        with pytest.raises(MetatlError, match="give 2 to 9"):
            check_clusters(few, many)
    for source, said in ((problem_of(target), "the source has labels"), (None, "there is no source")):
        with pytest.raises(MetatlError, match=said):
            check_clusters(source, 3)

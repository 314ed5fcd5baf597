"""Rows with several targets in a config: own heads of terms, episodes of one target, what starts there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from metatl.aggregates import PCGrad
from metatl.data import LabelledRows, SeveralTargets, SeveralTargetsData, Tasks
from metatl.data.many_targets import ManyTargets
from metatl.data.real_rows import RealRows
from metatl.engines import Loop
from metatl.learners import Supervised
from metatl.models import MLP, SharedTrunk
from metatl.net import Net, Pass
from metatl.objectives import OfTarget, Quantile
from metatl.objectives.term import Anchor, Seen
from metatl.rules import SGD
from metatl.train import train
from metatl.types import Batch, Episode, MetatlError
from tests.commands import metatl, only
from tests.toys import assert_close

SHOTS = Tasks(2, 3, 4)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """200 rows: two columns, a class and a value that some lack, and two further targets for tasks."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200))
    lines = ["a,b,colour,size,side,sum"]
    for i in range(200):
        colour = "" if i % 9 == 0 else ("red", "green", "blue")[int(a[i] > 0) + int(b[i] > 0)]
        size = "" if i % 7 == 0 else f"{a[i] - b[i]:.4f}"
        side = "" if i % 11 == 0 else ("left" if a[i] < b[i] else "right")
        lines.append(f"{a[i]:.4f},{b[i]:.4f},{colour},{size},{side},{a[i] + b[i]:.4f}")
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def source(table: Path, **other: Any) -> SeveralTargets:
    given: dict[str, Any] = {"path": str(table), "targets": ("colour", "size"), "task": "side", **other}
    return SeveralTargets(**given)


def test_a_head_of_the_terms_own_is_that_of_a_shared_trunk() -> None:
    """The same weights in both places learn the same trunk, under a sum and under an aggregate."""
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    data = ManyTargets("toy", {"meta_train": Batch(x, {"a": x[:, :3].argmax(1), "b": x[:, 3:]})})
    torch.manual_seed(0)
    plain = Net.of(MLP((4,), 1, (6,)))
    shared = Net.of(SharedTrunk((4,), 1, {"a": 3, "b": 1}, hidden=(6,)))
    own = OfTarget("a", outputs=3), OfTarget("b", outputs=1)
    streams: dict[str, Any] = {"source": LabelledRows("meta_train", 8)}
    for aggregate in (None, PCGrad()):
        ours = Supervised(5, rule=SGD(0.1), terms=own, streams=streams, aggregate=aggregate)
        begun = ours.init(plain, plain.start())
        params = shared.start().params
        trunk = [name for name in plain.start().params if not plain.is_head(name)]
        for name, other in zip(trunk, [n for n in params if n.startswith("trunk")], strict=True):
            params[other] = begun.transfer.params[name]
        heads = begun.memory["terms"]
        params |= {f"heads.{name}": leaf for name, leaf in heads.items()}
        theirs = Supervised(
            5, rule=SGD(0.1), terms=(OfTarget("a"), OfTarget("b")), streams=streams, aggregate=aggregate
        )
        start = shared.start()
        state = theirs.init(shared, replace(start, params=params))
        found, wanted = (
            train(ours, plain, Loop(), begun, data, 0),
            train(theirs, shared, Loop(), state, data, 0),
        )
        moved = {f"heads.{n}": leaf for n, leaf in found.memory["terms"].items()}
        assert_close(moved, {n: wanted.transfer.params[n] for n in moved}, 1e-6)
        ends = {n: found.transfer.params[n] for n in trunk}
        assert_close(
            ends,
            dict(
                zip(trunk, [wanted.transfer.params[n] for n in params if n.startswith("trunk")], strict=True)
            ),
            1e-6,
        )
        assert not torch.equal(found.transfer.params[trunk[0]], begun.transfer.params[trunk[0]])


def check_draws(data: SeveralTargetsData, tasks: Tasks) -> None:
    """An episode is a function of (seed, index), and so are its fingerprint and a mini-batch."""
    many = data.draw("meta_test", tasks, 0, 0, 4)
    for index in range(4):
        one = data.draw("meta_test", tasks, 0, index, 1)
        assert isinstance(many, Episode)
        assert isinstance(one, Episode)
        for of_one, of_all in ((one.support, many.support), (one.query, many.query)):
            assert torch.equal(of_one.x[0], of_all.x[index])
            assert torch.equal(of_one.y[0], of_all.y[index])
    prints = [data.fingerprint("meta_test", tasks, seed, 4) for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]
    batches = [data.batch("meta_train", 8, 0, step).x for step in (0, 0, 1)]
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])


def test_splits_are_of_rows_and_empty_cells_stay_out(table: Path) -> None:
    data = source(table).load()
    assert isinstance(data, SeveralTargetsData)
    parts = {split: data.rows(split) for split in ("meta_train", "meta_val", "meta_test")}
    assert [len(x) for x in parts.values()] == [120, 40, 40]
    batch = data.batch("meta_train", 120, 0, 0)
    assert set(batch.y) == {"colour", "size"}
    assert bool((batch.y["colour"] == -1).any())
    assert bool(batch.y["size"].isnan().any())
    episode = data.draw("meta_test", SHOTS, 0, 0, 5)
    assert isinstance(episode, Episode)
    rows = {tuple(row) for row in parts["meta_test"].tolist()}
    assert {tuple(row) for row in episode.query.x.flatten(0, 1).tolist()} <= rows
    assert episode.support.y.tolist()[0] == [0, 1] * 3
    assert data.kind == "classification"
    assert data.classes("meta_train") == 0
    assert data.describe()["targets"] == {"colour": ["blue", "green", "red"], "size": ["size"]}
    check_draws(data, SHOTS)


def test_a_real_task_draws_rows_that_do_not_meet(table: Path) -> None:
    data = source(table, task="sum").load()
    assert isinstance(data.tasks, RealRows)
    assert data.kind == "regression"
    episode = data.draw("meta_test", Tasks(2, 15, 25), 0, 3, 2)
    assert isinstance(episode, Episode)
    assert list(episode.support.y.shape) == [2, 15, 1]
    for k in (0, 1):
        both = torch.cat([episode.support.x[k], episode.query.x[k]])
        assert len({tuple(row) for row in both.tolist()}) == 40
    again = data.draw("meta_test", Tasks(2, 15, 25), 0, 4, 1)
    assert isinstance(again, Episode)
    assert torch.equal(again.query.x[0], episode.query.x[1])
    with pytest.raises(MetatlError, match=r"shot \+ query is 41, but meta_test of rows has 40 rows"):
        data.check("meta_test", Tasks(2, 16, 25))
    check_draws(data, Tasks(2, 5, 5))


def test_another_value_is_other_data(table: Path) -> None:
    """Of a target that no episode has, too: runs are named by the content."""
    said = source(table).load()
    lines = table.read_text().splitlines()
    cells = lines[2].split(",")
    cells[2] = "blue" if cells[2] != "blue" else "red"
    table.write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]) + "\n")
    found = source(table).load()
    assert found.describe()["content"] != said.describe()["content"]
    assert found.tasks.describe()["content"] == said.tasks.describe()["content"]


def test_pictures_stay_as_they_are(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (80, 1, 6, 6)).astype(np.uint8)
    y = np.arange(80)
    path = tmp_path / "held.npz"
    np.savez(path, x=x, kind=y % 4, size=y / 7.0, form=np.where(y % 3 == 0, "a", "b"))
    data = SeveralTargets(str(path), ("kind", "size"), "form").load()
    assert data.shape == (1, 6, 6)
    assert float(data.rows("meta_train").max()) <= 1.0
    check_draws(data, Tasks(2, 1, 2))


def test_quantiles_tell_their_coverage() -> None:
    """Of the rows that have the target: two of three lie between the outermost levels."""
    output = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    y = torch.tensor([0.5, 0.6, 9.0, torch.nan])[:, None]
    term = OfTarget("size", Quantile((0.1, 0.9)))
    seen = Seen(
        {"source": Pass({"size": output}, torch.empty(0))},
        {"source": Batch(torch.zeros(4, 1), {"size": y})},
        Anchor({}, None),
        {},
        0.0,
    )
    assert float(term.told(seen)["coverage of size"]) == pytest.approx(2 / 3)
    assert set(term.told(seen)) == {"loss of size", "coverage of size"}
    none = Seen(
        seen.passes, {"source": Batch(torch.zeros(4, 1), {"size": y * torch.nan})}, seen.anchor, {}, 0.0
    )
    assert set(term.told(none)) == {"loss of size"}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no such column": ({"task": "sde"}, "nearest: side"),
    "no such target": ({"targets": ("colour", "sizes")}, "nearest: size"),
    "none": ({"targets": ()}, "targets is empty"),
    "twice": ({"targets": ("size", "size")}, "'size' twice"),
    "no inputs": ({"drop": ("a", "b", "sum")}, "no column beside the targets"),
    "no rows to learn from": ({"fractions": (0.0, 0.5, 0.5)}, "meta_train is empty"),
    "shares": ({"fractions": (0.5, 0.5, 0.5)}, "add up to 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_one_line(case: str, table: Path) -> None:
    given, said = REFUSED[case]
    with pytest.raises(MetatlError, match=said) as refused:
        source(table, **given).load()
    assert "\n" not in str(refused.value)


def test_a_class_that_a_split_lacks_is_named(table: Path) -> None:
    table.write_text(table.read_text().replace(",left,", ",right,").replace(",right,", ",left,", 1))
    with pytest.raises(MetatlError, match="has no row of the class 'left'"):
        source(table).load()


def test_a_head_with_too_few_outputs_is_named(table: Path) -> None:
    data, net = source(table).load(), Net.of(MLP((3,), 1, (6,)))
    streams: dict[str, Any] = {"source": LabelledRows("meta_train", 64)}
    learner = Supervised(1, terms=(OfTarget("colour", outputs=2),), streams=streams)
    with pytest.raises(MetatlError, match="'colour' has the class 2, counted from 0, and its head has 2"):
        train(learner, net, Loop(), learner.init(net, net.start()), data, 0)
    with pytest.raises(MetatlError, match="outputs is 0"):
        OfTarget("colour", outputs=0)


FRESH = {"steps": 2, "rule": {"class_path": "SGD", "init_args": {"lr": 0.1}}, "head": {"class_path": "Zeros"}}
EPISODES = {"way": 2, "shot": 3, "query": 4, "subsets": "enumerated"}
AFTER: dict[str, dict[str, Any]] = {
    "fine-tuning": {},
    "lora": {"transforms": [{"class_path": "LoRA", "init_args": {"r": 2, "alpha": 2.0}}]},
    "kl": {"adaptation": {**FRESH, "terms": [{"class_path": "TaskLoss"}, {"class_path": "L2SP"}]}},
    "gtl": {
        "learner": {
            "class_path": "Scout",
            "init_args": {"scouts": 2, "tasks": {**EPISODES, "query": 0}, "adaptation": FRESH},
        },
        "guide": {"class_path": "Shaped"},
    },
    "maml": {
        "learner": {
            "class_path": "Episodic",
            "init_args": {"steps": 2, "meta_batch": 2, "tasks": EPISODES, "adaptation": FRESH},
        },
    },
}


@pytest.mark.parametrize("way", AFTER)
def test_a_start_of_several_targets_serves_every_adaptation(way: str, table: Path, tmp_path: Path) -> None:
    shared = {
        "data": {
            "class_path": "SeveralTargets",
            "init_args": {"path": str(table), "targets": ["colour", "size"], "task": "side", "drop": ["sum"]},
        },
        "model": {"class_path": "MLP", "init_args": {"hidden": [8]}},
        "adaptation": FRESH,
        "evaluation": {"tasks": EPISODES, "episodes": 4},
        "runs": str(tmp_path / "runs"),
    }
    heads = [
        {"class_path": "OfTarget", "init_args": {"target": name, "outputs": k}}
        for name, k in (("colour", 3), ("size", 1))
    ]
    start = {
        **shared,
        "name": "several",
        "learner": {
            "class_path": "Supervised",
            "init_args": {
                "steps": 4,
                "streams": {"source": {"class_path": "LabelledRows", "init_args": {"size": 16}}},
                "terms": heads,
                "aggregate": {"class_path": "PCGrad"},
            },
        },
        "record_every": 2,
    }
    (tmp_path / "start.yaml").write_text(yaml.safe_dump(start))
    (tmp_path / "row.yaml").write_text(
        yaml.safe_dump({**shared, "name": way, "start": str(tmp_path / "start.yaml"), **AFTER[way]})
    )
    found = metatl("run", tmp_path / "row.yaml")
    assert found.code == 0, found
    report = json.loads((only(tmp_path / "runs" / way) / "report.json").read_text())
    assert report["protocol"]["episodes"] == 4
    lines = (only(tmp_path / "runs" / "several") / "metrics.jsonl").read_text().splitlines()
    assert {"meta_train/loss of colour", "meta_train/loss of size"} <= set(json.loads(lines[-1]))

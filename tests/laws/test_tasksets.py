"""Tasksets, one's own and learn2learn's, as episodes: split right, repeatable, usable in a run."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.data import Tasks, Taskset
from metatl.data.taskset_data import TasksetData
from metatl.lab import cli
from metatl.types import MetatlError

MODULE = '''
import random
import sys
import numpy as np
import torch

class Own:
    """`rows` examples of `way` classes, drawn with three generators; labels are not 0, 1, ..."""

    def __init__(self, first, way=3, rows=5, image=False):
        self.first, self.way, self.rows, self.image = first, way, rows, image

    def sample(self):
        classes = random.sample(range(self.first, self.first + 10), self.way)
        y = torch.tensor([c for c in classes for _ in range(self.rows)])
        y = y[torch.from_numpy(np.random.permutation(len(y)))]
        x = torch.rand(len(y), 2) + y[:, None]
        return (x.view(-1, 1, 1, 2).expand(-1, 1, 8, 2) if self.image else x), y

class Waves:
    def sample(self):
        x = np.random.rand(9, 1)
        return x, np.sin(x + random.random())

def own(way=3, rows=5):
    return tuple(Own(first, way, rows) for first in (0, 100, 200))

def waves():
    return Waves(), Waves(), Waves()

def broken():
    raise ValueError("no data here")

two = (Waves(), Waves())
pair = [type("Odd", (), {"sample": lambda self: (1, 2, 3)})() for _ in range(3)]
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An importable module with tasksets."""
    (tmp_path / "my_tasksets.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_tasksets", raising=False)
    return "my_tasksets"


def test_episodes_are_split_class_by_class(module: str) -> None:
    data = Taskset(f"{module}.own").load()
    assert (data.shape, data.kind, data.outputs(Tasks(3, 2, 3))) == ((2,), "classification", 3)
    episode = data.draw("meta_train", Tasks(3, 2, 3), 0, 0, 4)
    assert [list(part.x.shape) for part in episode[:2]] == [[4, 6, 2], [4, 9, 2]]
    for part, each in ((episode.support, 2), (episode.query, 3)):
        assert part.y.tolist() == [[0, 1, 2] * each] * 4
        own = part.x[..., 0].floor()
        assert bool((own.view(4, each, 3) == own[:, None, :3]).all()), "a label means one class"
    for i in range(4):
        support, query = (set(map(tuple, part.x[i].tolist())) for part in episode[:2])
        assert not support & query
    assert float(data.draw("meta_test", Tasks(3, 1, 1), 0, 0, 1).support.x.min()) >= 200, (
        "each split has its own"
    )


def generators() -> tuple[Any, ...]:
    """The states of the generators that tasksets draw from."""
    numpy = np.random.get_state()[1].tolist()  # noqa: NPY002
    return random.getstate(), numpy, torch.random.get_rng_state().tolist()


def test_a_draw_depends_on_seed_split_and_index_alone(module: str) -> None:
    tasks, data = Tasks(3, 1, 2), Taskset(f"{module}.own").load()
    straight = data.draw("meta_train", tasks, 5, 0, 6)
    before = generators()
    for index in (4, 0, 3):
        one = data.draw("meta_train", tasks, 5, index, 1)
        assert bool((one.support.x[0] == straight.support.x[index]).all())
        assert bool((one.query.x[0] == straight.query.x[index]).all())
    assert generators() == before, "the generators are left as they were"
    assert not bool((data.draw("meta_train", tasks, 6, 0, 6).support.x == straight.support.x).all())
    marks = [data.fingerprint("meta_test", tasks, seed, 3) for seed in (0, 0, 1)]
    assert marks[0] == marks[1] != marks[2]
    assert marks[0] == Taskset(f"{module}:own", name=f"{module}.own").load().fingerprint(
        "meta_test", tasks, 0, 3
    )


def test_regression(module: str) -> None:
    data = Taskset(f"{module}.waves").load()
    assert (data.kind, data.outputs(Tasks(2, 4, 5)), data.shape) == ("regression", 1, (1,))
    episode = data.draw("meta_val", Tasks(2, 4, 5), 0, 0, 2)
    assert [list(part.y.shape) for part in episode[:2]] == [[2, 4, 1], [2, 5, 1]]
    assert episode.support.x.dtype == episode.support.y.dtype == torch.float32


@pytest.mark.parametrize(
    ("path", "tasks", "message"),
    [
        ("nowhere.at.all", None, "nothing at that path"),
        ("my_tasksets.missing", None, "nothing at that path"),
        ("own", None, "nothing at that path"),
        ("my_tasksets.broken", None, "calling it failed: no data here"),
        ("my_tasksets.two", None, "needs three tasksets"),
        ("my_tasksets.pair", None, r"no pair \(x, y\)"),
        ("my_tasksets.own", Tasks(4, 1, 1), "has 3 classes, but way is 4"),
        ("my_tasksets.own", Tasks(3, 3, 3), r"has 5 rows, but shot \+ query is 6"),
        ("my_tasksets.waves", Tasks(2, 8, 3), r"has 9 rows, but shot \+ query is 11"),
    ],
)
def test_what_is_wrong_is_one_line(module: str, path: str, tasks: Tasks | None, message: str) -> None:

    def loaded_and_checked() -> None:
        Taskset(path).load().check("meta_train", tasks or Tasks(3, 1, 1))

    with pytest.raises(MetatlError, match=message) as caught:
        loaded_and_checked()
    assert "\n" not in str(caught.value)


RUN = """
name: own
data: {{class_path: Taskset, init_args: {{path: my_tasksets.own, arguments: {{way: 3, rows: 6}}}}}}
model: {{class_path: MLP, init_args: {{hidden: [8]}}}}
learner:
  class_path: {learner}
adaptation: {{steps: 2, head: {{class_path: Zeros}}}}
evaluation: {{tasks: {{way: 3, shot: 2, query: 4}}, episodes: 6}}
"""


def test_a_taskset_of_ones_own_in_a_run(
    module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = "Episodic\n  init_args: {steps: 2, meta_batch: 2, tasks: {way: 3, shot: 1, query: 2}}"
    path = tmp_path / "own.yaml"
    path.write_text(RUN.format(learner=learner))
    words = ["run", str(path), "--runs", str(tmp_path / "runs")]
    assert cli.main(words) == 0, capsys.readouterr().err
    report = next((tmp_path / "runs").rglob("report.json"))
    first = json.loads(report.read_text())
    assert first["protocol"]["episodes"] == 6
    assert cli.main([*words, "--seed", "1"]) == 0
    path.write_text(RUN.format(learner="Supervised"))
    assert cli.main(words) == 2
    assert "no classes to train on" in capsys.readouterr().err


def _l2l_triple(learn2learn: Any, num_tasks: int) -> TasksetData:
    def taskset() -> Any:
        x = torch.arange(120.0).reshape(120, 1)
        data = learn2learn.data.MetaDataset(torch.utils.data.TensorDataset(x, torch.arange(120) % 6))
        steps = learn2learn.data.transforms
        chain = [steps.NWays(data, 3), steps.KShots(data, 4), steps.LoadData(data), steps.RemapLabels(data)]
        return learn2learn.data.Taskset(data, chain, num_tasks=num_tasks)

    splits = {split: taskset() for split in ("meta_train", "meta_val", "meta_test")}
    return TasksetData("l2l", splits, torch.device("cpu"))


@pytest.mark.peers
@pytest.mark.parametrize("num_tasks", [-1, 7])
def test_learn2learn_tasksets_in_any_order(learn2learn: Any, num_tasks: int) -> None:
    tasks = Tasks(3, 1, 3)
    straight = _l2l_triple(learn2learn, num_tasks).draw("meta_train", tasks, 0, 0, 12)
    data = _l2l_triple(learn2learn, num_tasks)
    backwards = [data.draw("meta_train", tasks, 0, index, 1) for index in reversed(range(12))]
    support = torch.cat([one.support.x for one in reversed(backwards)])
    assert bool((support == straight.support.x).all())
    assert bool((straight.support.x[..., 0] % 6 == straight.query.x[:, :3, 0] % 6).all()), "labels match"
    different = {tuple(sorted(x.flatten().tolist())) for x in straight.support.x}
    assert len(different) > 7 if num_tasks < 0 else 1 < len(different) <= 7


@pytest.mark.peers
def test_a_benchmark_of_learn2learn_by_its_path(learn2learn: Any, tmp_path: Path) -> None:
    with pytest.raises(MetatlError, match=r"get_tasksets: calling it failed"):
        Taskset("learn2learn.vision.benchmarks.get_tasksets", {"name": "no-such-set"}).load()

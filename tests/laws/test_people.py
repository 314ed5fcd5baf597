"""Tasks that are people: who comes when, and that support and query share no recording."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from metatl.data import GroupData, Tasks
from metatl.data.groups import GroupRows, Groups, GroupWords
from metatl.types import MetatlError, Split

# person -> recording -> windows of each of three activities
RECORDINGS = {
    1: {1: (4, 5, 6), 2: (5, 4, 7)},
    2: {3: (9, 9, 9), 4: (0, 0, 8), 5: (7, 6, 0)},  # one recording in two halves
    3: {6: (6, 6, 6)},  # one recording: no second side
    4: {7: (6, 6, 6), 8: (6, 6, 0)},  # an activity missing on a side
    5: {9: (5, 5, 5), 10: (9, 9, 9), 11: (3, 3, 3)},
}
WORDS = GroupWords("person", "people", "window", "recording")
PEOPLE: dict[Split, list[int]] = {"meta_train": [1, 2, 3, 4, 5], "meta_val": [1], "meta_test": [2, 5]}


def windows() -> GroupRows:
    """The window of person p, recording r, activity a holds (p, r, a, its own number)."""
    rows = [
        (person, recording, activity)
        for person, held in RECORDINGS.items()
        for recording, counts in held.items()
        for activity, count in enumerate(counts)
        for _ in range(count)
    ]
    table = np.array(rows)[np.random.default_rng(0).permutation(len(rows))]
    x = torch.cat([torch.from_numpy(table), torch.arange(len(table))[:, None]], 1).float()
    return GroupRows(x[:, :, None], table[:, 2], table[:, 0], table[:, 1])


def data() -> GroupData:
    cpu = torch.device("cpu")
    parts = {split: Groups.of(windows(), own, 3, cpu, "toy", WORDS) for split, own in PEOPLE.items()}
    return GroupData(parts, ("sit", "walk", "run"), {}, "toy", (4, 1), name="hapt", words=WORDS)


def test_support_and_query_are_one_person_in_different_recordings() -> None:
    own, tasks = data(), Tasks(shot=2, query=3)
    episode = own.draw("meta_train", tasks, 0, 0, 60)
    assert episode.support.x.shape == (60, 6, 4, 1)
    assert episode.query.x.shape == (60, 9, 4, 1)
    assert torch.equal(episode.support.y[0], torch.tensor([0, 1, 2, 0, 1, 2]))
    sides = set()
    for e in range(60):
        support, query = episode.support.x[e, :, :, 0], episode.query.x[e, :, :, 0]
        everything = torch.cat([support, query])
        assert everything[:, 0].unique().tolist() == [own.group("meta_train", e)]
        assert torch.equal(everything[:, 2].long(), torch.cat([episode.support.y[e], episode.query.y[e]]))
        assert not set(support[:, 1].tolist()) & set(query[:, 1].tolist())
        assert everything[:, 3].unique().numel() == 15
        if support[0, 0] == 2:
            sides.add(frozenset(support[:, 1].tolist()))
    assert {3} in sides  # both sides of person 2 take turns as the support set
    assert any(side <= {4, 5} for side in sides)


def test_people_who_lack_an_activity_on_a_side_are_left_out() -> None:
    own = data()
    assert own.groups["meta_train"].ids == (1, 2, 5)
    with pytest.raises(MetatlError, match="no person of a split"):
        Groups.of(windows(), [3, 4], 3, torch.device("cpu"), "toy", WORDS)


def test_everybody_comes_once_in_every_block() -> None:
    own = data()
    order = [own.group("meta_train", index, seed=4) for index in range(300)]
    blocks = [order[k : k + 3] for k in range(0, 300, 3)]
    assert all(sorted(block) == [1, 2, 5] for block in blocks)
    assert len({tuple(block) for block in blocks}) == 6
    assert order != [own.group("meta_train", index, seed=5) for index in range(300)]
    straight = [own.group("meta_train", index, tasks=Tasks(subsets="enumerated")) for index in range(4)]
    assert straight == [1, 2, 5, 1]


def test_the_stream_depends_on_the_index_alone() -> None:
    own, tasks = data(), Tasks(shot=3, query=3)
    whole = own.draw("meta_test", tasks, 9, 2, 12)
    for i in reversed(range(12)):
        single = own.draw("meta_test", tasks, 9, 2 + i, 1)
        assert torch.equal(single.support.x[0], whole.support.x[i])
        assert torch.equal(single.query.x[0], whole.query.x[i])
    prints = {own.fingerprint(split, tasks, seed, 20) for split in PEOPLE for seed in (0, 1)}
    assert len(prints) == 6


def test_a_task_of_meta_train_may_join_people() -> None:
    joined = replace(data(), join=2)
    tasks = Tasks(shot=2, query=3)
    episode = joined.draw("meta_train", tasks, 0, 0, 40)
    assert episode.support.x.shape == (40, 12, 4, 1)
    assert torch.equal(episode.support.y[0], torch.tensor([0, 1, 2] * 4))
    pairs = set()
    for e in range(40):
        support, query = episode.support.x[e, :, :, 0], episode.query.x[e, :, :, 0]
        assert support[0, 0] != support[3, 0]  # the two take turns, round by round
        assert torch.equal(support[:6, 0], support[6:, 0])
        assert torch.equal(support[:, 2].long(), episode.support.y[e])
        assert not set(support[:, 1].tolist()) & set(query[:, 1].tolist())
        assert torch.cat([support, query])[:, 3].unique().numel() == 30
        assert int(support[0, 0]) == joined.group("meta_train", e)
        pairs.add(frozenset(support[:, 0].tolist()))
    assert pairs == {frozenset({1, 2}), frozenset({1, 5}), frozenset({2, 5})}
    single = joined.draw("meta_train", tasks, 0, 7, 1)
    assert torch.equal(single.support.x[0], episode.support.x[7])
    assert joined.draw("meta_train", Tasks(shot=2, query=0), 0, 0, 3).query.x.shape == (3, 0, 4, 1)
    for split in ("meta_val", "meta_test"):
        assert torch.equal(
            joined.draw(split, tasks, 0, 0, 4).support.x, data().draw(split, tasks, 0, 0, 4).support.x
        )


def test_nobody_to_choose_on_is_one_line() -> None:
    own = replace(data(), groups={"meta_train": data().groups["meta_train"]})
    with pytest.raises(MetatlError, match="hapt has no person in meta_val"):
        own.check("meta_val", Tasks(shot=1, query=1))


def test_batches_walk_through_everybody() -> None:
    own = data()
    n = len(own.groups["meta_train"].x)
    seen = [own.batch("meta_train", 17, 0, step) for step in range(2 * n // 17 + 1)]
    x, y = torch.cat([b.x for b in seen])[:, :, 0], torch.cat([b.y for b in seen])
    assert torch.equal(x[:, 2].long(), y)
    for first, second in pairwise((0, n, 2 * n)):
        assert x[first:second, 3].unique().numel() == n
    assert own.classes("meta_train") == own.outputs(Tasks(way=9)) == 3


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (Tasks(shot=5, query=1), "shot is 5, but person 1 in meta_train of hapt has 4 windows of 'walk'"),
        (Tasks(shot=1, query=5), "query is 5, but person 1 in meta_train of hapt has 4 windows of 'walk'"),
        (Tasks(shot=0), "shot is 0"),
    ],
)
def test_too_few_windows_are_one_line(tasks: Tasks, message: str) -> None:
    with pytest.raises(MetatlError) as caught:
        data().draw("meta_train", tasks, 0, 0, 1)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)

"""The stream of episodes depends on (seed, split, index) only; its episodes are what they should be."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metatl import tree
from metatl.data import SPLITS, Bank, ClassData, Data, Sinusoid, Tasks
from metatl.data.counter import below, bits, first_of_shuffle, normal, number, uniform
from metatl.data.episodes import combinations
from metatl.types import Episode, MetatlError

SIZES = [20, 25, 21, 40, 20, 33, 20, 22, 90, 20, 24, 20]


def bank(first: int = 0, image: bool = False) -> Bank:
    """Example k of class c holds (c + first, k); as images the value lies in one corner."""
    y = torch.repeat_interleave(torch.tensor(SIZES))
    k = torch.cat([torch.arange(size) for size in SIZES])
    if not image:
        return Bank.from_arrays(torch.stack([y + first, k], 1).float(), y)
    x = torch.zeros(len(y), 1, 4, 4, dtype=torch.uint8)
    x[:, 0, 0, 0], x[:, 0, 0, 1] = (y + 1).to(torch.uint8), (k + 1).to(torch.uint8)
    return Bank.from_arrays(x, y)


def data(rotations: str = "none") -> ClassData:
    banks = {split: bank(100 * place, rotations != "none") for place, split in enumerate(SPLITS)}
    if rotations == "augment":
        banks = {split: own.turned() for split, own in banks.items()}
    return ClassData("toy", banks)


SETS: list[Data] = [data(), data("augment"), Sinusoid().load()]


def flat(episode: Episode) -> list[torch.Tensor]:
    return list(tree.leaves(episode))


@pytest.mark.parametrize("subsets", ["random", "enumerated"])
@pytest.mark.parametrize("own", SETS, ids=["plain", "turned", "sinusoid"])
def test_an_episode_depends_on_its_index_alone(own: Data, subsets: str) -> None:
    tasks = Tasks(5, 2, 3, subsets)  # type: ignore[arg-type]
    whole = flat(own.draw("meta_train", tasks, 7, 3, 32))
    torch.set_num_threads(1)
    for i in reversed(range(32)):
        single = flat(own.draw("meta_train", tasks, 7, 3 + i, 1))
        assert all(torch.equal(a[i], b[0]) for a, b in zip(whole, single, strict=True))
    torch.manual_seed(99)
    torch.set_default_dtype(torch.float64)
    again = flat(own.draw("meta_train", tasks, 7, 3, 32))
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(whole, again, strict=True))


@pytest.mark.parametrize("own", SETS, ids=["plain", "turned", "sinusoid"])
def test_seeds_and_splits_have_streams_of_their_own(own: Data) -> None:
    streams = [own.draw(split, Tasks(), seed, 0, 4).support.x for split in SPLITS for seed in (0, 1)]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(streams, 2))
    prints = {own.fingerprint(split, Tasks(), seed, 8) for split in SPLITS for seed in (0, 1, -1)}
    assert len(prints) == 9
    assert own.fingerprint("meta_val", Tasks(shot=2), 0, 8) not in prints
    assert own.fingerprint("meta_val", Tasks(), 0, 8) == own.fingerprint("meta_val", Tasks(), 0, 8)


@settings(max_examples=25, deadline=None)
@given(
    way=st.integers(2, 12), shot=st.integers(1, 5), query=st.integers(0, 15), seed=st.integers(-9, 1 << 70)
)
def test_episodes_are_balanced_and_share_no_example(way: int, shot: int, query: int, seed: int) -> None:
    episode = data().draw("meta_val", Tasks(way, shot, query), seed, 5, 6)
    assert episode.support.x.shape == (6, way * shot, 2)
    assert episode.query.x.shape == (6, way * query, 2)
    assert episode.support.x.dtype == torch.float32
    assert episode.support.y.dtype == episode.query.y.dtype == torch.int64
    for e in range(6):
        x = torch.cat([episode.support.x[e], episode.query.x[e]])
        y = torch.cat([episode.support.y[e], episode.query.y[e]])
        assert torch.equal(y, torch.arange(way).repeat(shot + query))  # round by round
        assert len({tuple(row) for row in x.tolist()}) == len(x)  # no example twice
        classes = [x[y == c, 0].unique() for c in range(way)]
        assert all(len(c) == 1 for c in classes)
        assert torch.cat(classes).unique().numel() == way
        assert x[:, 0].min() >= 100
        assert x[:, 0].max() < 112


def test_classes_and_examples_are_drawn_evenly() -> None:
    rows = data().plan("meta_train", Tasks(4, 1, 3), 0, 0, 6000)
    classes = rows.classes.flatten().bincount(minlength=12).float()
    assert (classes / classes.sum() * 12 - 1).abs().max() < 0.06
    for c, size in ((0, 20), (8, 90)):
        taken = rows.rows.transpose(1, 2)[rows.classes == c] - sum(SIZES[:c])
        for column in (taken[:, 0], taken[:, 3]):  # no place in the episode prefers an example
            counts = column.bincount(minlength=size).float()
            expected = len(column) / size
            assert len(counts) == size
            assert ((counts - expected) ** 2 / expected).sum() < 2 * size


def test_the_second_way_of_sampling_is_even_too() -> None:
    keys = bits(3, torch.arange(40000))
    few = first_of_shuffle(keys, 96, 96, 3)  # 96 = 32 * 3: one word a draw
    assert (few.sort(-1).values.diff(dim=-1) > 0).all()
    assert few.min() >= 0
    assert few.max() == 95
    for column in few.unbind(-1):
        counts = column.bincount(minlength=96).float()
        expected = len(keys) / 96
        assert ((counts - expected) ** 2 / expected).sum() < 150  # 95 degrees of freedom


def test_enumerated_subsets_are_all_combinations_in_order() -> None:
    digits = Bank.from_arrays(torch.arange(20.0)[:, None] // 2, torch.arange(20) // 2)
    ten = ClassData("digits", {"meta_train": digits})
    triples = ten.plan("meta_train", Tasks(3, 1, 0, "enumerated"), 5, 0, 121).classes.tolist()
    expected = [list(c) for c in itertools.combinations(range(10), 3)]
    assert triples == [*expected, expected[0]]
    many = combinations(1000, 3, torch.tensor([0, 998, 166167000 - 1]))
    assert many.tolist() == [[0, 1, 2], [0, 2, 3], [997, 998, 999]]


def test_turns_are_one_a_class_and_episode() -> None:
    own, upright = data("augment"), bank(image=True)
    tasks = Tasks(6, 2, 4)
    plan = own.plan("meta_train", tasks, 0, 0, 64)
    assert plan.turns.flatten().bincount().min() > 60
    x = own.draw("meta_train", tasks, 0, 0, 64)
    both = torch.cat([x.support.x, x.query.x], 1).view(64, 6, 6, 1, 4, 4)
    block = sum(SIZES)
    for e, c in itertools.product(range(0, 64, 7), range(6)):
        straight = upright.gather(plan.rows[e, :, c] - block * plan.turns[e, c])
        assert torch.equal(both[e, :, c], torch.rot90(straight, int(plan.turns[e, c]), (-2, -1)))
    four = upright.turned_classes()
    assert four.classes == 48
    assert four.names[13] == "1/rot090"
    assert torch.equal(
        four.gather(four.offsets[[13]]), torch.rot90(upright.gather(upright.offsets[[1]]), 1, (-2, -1))
    )


def test_batches_walk_through_shuffled_epochs() -> None:
    own, n = data(), sum(SIZES)
    seen = [own.batch("meta_train", 50, 3, step) for step in range(20)]
    x, y = torch.cat([b.x for b in seen]), torch.cat([b.y for b in seen])
    assert torch.equal(x[:, 0].long(), y)
    for epoch in (x[:n], x[n : 2 * n]):
        assert len({tuple(row) for row in epoch.tolist()}) == n  # every example once
    assert not torch.equal(x[:n], x[n : 2 * n])
    assert torch.equal(data().batch("meta_train", 50, 3, 17).x, seen[17].x)
    assert own.batch("meta_train", 3 * n, 3, 0).y.shape == (3 * n,)


def test_batches_of_turned_images_keep_their_class() -> None:
    own, upright = data("augment"), bank(image=True)
    batch = own.batch("meta_train", sum(SIZES), 3, 2)
    marks = (batch.x * 255).round().long().flatten(1).sort(-1, descending=True).values[:, :2]
    assert ((marks == batch.y[:, None] + 1).any(1)).all()
    straight = (batch.x[:, 0, 0, 0] > 0).float().mean()  # the class's corner stays where it is in a quarter
    assert 0.15 < straight < 0.35
    assert batch.y.bincount().tolist() == list(upright.sizes)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (Tasks(way=1), "at least 2 classes"),
        (Tasks(shot=0), "at least 1 example"),
        (Tasks(query=-1), "query is -1"),
        (Tasks(way=13), "way is 13, but meta_val of toy has 12 classes"),
        (Tasks(shot=6), "shot + query is 21, but class '0' in meta_val of toy has 20 examples"),
        (Tasks(subsets="all"), "subsets is 'all'"),  # type: ignore[arg-type]
    ],
)
def test_impossible_episodes_are_refused_in_one_line(tasks: Tasks, message: str) -> None:
    for call in (lambda: data().check("meta_val", tasks), lambda: data().draw("meta_val", tasks, 0, 0, 1)):
        with pytest.raises(MetatlError) as caught:
            call()
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_too_many_subsets_and_missing_splits_are_refused() -> None:
    wide = Bank.from_arrays(torch.zeros(600, 1), torch.arange(300).repeat(2))
    with pytest.raises(MetatlError, match="too many subsets of 40"):
        ClassData("wide", {"meta_train": wide}).check("meta_train", Tasks(40, 1, 1, "enumerated"))
    with pytest.raises(MetatlError, match="wide has no meta_test: it has meta_train"):
        ClassData("wide", {"meta_train": wide}).check("meta_test", Tasks())
    other = replace(wide, x=torch.zeros(600, 2))
    with pytest.raises(MetatlError, match="different shapes"):
        ClassData("wide", {"meta_train": wide, "meta_val": other})


def test_hashes_and_streams_stay_what_they_were() -> None:
    """Recorded values: a change here makes every published fingerprint and result another."""
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]  # SplitMix64 from seed 1234567
    assert [word % 2**64 for word in bits(1234567, torch.arange(3)).tolist()] == published
    assert number(0, 1, 2) == GOLDEN_NUMBER
    assert data().plan("meta_test", Tasks(3, 1, 1), 11, 1000, 1).rows.tolist() == GOLDEN_ROWS
    assert [own.fingerprint("meta_test", Tasks(), 0, 600) for own in SETS] == GOLDEN_PRINTS


def test_counter_numbers_have_their_distributions() -> None:
    words = bits(number(4), torch.arange(200_000))
    u, z, k = uniform(words), normal(words), below(words, 7)
    assert abs(u.mean() - 0.5) < 0.003
    assert abs(u.var() - 1 / 12) < 0.001
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01
    assert z.abs().max() < 3.5
    assert (k.bincount() / len(k) * 7 - 1).abs().max() < 0.03
    bit = words[:, None] >> torch.arange(64) & 1
    assert (bit.double().mean(0) - 0.5).abs().max() < 0.006
    assert torch.equal(bits(9, torch.tensor([2**62, -1])), bits(9, torch.tensor([-1, 2**62])).flip(0))


GOLDEN_NUMBER = 8400972143974238905
GOLDEN_ROWS = [[[121, 263, 63], [125, 233, 59]]]
GOLDEN_PRINTS = ["bb79dbd1591dedf9", "5c5f8b3f126aabc2", "14061b39fe045598"]

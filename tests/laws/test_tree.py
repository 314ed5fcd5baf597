"""Nestings taken apart and put together again, and small work on one thread."""

from __future__ import annotations

import pytest
import torch

from metatl import tree
from metatl.learners.learner import moved
from metatl.rules import SGD
from metatl.threads import SMALL, few_threads
from metatl.types import Batch, Episode


def test_flatten_and_back():
    part = Batch(torch.ones(2), torch.zeros(2))
    for value in (
        (),
        {},
        3,
        None,
        (None, [1, (2,)], {"b": torch.ones(1), "a": {}}),
        Episode(part, Batch(torch.ones(3), torch.ones(3))),
    ):
        held, nesting = tree.flatten(value)
        again = tree.unflatten(held, nesting)
        assert type(again) is type(value)
        assert tree.flatten(again)[1] == nesting
        assert all(a is b for a, b in zip(tree.flatten(again)[0], held, strict=True))
    assert isinstance(tree.unflatten(*tree.flatten(Episode(part, part))).support, Batch)


def test_different_nestings_have_different_keys():
    values = [
        (1,),
        [1],
        {"a": 1},
        {"b": 1},
        ((1,),),
        (1, 1),
        1,
        Batch(1, 1),
        ({"a": 1, "b": 1},),
        ({"b": 1, "a": 1},),
    ]
    keys = {tree.flatten(value)[1] for value in values}
    assert len(keys) == len(values)


def test_small_work_runs_on_one_thread_and_gives_the_others_back():
    torch.set_num_threads(2)
    with few_threads(True):
        assert torch.get_num_threads() == 1
    with few_threads(False):
        assert torch.get_num_threads() == 2
    with pytest.raises(ValueError, match="x"), few_threads(True):
        raise ValueError("x")
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("entries", "threads"), [(SMALL, 1), (SMALL + 1, 2)])
def test_an_outer_update_of_a_small_net_takes_one_thread(entries, threads):
    torch.set_num_threads(2)
    seen: list[int] = []

    class Rule(SGD):
        def update(self, grads, state, params):
            seen.append(torch.get_num_threads())
            return super().update(grads, state, params)

    weights = {"w": torch.ones(entries)}
    after, _ = moved(Rule(0.5), weights, weights, {}, 1.0, None)
    assert seen == [threads]
    assert torch.equal(after["w"], torch.full((entries,), 0.5))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_bits_are_those_of_the_entries_whatever_their_strides(kind: torch.dtype) -> None:
    whole = torch.arange(24).view(2, 3, 4).to(kind)
    # A single entry is contiguous with any stride: of another tensor's step, or 0 where it was expanded.
    one = torch.ones((), dtype=kind)
    for leaf in (
        whole,
        whole.mT,
        whole[:0],
        one,
        one.expand(1),
        one.expand(1, 1).clone(),
        whole[1:, ::9, 2:3],
    ):
        bits = tree.bits(leaf)
        assert bits.dtype == torch.uint8
        assert bits.numel() == leaf.numel() * leaf.element_size()
        assert torch.equal(bits.view(kind), leaf.reshape(-1))

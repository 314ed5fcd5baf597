"""Scouts that lie on disk are those of this net: of its code, its attributes and its additions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metatl.adapt import Descent
from metatl.data import Tasks
from metatl.data.identity import words_of
from metatl.engines import Loop
from metatl.heads import Zeros
from metatl.learners import Scout
from metatl.net import Net
from metatl.rules import SGD
from metatl.transforms import LoRA, Quantised, transformed
from metatl.types import Transfer
from tests.toys import assert_bitwise, toy_data


class Factor(nn.Module):
    """A net whose function hangs on a number that its printed form does not say."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.body = factor, nn.LazyLinear(6)
        self.last = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.factor * self.body(x.flatten(1))))


def made(factor: float = 1.0, *transforms: Any) -> tuple[Net, Transfer]:
    torch.manual_seed(0)
    module = Factor(factor)
    module(toy_data().batch("meta_train", 2, 0, 0).x.float())
    net = Net.of(module)
    return transformed(transforms, net, net.start())


def scouted(folder: Path, net: Net, start: Transfer) -> Transfer:
    inner = Descent(SGD(0.2), 2, Zeros())
    learner, data = Scout(1, 3, Tasks(3, 4, 0), inner, directions=2, displacements=str(folder)), toy_data()
    state, _ = learner.step(net, Loop(), learner.init(net, start), learner.draw(data, 5, 0))
    return learner.finish(net, state)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ((1.0, LoRA(2, alpha=8)), (1.0, LoRA(2, alpha=32))),
        ((1.0, LoRA(2, alpha=2)), (1.0, LoRA(2, alpha=2, scaling="rank_stabilised"))),
        ((1.0,), (3.0,)),
    ],
)
def test_scouts_of_another_function_with_the_same_weights_are_learned(
    one: tuple[Any, ...], two: tuple[Any, ...], tmp_path: Path
) -> None:
    scouted(tmp_path / "both", *made(*one))
    found = scouted(tmp_path / "both", *made(*two))
    assert len([*(tmp_path / "both").glob("*.npy")]) == 2
    assert_bitwise(found.memory, scouted(tmp_path / "alone", *made(*two)).memory)
    scouted(tmp_path / "both", *made(*two))
    assert len([*(tmp_path / "both").glob("*.npy")]) == 2


CODE = """
import torch
from torch import nn
from metatl.data.identity import words_of
{helper}

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.last, self.by, self.names = nn.Linear(2, 2), torch.tanh, frozenset({{"a", "b", "c"}})

    def forward(self, x):
        return self.last(self.by({helped}x))

print(words_of(Own(), (1, {{"b"}})))
"""


def test_the_words_are_the_same_in_every_process_and_differ_with_the_code(tmp_path: Path) -> None:
    """A file, another own one that it imports, and a class of no file (typed in, or a notebook's)."""

    def words(text: str, factor: int, by_file: bool) -> str:
        (tmp_path / "helper.py").write_text(f"def scaled(x): return {factor} * x\n")
        (tmp_path / "own.py").write_text(text)
        given = ["-c", text] if not by_file else ["own.py"]
        here = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}", "OMP_NUM_THREADS": "1"}
        ran = subprocess.run(
            [sys.executable, "-B", *given], cwd=tmp_path, env=here, capture_output=True, text=True, check=True
        )
        return ran.stdout

    with_helper = CODE.format(helper="from helper import scaled", helped="1.0 * scaled(1) * ")
    assert words(with_helper, 1, True) == words(with_helper, 1, True) != words(with_helper, 2, True)
    typed, other = (CODE.format(helper="", helped=f"{factor} * ") for factor in (1.0, 3.0))
    assert words(typed, 1, False) == words(typed, 1, False) != words(other, 1, False)


def test_codes_and_numbers_that_are_no_buffers_count() -> None:
    net, start = made()
    assert words_of(Quantised()(net, start)[0].module) != words_of(net.module)
    one, two = Factor(1.0), Factor(1.0)
    one.mask, two.mask = torch.zeros(2000), torch.zeros(2000)
    assert words_of(one) == words_of(two)
    two.mask[1000] = 1.0
    assert words_of(one) != words_of(two)

"""Examples by name: a mapping of arrays, for a net whose forward takes keywords."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metatl import Descent, MetatlError, Net, Personaliser, apply_delta
from metatl.heads import Zeros
from metatl.rules import SGD
from metatl.transforms import LoRA, Quantised, transformed
from metatl.transforms.transform import Transform


class Noted(nn.Module):
    """Words, a mask of them, and one number of each row."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.deep, self.says = nn.Embedding(9, 8), nn.Linear(8, 8), nn.Linear(8, 5)

    def forward(self, words: Tensor, mask: Tensor, count: Tensor) -> Tensor:
        assert mask.dtype == torch.bool
        held = (self.words(words) * mask[..., None]).sum(1) + count[:, None]
        return self.says(torch.tanh(self.deep(held)))


def drawn() -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {
        "words": random.integers(0, 9, (6, 4)),
        "mask": random.random((6, 4)) < 0.7,
        "count": random.normal(size=6),
    }


X, Y = drawn(), ["b", "a", "c", "a", "b", "c"]


def made(*transforms: Transform) -> Personaliser:
    net = Net.of(Noted().double(), example={name: torch.tensor(leaf) for name, leaf in X.items()})
    return Personaliser(*transformed(transforms, net, net.start()), Descent(SGD(0.3), 4, head=Zeros()))


def test_it_adapts_as_torch_does() -> None:
    theirs = Noted().double()
    theirs.says = nn.Linear(8, 3).double()
    for leaf in theirs.says.parameters():
        nn.init.zeros_(leaf)
    given = {name: torch.tensor(leaf) for name, leaf in X.items()}
    rule = torch.optim.SGD(theirs.parameters(), 0.3)
    for _ in range(4):
        rule.zero_grad()
        F.cross_entropy(theirs(**given), torch.tensor(["abc".index(one) for one in Y])).backward()
        rule.step()
    mine = made().adapt(X, Y)
    torch.testing.assert_close(mine.outputs(X), theirs(**given).detach(), rtol=1e-9, atol=1e-12)
    assert mine.predict(X) == ["abc"[i] for i in theirs(**given).argmax(1)]
    assert mine.predict({name: leaf[:1] for name, leaf in X.items()}) == mine.predict(X)[:1]
    assert mine.predict({name: leaf[:0] for name, leaf in X.items()}) == []


@pytest.mark.parametrize("transforms", [(), (LoRA(2),), (Quantised(block=8), LoRA(2))], ids=str)
def test_a_delta_is_written_and_read(transforms: tuple[Transform, ...], tmp_path: Path) -> None:
    base = made(*transforms)
    mine = base.adapt(X, Y)
    mine.save_delta(tmp_path / "a.delta")
    assert torch.equal(apply_delta(base, tmp_path / "a.delta").outputs(X), mine.outputs(X))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": X["count"][:5]}, "as many rows under each name; they are words 6, mask 6, count 5"),
        ({"count": np.full(6, np.nan)}, r"x\['count'\] holds a value that is not finite"),
        ({"count": 1.0}, r"x\['count'\] is a single number"),
        ({"words": np.full((6, 4), 9)}, "x holds integers 9 to 9; the net has no row for some"),
        ({"more": X["count"]}, r"does not take such inputs \(words, mask, count, more\)"),
        ({"words": X["words"][:, :2]}, "does not take such inputs"),
    ],
)
def test_what_cannot_be_is_one_line(change: dict[str, Any], said: str) -> None:
    base = made()
    with pytest.raises(MetatlError, match=said):
        base.adapt({**X, **change}, Y)
    mine = base.adapt(X, Y)
    with pytest.raises(MetatlError, match=said):
        mine.outputs({**X, **change})


def test_labels_are_as_many_as_rows() -> None:
    with pytest.raises(MetatlError, match="6 examples with 2 labels"):
        made().adapt(X, ["a", "b"])
    with pytest.raises(MetatlError, match="0 examples with 2 labels"):
        made().adapt({}, ["a", "b"])

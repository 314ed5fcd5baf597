"""A few lines: a learned transfer adapted to somebody's labelled examples, and the package's front door."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import metatl
from metatl import Batch, Descent, Episode, MetatlError, Net, Personaliser
from metatl.adapt import predict
from metatl.heads import Learned, Prototypes, Zeros
from metatl.models import MLP
from metatl.rules import SGD
from tests.toys import INPUTS, toy_net


def person(head: Zeros | Learned | Prototypes, outputs: int = 3, **options: str) -> Personaliser:
    net = toy_net(norm=True, outputs=outputs, dtype=torch.float32)
    return Personaliser(net, net.start(), Descent(SGD(0.5), 5, head, **options))  # type: ignore[arg-type]


def test_labels_of_any_kind_come_back() -> None:
    x, truth = torch.randn(12, INPUTS), [*("cat", "dog", "eel", "fox")] * 3
    x += 6 * torch.eye(4).repeat(3, 1)
    for labels in (truth, np.array(truth), [{"cat": 3, "dog": 1, "eel": 10, "fox": 2}[t] for t in truth]):
        for head in (Zeros(), Prototypes()):
            found = person(head).adapt(x, labels)
            said = found.predict(x)
            assert sum(a == b for a, b in zip(said, labels, strict=True)) >= 10
            assert found.labels == sorted(set(labels))
            torch.testing.assert_close(found.probabilities(x).sum(1), torch.ones(12))


def test_it_is_the_adaptation_of_the_evaluation() -> None:
    made, x, y = person(Zeros()), torch.randn(6, INPUTS), torch.arange(6) % 3
    new = torch.randn(4, INPUTS)
    params = made.adaptation(made.net, made.transfer, Batch(x, y))
    expected = predict(made.net, params, made.transfer, Episode(Batch(x, y), Batch(new, y[:0])), "support")
    found = made.adapt(x, y)
    assert torch.equal(found.outputs(new), expected)
    torch.testing.assert_close(found.outputs(new[:1])[0], expected[0])
    assert torch.equal(made.adapt(x.double().numpy(), y.tolist()).outputs(new.numpy()), expected)


def test_no_examples_get_no_predictions() -> None:
    for head in (Zeros(), Prototypes()):
        assert (
            person(head).adapt(torch.randn(6, INPUTS), ["a", "b"] * 3).predict(torch.zeros(0, INPUTS)) == []
        )


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (torch.zeros(4, INPUTS), [0, 1, 0, 1], "y is a list; give torch.as_tensor of it"),
        (np.zeros((4, INPUTS)), torch.tensor([0, 1, 0, 1]), "x is a ndarray; give torch.as_tensor of it"),
        (torch.full((4, INPUTS), torch.nan), torch.tensor([0, 1, 0, 1]), "x holds NaN or infinite values"),
    ],
)
def test_a_batch_of_something_else_is_one_line(x: Any, y: Any, said: str) -> None:
    made = person(Zeros())
    with pytest.raises(MetatlError, match=said):
        made.adaptation(made.net, made.transfer, Batch(x, y))


@pytest.mark.parametrize("made", [3, MLP, {"a": torch.zeros(1)}])
def test_a_net_is_a_module(made: Any) -> None:
    with pytest.raises(MetatlError, match="is no net; give an object of a subclass"):
        Net.of(made)


def test_a_carried_layer_keeps_its_classes() -> None:
    made, x = person(Learned()), torch.randn(4, INPUTS)
    found = made.adapt(x, np.array([2, 2, 0, 0]))
    assert found.outputs(x).shape == (4, 3)
    assert set(found.predict(x)) <= {0, 1, 2}
    for labels in ([0, 1, 2, 3], ["a", "b", "a", "b"], [0, -1, 0, 0]):
        with pytest.raises(MetatlError, match="labels are 0 to 2"):
            made.adapt(x, labels)


def test_regression_targets_are_checked() -> None:
    net = Net.of(MLP((INPUTS,), 1, (8,), "tanh"))
    made = Personaliser(net, net.start(), Descent(SGD(0.1), 200))
    x = torch.randn(10, INPUTS)
    y = x[:, 0]
    found = made.adapt(x, y)
    assert float((found.outputs(x)[:, 0] - y).square().mean()) < 0.2 * float(y.square().mean())
    assert torch.equal(made.adapt(x, y[:, None]).outputs(x), found.outputs(x))
    with pytest.raises(MetatlError, match="2 values each"):
        made.adapt(x, x[:, :2])


def test_what_cannot_be_learned_from_is_refused() -> None:
    made, x = person(Zeros()), torch.randn(4, INPUTS)
    for bad_x, y in [(x[:0], []), (x, [1, 2]), (x * float("nan"), [1, 2, 1, 2])]:
        with pytest.raises(MetatlError):
            made.adapt(bad_x, y)


def test_the_adapted_weights_are_a_transfer(tmp_path: Path) -> None:
    from metatl.adapt import check_guide
    from metatl.lab import store

    found = person(Zeros(), outputs=7).adapt(torch.randn(4, INPUTS), [0, 1, 0, 1])
    found.save(tmp_path / "a.safetensors")
    again = store.load_transfer(tmp_path / "a.safetensors")
    check_guide(again)
    assert torch.equal(again.params["head.weight"], found.transfer.params["head.weight"])
    assert again.params["head.weight"].shape[0] == 2


def test_the_front_door() -> None:
    assert all(hasattr(metatl, name) for name in metatl.__all__)
    assert metatl.load is __import__("metatl.personalise", fromlist=["load"]).load
    assert callable(metatl.evaluate)
    assert callable(metatl.train)
    with pytest.raises(AttributeError, match="nothing"):
        metatl.nothing  # noqa: B018
    # What draws, records or reads configs is imported when it is asked for.
    heavy = "{'matplotlib', 'tensorboard', 'jsonargparse'} & set(sys.modules)"
    words = [sys.executable, "-c", f"import sys, metatl; print({heavy})"]
    said = subprocess.run(words, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"


def test_rows_in_any_order_give_one_model_with_batches() -> None:
    """Sorted rows, the usual order of a folder, would be batches of one class each."""
    torch.manual_seed(0)
    net = Net.of(nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 3)))
    x, y = torch.randn(24, 3), torch.arange(3).repeat_interleave(8)
    model = Personaliser(net, net.start(), Descent(SGD(0.5), 12, batch_size=6))
    one = model.adapt(x, y)
    for seed in range(3):
        order = torch.randperm(24, generator=torch.Generator().manual_seed(seed))
        two = model.adapt(x[order], y[order])
        assert all(torch.equal(one.transfer.params[n], two.transfer.params[n]) for n in one.transfer.params)
    for first in range(0, 24, 6):
        assert one.support.y[first : first + 6].bincount(minlength=3).tolist() == [2, 2, 2]


def test_a_person_with_a_single_output_is_written(tmp_path: Path) -> None:
    """The guide of a fresh layer of one row is one number expanded, whose stride is 0."""
    torch.manual_seed(0)
    net, x = Net.of(nn.Sequential(nn.Linear(INPUTS, 4), nn.Tanh(), nn.Linear(4, 3))), torch.randn(6, INPUTS)
    made = Personaliser(net, net.start(), Descent(SGD(0.1), 2, Zeros()))
    for y in (torch.randn(6), ["only"] * 6, torch.ones(6, 1, dtype=torch.bool)):
        mine = made.adapt(x, y)
        mine.save(tmp_path / "a.safetensors")
        mine.save_delta(tmp_path / "a.delta")
        again = metatl.apply_delta(made, tmp_path / "a.delta")
        assert torch.equal(again.outputs(x), mine.outputs(x))
        assert again.predict(x) == mine.predict(x)


class Product(nn.Module):
    """A net whose outputs no linear layer gives."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(INPUTS, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [n, inputs] to outputs [n, 3]."""
        return x @ self.w


def test_outputs_that_no_linear_layer_gives_are_those_of_the_example() -> None:
    x, y = torch.randn(6, INPUTS), torch.arange(6) % 3
    net = Net.of(Product(), example=x)
    assert net.outputs == net.own_outputs == 3
    found = Descent(SGD(0.3), 1)(net, net.start(), Batch(x, y))
    # From 0 every class has 1/3: the gradient is x^T (1/3 - onehot(y)) / n.
    gradient = x.T @ (1 / 3 - torch.nn.functional.one_hot(y, 3)) / 6
    torch.testing.assert_close(found["w"], -0.3 * gradient)
    bare = Net.of(Product())
    with pytest.raises(MetatlError, match="how many outputs the net has is not known"):
        Descent(SGD(0.3), 1)(bare, bare.start(), Batch(x, y))
    said = bare.with_outputs(3)
    assert torch.equal(Descent(SGD(0.3), 1)(said, said.start(), Batch(x, y))["w"], found["w"])

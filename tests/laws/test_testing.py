"""The laws for other people's methods: ours keep them, and a broken one is told what is wrong with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from metatl import tree
from metatl.adapt import Descent
from metatl.data import Tasks
from metatl.heads import Zeros
from metatl.learners import Episodic, Reptile, Scout, Supervised
from metatl.learners.learner import Learner, State
from metatl.net import Net
from metatl.objectives import DANN, L2, L2SP, Anchor, KLAnchor, TaskLoss, Term
from metatl.objectives.one_hot import OneHot
from metatl.objectives.term import Seen
from metatl.rules import SGD, Adam, CarriedAdam
from metatl.testing import check_learner, check_term, check_transform
from metatl.transforms import LoRA
from metatl.transforms.transform import Transform
from metatl.types import Batch, Params, Transfer
from tests.toys import rows, toy_data, toy_net

TASKS = Tasks(3, 2, 2)
LEARNERS: dict[str, Learner] = {
    "supervised": Supervised(3, 6, Adam(0.01)),
    "episodic": Episodic(3, tasks=TASKS, meta_batch=2, adaptation=Descent(SGD(0.1), 2)),
    "reptile": Reptile(3, tasks=TASKS, meta_batch=2, adaptation=Descent(CarriedAdam(1e-3), 2)),
    "scout": Scout(2, 3, TASKS, Descent(SGD(0.1), 2, Zeros())),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_keep_their_laws(name: str) -> None:
    net = toy_net(outputs=8 if name == "supervised" else 3, dtype=torch.float32)
    check_learner(LEARNERS[name], net, net.start(), toy_data())


COUNT = itertools.count()


@dataclass(frozen=True)
class Broken(Supervised):
    """Ordinary training, with one thing wrong."""

    fault: str = ""

    def draw(self, data: Any, seed: int, step: int) -> dict[str, Batch]:
        """Wrong where the fault lies in drawing."""
        if self.fault == "meta_test":
            return {"source": data.batch("meta_test", 4, seed, step)}
        drawn = super().draw(data, seed, step)
        if self.fault == "differs the second time":
            drawn = {"source": Batch(drawn["source"].x + torch.rand(()), drawn["source"].y)}
        return drawn

    def step(self, net: Net, engine: Any, state: State, drawn: dict[str, Batch]) -> tuple[State, Any]:
        """Wrong where the fault lies in stepping."""
        after, metrics = super().step(net, engine, state, drawn)
        first = next(iter(state.transfer.params.values()))
        if self.fault == "wrote into":
            first.add_(1.0)
        if self.fault == "single numbers":
            return after, {"rows": drawn["source"].y.float()}
        params = after.transfer.params
        if self.fault == "other bytes":
            params = {name: p + next(COUNT) for name, p in params.items()}
        if self.fault == "lacks head.bias":
            params = {name: p for name, p in params.items() if name != "head.bias"}
        if self.fault == "not finite":
            params = {name: p * float("nan") for name, p in params.items()}
        return replace(after, transfer=replace(after.transfer, params=params)), metrics


FAULTS = ("meta_test", "differs the second time", "wrote into", "single numbers", "other bytes")


@pytest.mark.parametrize("fault", [*FAULTS, "not finite"])
def test_a_broken_learner_is_caught(fault: str) -> None:
    net = toy_net(outputs=8, dtype=torch.float32)
    with pytest.raises(AssertionError, match=fault):
        check_learner(Broken(2, 4, SGD(0.1), fault=fault), net, net.start(), toy_data())


def test_a_learner_that_loses_a_weight_is_caught() -> None:
    net = toy_net(outputs=8, dtype=torch.float32)
    with pytest.raises((AssertionError, KeyError), match=r"head\.bias"):
        check_learner(Broken(1, 4, SGD(0.1), fault="lacks head.bias"), net, net.start(), toy_data())


TERMS: dict[str, Term] = {
    "task": TaskLoss(),
    "l2": L2(0.1),
    "l2-sp": L2SP(0.1, 0.2),
    "kl": KLAnchor(0.5),
    "one hot": OneHot(),
}


@pytest.mark.parametrize("name", TERMS)
def test_terms_keep_their_laws(name: str) -> None:
    net = toy_net()
    check_term(TERMS[name], net, net.start(), rows(6))


def test_a_term_with_weights_of_its_own_keeps_them() -> None:
    net, target = toy_net(), rows(5)._replace(y=None)
    check_term(DANN(hidden=4), net, net.start(), rows(6), {"target": target}, reverses=True)
    with pytest.raises(AssertionError, match="finite differences"):
        check_term(DANN(hidden=4), net, net.start(), rows(6), {"target": target})
    with pytest.raises(AssertionError, match="streams target"):
        check_term(DANN(hidden=4), net, net.start(), rows(6))


class Peeking(DANN):
    """Looks at the target's labels."""

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The adversary's value, and another one where there are labels."""
        return super().over(params, seen) + (seen.batches["target"].y is not None)


class Random(DANN):
    """Draws its weights anew every time."""

    def weights(self, net: Net, transfer: Transfer, key: int) -> Params:
        """Not those of the key."""
        return super().weights(net, transfer, next(COUNT))


@pytest.mark.parametrize(("term", "said"), [(Peeking(), "labels"), (Random(), "from the same key")])
def test_a_broken_term_over_streams_is_caught(term: Term, said: str) -> None:
    net, target = toy_net(), rows(5)._replace(y=None)
    with pytest.raises(AssertionError, match=said):
        check_term(term, net, net.start(), rows(6), {"target": target}, reverses=True)


@dataclass(frozen=True)
class Value(Term):
    """Any function of parameters and output."""

    fn: Callable[[Params, Tensor], Tensor]

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The function."""
        return self.fn(params, output)


@pytest.mark.parametrize(
    ("fn", "said"),
    [
        (lambda p, o: o.square().sum(0), "one finite number"),
        (lambda p, o: o.sum() + torch.rand(()), "second time"),
        (lambda p, o: (o * torch.arange(len(o))[:, None]).sum(), "another order"),
        (lambda p, o: o.sum() * 0 + (o.detach() * o).sum(), "finite differences"),
        (lambda p, o: (o.sum() * 0).sqrt(), "gradient is not finite"),
    ],
)
def test_a_broken_term_is_caught(fn: Any, said: str) -> None:
    net = toy_net()
    with pytest.raises(AssertionError, match=said):
        check_term(Value(fn), net, net.start(), rows(6))


@dataclass(frozen=True)
class Scaled(Transform):
    """All weights times a factor, with one thing wrong."""

    factor: float = 1.0
    fault: str = ""

    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The scaled weights."""
        if self.fault == "wrote into":
            transfer.params["head.bias"].add_(1.0)
        extra = next(COUNT) if self.fault == "second time" else 0.0
        params = {name: self.factor * p + extra for name, p in transfer.params.items()}
        return net, replace(transfer, params=params)

    def merge(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The weights as they are, or not."""
        factor = 2.0 if self.fault == "merged" else 1.0
        return net, replace(transfer, params=tree.scale(transfer.params, factor))


def test_transforms_keep_their_laws() -> None:
    net, x = toy_net(), rows(6).x
    check_transform(Scaled(), net, net.start(), x)
    check_transform(Scaled(2.0), net, net.start(), x, identity=False)
    check_transform(LoRA(2), net, net.start(), x)
    with pytest.raises(AssertionError, match="those of before"):
        check_transform(Scaled(2.0), net, net.start(), x)


@pytest.mark.parametrize("fault", ["wrote into", "second time", "merged"])
def test_a_broken_transform_is_caught(fault: str) -> None:
    net = toy_net()
    with pytest.raises(AssertionError, match=fault):
        check_transform(Scaled(fault=fault), net, net.start(), rows(6).x, identity=False)

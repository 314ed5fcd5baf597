"""learn2learn's own inner loop: the optional peer, imported here alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl.adapt import Inner, QueryLoss
from metatl.engines.engine import Each, Engine, TaskFunction
from metatl.engines.one_by_one import LossUnder, each_gradient, mapped, mean_gradient
from metatl.engines.peer import PeerLearner, as_start, expressed, holding, peer_loss, plain
from metatl.loss import Loss
from metatl.peers import peer
from metatl.rules import SGD, Rule
from metatl.types import Guide, MetatlError, Metrics, Params


def import_learn2learn() -> Any:
    """The module learn2learn, also beside a torch without CUDA.

    Raises MetatlError when learn2learn or something that it imports is not installed.
    """
    return peer("learn2learn")


@dataclass(frozen=True)
class Learn2Learn(Engine):
    """One task after another through learn2learn: `MAML(...).clone()` and `adapt(loss)`.

    It expresses plain SGD, any guide (through `maml_update` with scaled gradients), any head, any objective,
    both ways of unrolling. Evaluation and scouts run as a plain loop. Source: Arnold et al. 2020, arXiv
    2008.12284.

    Raises MetatlError when learn2learn is not installed, and for another rule.
    """

    def __post_init__(self) -> None:
        """Raise MetatlError when learn2learn is not installed."""
        import_learn2learn()

    def map(self, fn: TaskFunction, tasks: Any) -> Any:
        """fn of every task, one after another."""
        return mapped(fn, tasks)

    def grad(self, loss: Loss, variables: Params, tasks: Any, calls: int = 1) -> tuple[Params, Metrics]:
        """The sum of the tasks' gradients over their number."""
        return mean_gradient(_under(expressed(loss)), variables, tasks)

    def grads(self, loss: Loss, variables: Params, tasks: Any) -> Each:
        """Every task's own, one after another."""
        return each_gradient(_under(expressed(loss)), variables, tasks)


def _under(loss: QueryLoss) -> LossUnder:
    module = holding(loss.net.module, loss.transfer.buffers)
    names = [name for name, _ in module.named_parameters()]
    first_order = loss.unroll == "first_order"
    maml = import_learn2learn().algorithms.MAML(
        module, lr=_rate(loss.descent.rule), first_order=first_order, allow_unused=True
    )
    adapt = plain(loss)
    slots = [module.get_submodule(name.rpartition(".")[0]) for name in names]
    kept = [
        (slot.__dict__["_parameters"], name.rpartition(".")[2])
        for slot, name in zip(slots, names, strict=True)
    ]

    def start(inner: Inner) -> PeerLearner:
        # The start lies where the module keeps its weights, so that clones are functions of it.
        for (weights, key), leaf in zip(kept, as_start(inner, names), strict=True):
            weights[key] = leaf
        return _Clone(maml.clone(), names, adapt)

    return lambda variables: peer_loss(start, loss, variables)


def _rate(rule: Rule) -> float:
    if not isinstance(rule, SGD):
        raise MetatlError(
            f"engine Learn2Learn cannot express the rule {type(rule).__name__} (its MAML steps by "
            "plain SGD); choose engine Batched or Loop"
        )
    if rule.momentum or rule.weight_decay:
        which = "momentum" if rule.momentum else "weight decay"
        raise MetatlError(
            f"engine Learn2Learn cannot express SGD with {which} (its MAML steps by plain SGD); choose "
            "engine Batched, Loop or Higher"
        )
    return rule.lr


class _Clone(PeerLearner):
    """A clone of the MAML learner, adapted in place."""

    def __init__(self, maml: Any, names: list[str], adapt: bool) -> None:
        self.maml, self.names, self.adapt = maml, names, adapt

    def __call__(self, x: Tensor) -> Tensor:
        """The clone's output."""
        return self.maml(x)

    def params(self) -> Params:
        """The clone's weights."""
        return dict(zip(self.names, self.maml.module.parameters(), strict=True))

    def step(self, loss: Tensor, guide: Guide) -> None:
        """`adapt(loss)`, or its two lines with the guide between them."""
        if self.adapt:
            self.maml.adapt(loss)
            return
        maml, second = self.maml, not self.maml.first_order
        weights = list(maml.module.parameters())
        grads = torch.autograd.grad(
            loss, weights, create_graph=second, retain_graph=second, materialize_grads=True
        )
        scaled = [g * guide[name] for name, g in zip(self.names, grads, strict=True)]
        maml.module = import_learn2learn().algorithms.maml.maml_update(maml.module, maml.lr, scaled)

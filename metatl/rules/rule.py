"""What a rule is: gradients to proposed updates, as pure functions that can be differentiated."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from metatl import tree
from metatl.fields import Checked
from metatl.norm_calls import transformed
from metatl.types import Params, check_rates

RuleState = dict[str, Params]
"""What a rule remembers, by role and weight name; only tensors, so that a checkpoint holds it as it is."""


class Rule(Checked, ABC):
    """A way to turn gradients into proposed updates: theta <- theta + guide * update."""

    differentiable: bool = True
    """Whether the update has a derivative wherever the gradient is finite, as a full unroll needs."""

    def __post_init__(self) -> None:
        """Raise MetatlError for a negative rate: it would climb."""
        check_rates(self, "lr", "momentum", "weight_decay", "eps", "eps_root")

    @abstractmethod
    def init(self, params: Params) -> RuleState:
        """The memory before the first step."""

    def resume(self, params: Params, carried: Params) -> RuleState:
        """The memory before a task's first step, given what earlier tasks left; here it is not looked at."""
        return self.init(params)

    def prior(self, params: Params) -> Params:
        """Where what it learns over tasks starts, by name: nothing, unless a rule says so."""
        return {}

    @abstractmethod
    def update(self, grads: Params, state: RuleState, params: Params) -> tuple[Params, RuleState]:
        """The proposed updates (to be added) and the new memory."""

    def carried(self, state: RuleState) -> Params:
        """What of a memory goes on to other tasks, as `<role>.<weight>`: nothing, unless a rule says so."""
        return {}


def unwatched(*trees: Params) -> bool:
    """Whether nothing differentiates, batches or records these: what is made of them may be overwritten."""
    leaves = [leaf for tree in trees for leaf in tree.values()]
    plain = all(type(leaf) is Tensor and not leaf.requires_grad for leaf in leaves)
    return plain and not transformed(*leaves)


def with_decay(grads: Params, params: Params, weight_decay: float) -> Params:
    """The gradients, with weight_decay * theta added."""
    if weight_decay == 0.0:
        return grads
    return tree.map(lambda g, p: g + weight_decay * p, grads, params)

"""Weights that are learned beside the net's: uncertainty, IMTL-L."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.aggregates.weighing import Weighing, numbers
from metatl.rules import Adam, Rule
from metatl.types import Params


@dataclass(frozen=True)
class _Learned(Weighing):
    """Weights that are functions of s [k], which a rule moves down a slope of its own; s starts at 0."""

    rule: Rule = Adam(1e-2)

    @abstractmethod
    def weights(self, s: Tensor) -> Tensor:
        """Of the losses, [k]."""

    @abstractmethod
    def slope(self, s: Tensor, losses: Tensor) -> Tensor:
        """Of the objective in s, [k]."""

    def weigh(self, losses: Tensor, state: Params, there: Tensor | None = None) -> tuple[Tensor, Params]:
        """The mean's weights before s moves; state: s, and the rule's memory as `<role>.<name>`.

        s of a loss that is not there stays: a 0 of no row would make the weight of a rare target ever larger.
        """
        losses = losses.double()
        s = state.get("s", torch.zeros_like(losses))
        memory = self.rule.init({"s": s})
        if "s" in state:
            memory = {role: {name: state[f"{role}.{name}"] for name in held} for role, held in memory.items()}
        update, memory = self.rule.update({"s": self.slope(s, losses)}, memory, {"s": s})
        kept = {f"{role}.{name}": leaf for role, held in memory.items() for name, leaf in held.items()}
        kept = {"s": s + update["s"], **kept}
        if there is not None:
            own = {name: leaf for name, leaf in kept.items() if leaf.shape == s.shape}
            before = {name: state.get(name, torch.zeros_like(leaf)) for name, leaf in own.items()}
            kept |= {name: torch.where(there.to(s.device), own[name], before[name]) for name in own}
        return self.weights(s) / len(s), kept


@dataclass(frozen=True)
class Uncertainty(_Learned):
    """1/k sum of f_i e^-s_i L_i + s_i / 2, with s_i = log sigma_i^2 learned.

    f is 1/2 of a squared error and 1 of a cross-entropy, which the likelihoods say. A loss in units 100 times
    as large ends with the weight that the other unit had. One task alone has its rate scaled by its weight.
    Source: Kendall, Gal & Cipolla 2018, arXiv 1705.07115.

    Args:
        rule: of s.
        factors: f, for each loss; 1/2 for all where none are given, as published code mostly has.
    """

    factors: tuple[float, ...] = ()

    def _f(self, s: Tensor) -> Tensor:
        given = self.factors or (0.5,) * len(s)
        return numbers(self, "factors", given, len(s)).to(s)

    def weights(self, s: Tensor) -> Tensor:
        """f e^-s [k]."""
        return self._f(s) * (-s).exp()

    def slope(self, s: Tensor, losses: Tensor) -> Tensor:
        """1/2 - f e^-s L [k]."""
        return 0.5 - self.weights(s) * losses


@dataclass(frozen=True)
class IMTLL(_Learned):
    """1/k sum of e^s_i L_i - s_i, with s learned: all weighted losses go towards 1.

    Source: Liu et al. 2021, Towards Impartial Multi-task Learning (ICLR).
    """

    def weights(self, s: Tensor) -> Tensor:
        """e^s [k]."""
        return s.exp()

    def slope(self, s: Tensor, losses: Tensor) -> Tensor:
        """e^s L - 1 [k]."""
        return s.exp() * losses - 1.0

"""higher's own inner loop: the optional peer, imported here alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from metatl.adapt import Inner, QueryLoss
from metatl.engines.engine import Each, Engine, TaskFunction
from metatl.engines.one_by_one import LossUnder, each_gradient, mapped, mean_gradient
from metatl.engines.peer import PeerLearner, as_start, expressed, holding, peer_loss, plain
from metatl.loss import Loss
from metatl.peers import peer
from metatl.rules import SGD, Adam, Rule
from metatl.types import Guide, MetatlError, Metrics, Params

Groups = list[dict[str, Any]]
"""torch's parameter groups."""
Overrides = dict[str, list[Any]]
"""higher's settings of one step: a value for all parameter groups, or one for each."""


@dataclass(frozen=True)
class Higher(Engine):
    """One task after another through `higher`: a patched module and a differentiable optimiser.

    It expresses SGD (momentum, Nesterov, decay) and Adam, any guide, any head, any objective, both ways of
    unrolling. Evaluation and scouts run as a plain loop. Source: Grefenstette et al. 2019, arXiv 1910.01727.

    Raises MetatlError when higher is not installed, and for a rule or module that it cannot express.
    """

    def __post_init__(self) -> None:
        """Raise MetatlError when higher is not installed."""
        peer("higher")

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
    settings = _Settings(loss)
    return lambda variables: peer_loss(lambda inner: _Patched(settings, inner), loss, variables)


class _Settings:
    """What all tasks of a meta-batch share: the module, and the optimiser that higher imitates."""

    def __init__(self, loss: QueryLoss) -> None:
        module, adaptation = holding(loss.net.module, loss.transfer.buffers), loss.descent
        plain_guide = plain(loss)
        for name, child in module.named_modules():
            if isinstance(child, nn.MultiheadAttention):
                raise MetatlError(
                    f"engine Higher cannot patch layer '{name}' (nn.MultiheadAttention reads the weights of "
                    "a part that it does not call); choose engine Batched, Loop or Learn2Learn"
                )
        self.module, self.rule = module, adaptation.rule
        self.names = [name for name, _ in module.named_parameters()]
        self.first_order = loss.unroll == "first_order"
        self.scaled = None if plain_guide else adaptation.guided
        params = list(module.parameters())
        # One group for each weight, so that each can have a step size of its own.
        groups = [{"params": params}] if plain_guide else [{"params": [p]} for p in params]
        self.optimiser = _optimiser(adaptation.rule, groups)


def _optimiser(rule: Rule, groups: Groups) -> torch.optim.Optimizer:
    known: dict[type[Rule], Callable[[Any, Groups], torch.optim.Optimizer]] = {SGD: _sgd, Adam: _adam}
    if type(rule) not in known:
        raise MetatlError(
            f"engine Higher cannot express the rule {type(rule).__name__} (it has SGD and Adam); choose "
            "engine Batched or Loop"
        )
    return known[type(rule)](rule, groups)


def _sgd(rule: Any, groups: Groups) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        groups, lr=rule.lr, momentum=rule.momentum, weight_decay=rule.weight_decay, nesterov=rule.nesterov
    )


def _adam(rule: Any, groups: Groups) -> torch.optim.Optimizer:
    return torch.optim.Adam(
        groups, lr=rule.lr, betas=(rule.b1, rule.b2), eps=rule.eps, weight_decay=rule.weight_decay
    )


class _Patched(PeerLearner):
    """The patched module and the differentiable optimiser of one task."""

    def __init__(self, settings: _Settings, inner: Inner) -> None:
        higher = peer("higher")
        self.settings, self.steps = settings, 0
        # What higher.innerloop_ctx does, with the start of this task in place of the module's own weights.
        self.module = higher.monkeypatch(settings.module, copy_initial_weights=False)
        self.module.update_params([p.clone() for p in as_start(inner, settings.names)])
        self.optimiser = higher.optim.get_diff_optim(
            settings.optimiser, settings.module.parameters(), fmodel=self.module
        )

    def __call__(self, x: Tensor) -> Tensor:
        """The patched module's output."""
        return self.module(x)

    def params(self) -> Params:
        """The fast weights."""
        return dict(zip(self.settings.names, self.module.fast_params, strict=True))

    def step(self, loss: Tensor, guide: Guide) -> None:
        """One differentiable optimiser step; the guide is a step size for every weight."""
        settings, scales = self.settings, [guide[name] for name in self.settings.names]
        override: Overrides = {}
        if settings.scaled == "update":
            override["lr"] = [settings.optimiser.defaults["lr"] * scale for scale in scales]
        self.steps += 1
        if isinstance(settings.rule, Adam):
            override |= self._as_adam(settings.rule)

        def changed(grads: list[Tensor | None]) -> list[Tensor]:
            fast = self.module.fast_params
            found = [torch.zeros_like(p) if g is None else g for g, p in zip(grads, fast, strict=True)]
            found = [g.detach() for g in found] if settings.first_order else found
            if settings.scaled == "gradient":
                found = [g * scale for g, scale in zip(found, scales, strict=True)]
            return found

        self.optimiser.step(loss, override=override or None, grad_callback=changed)

    def _as_adam(self, rule: Adam) -> Overrides:
        """higher adds eps before the correction of the second moment, and has no eps_root.

        The first is a matter of scale. The second is g^2 + eps_root in place of g^2 in the recursion
        v <- b2 v + (1 - b2) g^2, an average: eps_root (1 - b2) / b2 goes in before each step.
        """
        if rule.eps_root:
            more = rule.eps_root * (1.0 - rule.b2) / rule.b2
            params = iter(self.module.fast_params)
            for group, states in zip(self.optimiser.param_groups, self.optimiser.state, strict=True):
                for index in range(len(group["params"])):
                    zero, state = torch.zeros_like(next(params)), states[index]
                    if not state:
                        state |= {"step": 0, "exp_avg": zero, "exp_avg_sq": zero}
                    state["exp_avg_sq"] = state["exp_avg_sq"] + more
        return {"eps": [rule.eps * (1.0 - rule.b2**self.steps) ** 0.5]}

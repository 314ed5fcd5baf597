"""What engines with a peer's inner loop share: the outer loss of one task, seen from outside that loop."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from metatl.adapt import Inner, QueryLoss, check_whole, guide_at, outer, predict_with, score
from metatl.engines.engine import TaskFunction
from metatl.loss import Loss
from metatl.norm_calls import norms_at_the_call
from metatl.types import Buffers, Episode, Guide, MetatlError, Metrics, Params


class PeerLearner(ABC):
    """A peer's net in the middle of one task's inner loop; it holds its weights itself."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """The output under the present weights."""

    @abstractmethod
    def params(self) -> Params:
        """The present weights."""

    @abstractmethod
    def step(self, loss: Tensor, guide: Guide) -> None:
        """One inner step of the peer down this loss, its update scaled by the guide."""


def expressed(loss: Loss) -> QueryLoss:
    """The loss, if a peer can express it: it brings an inner loop of its own in place of a descent."""
    if not isinstance(loss, QueryLoss):
        raise MetatlError(
            f"a peer's engine has the loss after an inner loop alone, no {type(loss).__name__}; choose "
            "engine Batched or Loop"
        )
    if loss.net.additions or loss.net.through:
        raise MetatlError(
            "a peer's engine calls the module itself, without what a transform added; choose engine Batched "
            "or Loop"
        )
    inner = loss.descent
    check_whole(inner)
    plain = inner.clip_norm is None and inner.schedule == "constant" and inner.anew == "never"
    if not plain or inner.average != 1.0:
        raise MetatlError(
            "a peer's inner loop has no clip_norm, schedule, anew or average; choose engine Batched or Loop"
        )
    return loss


def peer_loss(start: Callable[[Inner], PeerLearner], loss: QueryLoss, variables: Params) -> TaskFunction:
    """The loss and metrics of one task; `start` gives the peer's learner for an inner problem."""
    net, adaptation, transfer = loss.net, loss.descent, loss.carried(variables, loss.held)
    objective = loss.objective
    weights = None if loss.step_weights is None else loss.step_weights.unbind()

    def fn(episode: Episode) -> tuple[Tensor, Metrics]:
        with norms_at_the_call():  # a peer calls the module itself
            return run(episode)

    def run(episode: Episode) -> tuple[Tensor, Metrics]:
        inner = adaptation.inner(net, transfer, episode.support)
        learner = start(inner)
        metrics: Metrics = {}

        def query_output() -> Tensor:
            return predict_with(learner, net.batch_moments, episode, adaptation.moments)

        def worth(output: Tensor) -> Tensor:
            return outer(objective, learner.params(), output, episode.query)

        early: list[Tensor] = []
        for step, piece in enumerate(inner.pieces):
            if weights is not None:
                early.append(weights[step] * worth(query_output()))
            with adaptation.support_moments():
                output = learner(piece.batch.x)
            loss = inner.objective(learner.params(), output, piece)
            metrics[f"inner_loss/{step}"] = loss.detach()
            learner.step(loss, guide_at(inner.guide, inner.params, step))
        output = query_output()
        last = worth(output)
        metrics["query_loss"] = last.detach()
        metrics["query_score"] = score(output.detach(), episode.query.y)
        return sum(early, last if weights is None else weights[-1] * last), metrics

    return fn


def as_start(inner: Inner, names: list[str]) -> list[Tensor]:
    """The start's weights in the module's order; constants (a fresh layer of zeros) become variables too."""
    found = (inner.params[name] for name in names)
    return [p if p.requires_grad else p.detach().requires_grad_() for p in found]


def holding(module: nn.Module, buffers: Buffers, prefix: str = "") -> nn.Module:
    """A copy of the module that shares its weights and has these buffers; what it is assigned stays in it."""
    copied = copy.copy(module)
    for kept in ("_parameters", "_buffers", "_modules"):
        copied.__dict__[kept] = module.__dict__[kept].copy()
    for name in copied.__dict__["_buffers"]:
        copied.__dict__["_buffers"][name] = buffers.get(prefix + name, module.__dict__["_buffers"][name])
    for name, child in module.named_children():
        copied.__dict__["_modules"][name] = holding(child, buffers, f"{prefix}{name}.")
    return copied


def plain(loss: QueryLoss) -> bool:
    """Whether every guide of the inner loop is 1, so that a peer's unscaled step serves."""
    if loss.learn_guide or loss.descent.guide_from_support is not None:
        return False
    return all(bool((entry == 1).all()) for entry in loss.transfer.guide.values())

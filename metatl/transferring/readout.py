"""What was fitted on features, as a module: features [n, d] -> outputs [n, classes]."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from metatl import importing, tree
from metatl.adapt import Adaptation, Descent, head_net
from metatl.deadline import in_time
from metatl.engines import Loop
from metatl.engines.chunk import at_once, over_tasks
from metatl.engines.engine import TaskFunction
from metatl.heads import Learned
from metatl.net import Net
from metatl.transferring.rows import parsed
from metatl.types import Batch, Episode, MetatlError, Params, Transfer

LINEAR = Descent(steps=0, head=Learned(), moments="frozen")
"""The adaptation whose fitted weights are those of a linear layer that is there already."""
TOGETHER = 2e7
"""Numbers in the features of episodes that are answered side by side, at most."""


class Readout(nn.Module):
    """An adaptation's prediction from features, with what it fitted as buffers.

    adaptation: of the family; width, outputs: of the layer; fitted: nested tuples and dicts of tensors, as
    its `fit` gives on the net of `head_net`.
    """

    def __init__(self, adaptation: Adaptation, width: int, outputs: int, fitted: Any) -> None:
        super().__init__()
        leaves, self.nesting = tree.flatten(fitted)
        self.adaptation, self.width, self.outputs, self.count = adaptation, width, outputs, len(leaves)
        for i, leaf in enumerate(leaves):
            # laid out as a file gives it back: products of other strides differ in the last digit
            self.register_buffer(f"fitted_{i}", leaf.detach().clone(memory_format=torch.contiguous_format))
        self._net, self._transfer = head_net(width, outputs)

    @property
    def fitted(self) -> Any:
        """What was fitted, in its own nesting."""
        leaves = [self.get_buffer(f"fitted_{i}") for i in range(self.count)]
        return tree.unflatten(leaves, self.nesting)

    def spread(self, features: Tensor) -> Tensor:
        """Variance [n, outputs] of real targets around the outputs; MetatlError where none is said."""
        return self.adaptation.spread(
            self._net, self._transfer, self.fitted, self._nothing(features), features
        )

    def _nothing(self, features: Tensor) -> Batch:
        return Batch(features[:0], torch.zeros(0, dtype=torch.int64, device=features.device))

    def forward(self, features: Tensor) -> Tensor:
        """Outputs [n, outputs] for features [n, width]."""
        nothing = self._nothing(features)
        return self.adaptation.predict(self._net, self._transfer, self.fitted, nothing, features)


def fit_readout(adaptation: Adaptation, support: Batch, outputs: int, key: int = 0) -> Readout:
    """Fit an output layer of this many classes to features [n, d] with targets, or to streams of them."""
    width = tree.first(support.x).shape[-1]
    net, transfer = head_net(width, outputs)
    with torch.no_grad():
        fitted = adaptation.fit(net, transfer, support, key)
    return Readout(adaptation, width, outputs, fitted)


def answers(
    adaptation: Adaptation, episodes: Sequence[Episode], keys: Sequence[int], outputs: int, sure: bool = False
) -> list[Tensor]:
    """Outputs [m, outputs] for the query features [m, d] of every episode after a fit to its support.

    sure: with the variances of real targets beside them, [m, 2 outputs]. Episodes of one shape are
    answered side by side, by ways that can; only the others read their keys.
    """
    found: dict[int, Tensor] = {}
    with torch.no_grad():
        for places in _alike(episodes, side_by_side=adaptation.batched):
            in_time()
            some = [episodes[i] for i in places]
            net, transfer = head_net(some[0].query.x.shape[-1], outputs)
            answer = partial(_sure if sure else _said, adaptation, net, transfer, keys[places[0]])
            if _same([episode.query.x for episode in some]):  # what is made of them is made once
                answer = partial(_of_support, answer, some[0].query)
                told = _mapped(adaptation, answer, tree.gather([one.support for one in some], _stacked))
            else:
                told = _mapped(adaptation, answer, tree.gather(some, _stacked))
            found |= zip(places, told, strict=True)
    return [found[i] for i in range(len(episodes))]


def _mapped(adaptation: Adaptation, fn: TaskFunction, tasks: Any) -> Any:
    """fn of every task; of a single linear layer torch batches every operation as it is."""
    if not adaptation.batched:
        return Loop().map(fn, tasks)
    with at_once():
        return over_tasks(fn, tasks)


def _of_support(answer: Callable[[Episode], Tensor], query: Batch, support: Batch) -> Tensor:
    return answer(Episode(support, query))


def _said(way: Adaptation, net: Net, transfer: Transfer, key: int, episode: Episode) -> Tensor:
    return way.answer(net, transfer, episode, key)


def _sure(way: Adaptation, net: Net, transfer: Transfer, key: int, episode: Episode) -> Tensor:
    told = way.predictive(net, transfer, episode, key)
    return torch.cat([told.mean, told.sure()], -1)


def _stacked(leaves: list[Tensor]) -> Tensor:
    """[count, ...]: all of them; the same rows of one tensor are not copied."""
    return leaves[0].expand(len(leaves), *leaves[0].shape) if _same(leaves) else torch.stack(leaves)


def _same(leaves: Sequence[Tensor]) -> bool:
    """Whether all are the same rows of one tensor."""
    first = leaves[0]
    return all(leaf.data_ptr() == first.data_ptr() and leaf.stride() == first.stride() for leaf in leaves)


def _alike(episodes: Sequence[Episode], side_by_side: bool) -> list[list[int]]:
    """Places of episodes of one shape, as many together as fit."""
    found: dict[Any, list[list[int]]] = {}
    for i, episode in enumerate(episodes):
        read = [*tree.leaves(episode.support.x), episode.query.x]
        most = max(1, int(TOGETHER / sum(leaf.numel() for leaf in read))) if side_by_side else 1
        groups = found.setdefault(tuple(leaf.shape for leaf in read), [])
        if not groups or len(groups[-1]) >= most:
            groups.append([])
        groups[-1].append(i)
    return [group for groups in found.values() for group in groups]


def readout_of(described: Mapping[str, Any], width: int, outputs: int, leaves: Sequence[Tensor]) -> Readout:
    """A readout from an adaptation's description and the tensors that it fitted, in order.

    How the tensors lie in one another is found by fitting the same adaptation to a row of each class, or to
    real values where that gives another number of them. Raises
    MetatlError for a description that names anything but members of our families: nothing of a file is run.
    """
    with importing.received(trust=False):
        adaptation: Adaptation = parsed({"adaptation": described}, _Described, "readout").adaptation
    probe = replace(adaptation, steps=0) if isinstance(adaptation, Descent) else adaptation
    net, transfer = head_net(width, outputs)
    x, nesting = torch.eye(outputs, width) + 1, None
    for y in (torch.arange(outputs), torch.eye(outputs)):
        with torch.no_grad(), suppress(MetatlError):  # of classes alone, or of real values alone
            held, nesting = tree.flatten(probe.fit(net, transfer, Batch(x, y)))
            if len(held) == len(leaves):
                break
    return Readout(adaptation, width, outputs, tree.unflatten(leaves, nesting))


@dataclass(frozen=True)
class _Described:
    adaptation: Adaptation


def linear_readout(weight: Tensor, bias: Tensor) -> Readout:
    """A linear layer as a readout: weight [outputs, d], bias [outputs]."""
    fitted: Params = {"head.weight": weight, "head.bias": bias}
    return Readout(LINEAR, weight.shape[1], weight.shape[0], fitted)


def layer_of(readout: Readout) -> tuple[Tensor, Tensor]:
    """Weight [outputs, d] and bias [outputs] of a readout that is affine in the features."""
    at = next(readout.buffers())
    points = torch.cat([at.new_zeros(1, readout.width), torch.eye(readout.width, dtype=at.dtype)])
    values = readout(points)
    return (values[1:] - values[0]).T.contiguous(), values[0].clone()

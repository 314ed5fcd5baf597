"""Fitting a way to labelled rows: an output layer on frozen features, or a body that moves."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from metatl import tree
from metatl.adapt import Descent
from metatl.adapt.named_streams import PAIRS
from metatl.additions import attached
from metatl.guides.fisher import SupportFisher, fisher
from metatl.heads import FromNames
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.transferring.backbone import Backbone, headless
from metatl.transferring.features import forward
from metatl.transferring.given import Given, taught
from metatl.transferring.readout import Readout, fit_readout, layer_of, linear_readout
from metatl.transferring.rows import Row
from metatl.transferring.taken import taken_over
from metatl.types import Batch, Guide, MetatlError, Params, Transfer

FISHER_ROWS = 32
"""Labelled rows that the Fisher information is taken from, at most."""
MOMENT_ROWS = 64
"""Labelled rows whose moments a net without pre-trained ones keeps, at most."""


class DivergedError(MetatlError):
    """A fit that left the finite numbers, so that it names no class."""


@dataclass(frozen=True)
class Labelled:
    """Labelled rows: features [n, d], y [n, ...], and the prepared rows where they are asked for.

    Rows stand round by round over the classes. Real values in y are standardised. key: of all that is drawn
    at random on the way. names: unit vectors [outputs, d] of the classes' names, where the net reads texts.
    group [n]: whom each row comes from, where that is known. teacher: features [n, d] of a larger net.
    source: features and targets of labelled rows of other data, where the row reads them; unlabelled [m, d]:
    features of the problem's rows that judge nothing, whose labels nobody reads; paired: features of the same
    things in both, row by row.
    """

    features: Tensor
    y: Tensor
    rows: Callable[[], Any]
    outputs: int
    key: int = 0
    names: Callable[[], Tensor] | None = None
    group: Any = None
    teacher: Tensor | None = None
    source: Batch | None = None
    unlabelled: Tensor | None = None
    paired: tuple[Tensor, Tensor] | None = None

    @property
    def support(self) -> Batch:
        """What an adaptation on frozen features is fitted to: the labelled rows, or streams by name."""
        if self.source is None:
            return Batch(self.features, self.y)
        x = {"labelled": self.features, "source": self.source.x, "unlabelled": self.unlabelled}
        x |= {} if self.paired is None else dict(zip(PAIRS, self.paired, strict=True))
        return Batch(x, {"labelled": self.y, "source": self.source.y})

    @property
    def size(self) -> int:
        """Numbers in the features that an adaptation is fitted to."""
        return sum(leaf.numel() for leaf in tree.leaves(self.support.x))


@dataclass(frozen=True)
class Model:
    """What a row made: a readout, and the body that gives its features; None for the backbone's own."""

    readout: Readout
    body: nn.Module | None = None

    def outputs(self, features: Tensor, rows: Callable[[], Any]) -> Tensor:
        """Outputs [n, outputs], from frozen features where the body did not move, else from prepared rows."""
        with torch.no_grad():
            return self.readout(features if self.body is None else forward(self.body, rows()))


def fit(row: Row, backbone: Backbone, labelled: Labelled) -> Model:
    """The row fitted to labelled rows. Raises DivergedError where its weights leave the finite numbers."""
    if row.reads == "names":
        return Model(_named(labelled))
    if row.moves == "head":
        fitted = fit_readout(row.adaptation, labelled.support, labelled.outputs, labelled.key)
        return Model(fitted)
    return _tuned(row, backbone, labelled)


def _named(labelled: Labelled) -> Readout:
    """The output layer whose rows are the names of the classes."""
    assert labelled.names is not None
    weight = FromNames.of(labelled.names())
    vectors = torch.tensor(weight.vectors) * weight.scale
    return linear_readout(vectors, torch.zeros(len(vectors)))


def _tuned(row: Row, backbone: Backbone, labelled: Labelled) -> Model:
    descent = cast(Descent, row.adaptation)
    rows, schedule = len(labelled.y), row.schedule
    descent = replace(descent, steps=schedule.steps(rows), batch_size=schedule.batch)
    if row.probe is not None:
        probe = fit_readout(row.probe, labelled.support, labelled.outputs, labelled.key)
        descent = replace(descent, head=Given(*layer_of(probe)))
    start = taken_over(backbone, row.taken)
    net, transfer = started(row, backbone, start, labelled.outputs)
    support = Batch(labelled.rows(), labelled.y if row.teacher is None else taught(row.teacher, labelled))
    if row.mask is not None:
        found = fisher_guide(row.mask, descent, net, transfer, support)
        guide = {name: entry * found[name] for name, entry in transfer.guide.items()}
        transfer = replace(transfer, guide=guide)
    transfer = replace(transfer, params=descended(descent, net, transfer, support))
    if descent.moments != "frozen":
        transfer = settled(net, transfer, tree.at(support.x, slice(MOMENT_ROWS)))
    if row.transform is not None:
        net, transfer = row.transform.merge(net, transfer)
    return _model(net.module if attached(net.module) else start, backbone.head, transfer)


def started(row: Row, backbone: Backbone, start: nn.Module, outputs: int) -> tuple[Net, Transfer]:
    """The net and what it carries before the first step: the row's guide, then its transform.

    Raises MetatlError where the net gives the transform nothing to act on.
    """
    net = Net.of(start, backbone.head, backbone.example()).with_outputs(outputs)
    transfer = replace(net.start(), memory=backbone.memory)
    if backbone.guide is not None:
        transfer = replace(transfer, guide=net.held(backbone.guide))
    if row.guide is not None:
        transfer = replace(transfer, guide=net.held(row.guide(net, transfer)))
    return (net, transfer) if row.transform is None else row.transform(net, transfer)


def descended(
    descent: Descent, net: Net, transfer: Transfer, support: Batch, steps: int | None = None, key: int = 0
) -> Params:
    """The weights after the last step, outside every graph; DivergedError where they are not finite."""
    descent = descent if steps is None else replace(descent, steps=steps)
    params = descent.fit(net, transfer, support, key)
    if not all(bool(leaf.isfinite().all()) for leaf in params.values()):
        raise DivergedError("the weights left the finite numbers; take a smaller rate")
    return params


def settled(net: Net, transfer: Transfer, x: Any) -> Transfer:
    """The transfer with the labelled rows' moments as running ones, so that no row has to be kept."""
    rows = Rows(first=tree.rows(x), sink={})
    with torch.no_grad(), moments_from(rows):
        net(transfer.params, transfer.buffers, x)
    return replace(transfer, buffers=net.updated_buffers(transfer.buffers, rows.sink or {}, 1.0))


def _model(start: nn.Module, head: str, transfer: Transfer) -> Model:
    module, params = copy.deepcopy(start), transfer.params
    layer = linear_readout(params[head + ".weight"], params[head + ".bias"])
    body = {name: leaf for name, leaf in params.items() if not name.startswith(head + ".")}
    headless(module, head).load_state_dict({**body, **transfer.buffers}, strict=False)
    return Model(layer, module)


def fisher_guide(
    mask: SupportFisher, descent: Descent, net: Net, transfer: Transfer, support: Batch
) -> Guide:
    """The mask from the diagonal Fisher information, taken row by row with frozen moments.

    Mean over the first FISHER_ROWS labelled rows; the output layer is not ranked and always moves.
    """
    count = min(tree.rows(support.x), FISHER_ROWS)
    params = tree.detach(descent.head.init(net, transfer, support)[0])
    total: Params = tree.zeros(params)
    with moments_from(Rows(frozen=True)):
        for i in range(count):
            one = tree.at(support, slice(i, i + 1))

            def output(weights: Params, one: Batch = one) -> Any:
                return net(weights, transfer.buffers, one.x)

            total = tree.add(total, fisher(output, params, one.y, mask.kind))
    head, body = tree.split(tree.scale(total, 1 / count), net.is_head)
    found = {**mask.shape(body, tree.count(head)), **tree.ones(head)}
    scalar = torch.ones(())
    return {name: scalar if net.is_head(name) else found[name] for name in transfer.params}

"""A module as a function of its weights."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from metatl import module_checks, tree
from metatl.additions import Addition, Through, added, without
from metatl.layer_inputs import inputs_into
from metatl.norm import has_batch_norm, rows_now
from metatl.norm_calls import norms_at_the_call
from metatl.output_layer import OutputLayer
from metatl.types import Buffers, Episode, Guide, Params, Transfer


class Pass(NamedTuple):
    """What a pass gives: output, features [n, d] into the output layer, and inputs into others by name."""

    output: Any
    features: Tensor
    inputs: Mapping[str, Tensor] = {}


@dataclass(frozen=True)
class Net(OutputLayer):
    """A module without its weights: output = net(params, buffers, x).

    The module's own forward runs, hooks and subclasses and all; only the calls of its norms are split
    (`norm_calls`). x may be a mapping: its tensors are passed as keywords.

    head: dotted name of the linear layer that gives the output, which a task may start anew with any number
        of rows; None for a net without one, whose output is carried as it is.
    outputs: rows that a task's output layer has (way, or the dimension of a regression target).
    own_outputs: rows of the module's own output layer.
    order: names of the weights as a pass uses them; empty where no example was there to pass.
    additions: calls that transforms add at layers, with weights of their own (low-rank products).
    batch_moments: whether there is a batch norm, whose rows then matter.
    through: what carried weights go through before a pass (a subspace, say).
    passes: the type that passes are computed in (bfloat16, say), where it is not the weights' own.
    plain: whether all layers are torch's or ours, without hooks or norms that need care.
    frozen, unused: weights with requires_grad=False, whose guide is 0; those that a pass does not use.
    """

    module: nn.Module
    head: str | None
    outputs: int
    batch_moments: bool
    passes: torch.dtype | None = None
    plain: bool = False
    frozen: frozenset[str] = field(default_factory=frozenset[str])
    own_outputs: int = 0
    additions: tuple[Addition, ...] = ()
    order: tuple[str, ...] = ()
    through: tuple[Through, ...] = ()
    unused: frozenset[str] = field(default_factory=frozenset[str])

    @staticmethod
    def of(module: nn.Module, head: str | None = None, example: Any = None) -> Net:
        """Any nn.Module as a Net: its own copy in eval mode.

        head: by default the last nn.Linear that a pass over `example` calls (x [n, ...] or a mapping), or
            without one the last that is registered.
        example: is passed through: the output must be one that adaptation can read, with frozen moments that
            of `module.eval()`; head and depth (`order`) come from it.

        Raises MetatlError for a net that cannot be used as it is: weights that a hook computes, lazy layers
        without an example, an output that is no tensor or mapping of tensors.
        """
        module = module_checks.own_copy(module, example)
        name = module_checks.output_layer(module, head, example)
        rows = 0 if name is None else module_checks.rows_of(module, name)
        still = frozenset(n for n, p in module.named_parameters() if not p.requires_grad)
        plain = module_checks.is_plain(module)
        net = Net(module, name, rows, has_batch_norm(module), None, plain, still, rows)
        if example is None:
            return net
        output = module_checks.same_as_eval(net, example)
        order, unused = module_checks.order_of_use(module, example)
        net = replace(net, order=order, unused=unused)
        known = rows or not isinstance(output, Tensor) or output.dim() < 2
        return net if known else replace(net, outputs=output.shape[1], own_outputs=output.shape[1])

    def with_outputs(self, outputs: int) -> Net:
        """The same net for tasks with another number of outputs."""
        return replace(self, outputs=outputs)

    def for_task(self, task: Episode) -> Net:
        """The same net with an output for each class of the task, where tasks differ in them."""
        return self if task.classes is None else self.with_outputs(task.classes.shape[0])

    def start(self) -> Transfer:
        """The module's own weights as a Transfer; its guide is 1, and 0 where requires_grad is False."""
        params = {name: p.detach().clone() for name, p in self.module.named_parameters()}
        buffers = {name: b.detach().clone() for name, b in self.module.named_buffers()}
        return Transfer(params, self.held({n: torch.ones_like(p) for n, p in params.items()}), buffers)

    def held(self, guide: Guide) -> Guide:
        """The guide, with 0 for every weight whose requires_grad is False."""
        return {n: torch.zeros_like(g) if n in self.frozen else g for n, g in guide.items()}

    def __call__(self, params: Params, buffers: Buffers, x: Any) -> Any:
        """The output for x, differentiable in the weights. Buffers stay; batch norms take x's own moments."""
        if self.passes is None:
            return self._run(params, buffers, x)
        kind, low = next(iter(params.values())).dtype, partial(_lower, kind=self.passes)
        output = self._run(tree.map(low, params), tree.map(low, buffers), tree.apply(low, x))
        return tree.apply(lambda leaf: leaf.to(kind), output)

    def _run(self, params: Params, buffers: Buffers, x: Any) -> Any:
        sink = rows_now().sink
        for one in self.through:
            params, buffers = one(params, buffers)
        if not self.plain:  # what a forward writes into its buffers is written into these copies
            buffers = {name: leaf.clone() for name, leaf in buffers.items()}
        own = {**params, **buffers} if self.additions else params
        with nullcontext() if self.plain else norms_at_the_call(), added(self.module, self.additions, own):
            tensors = without(self.additions, params), without(self.additions, buffers)
            output = module_checks.called(self.module, tensors, x)
        if sink is not None:
            names = {id(leaf): name for name, leaf in buffers.items()}
            for key in [key for key in sink if key in names]:
                sink[names[key]] = sink.pop(key)  # pyright: ignore[reportArgumentType]
        return module_checks.readable(output)

    def passed(self, params: Params, buffers: Buffers, x: Any, inputs: Collection[str] = ()) -> Pass:
        """The output, and what went into the output layer and these: MetatlError for one not called."""
        head = self._linear()
        with inputs_into(self.module, {head, *inputs}) as seen:
            output = self(params, buffers, x)
        kind = self.head_like(params).dtype
        seen = {name: leaf if self.passes is None else leaf.to(kind) for name, leaf in seen.items()}
        return Pass(output, seen[head], {name: seen[name].flatten(1) for name in inputs})

    def features(self, params: Params, buffers: Buffers, x: Any) -> Tensor:
        """What the output layer sees, [n, d]."""
        return self.passed(params, buffers, x).features

    @contextmanager
    def training(self) -> Generator[None]:
        """Passes with dropout on, for ordinary training; adaptation runs with it off."""
        self.module.train()
        try:
            yield
        finally:
            self.module.eval()

    def updated_buffers(
        self, buffers: Buffers, sink: dict[int | str, tuple[Tensor, Tensor]], momentum: float
    ) -> Buffers:
        """Running moments [channels] moved towards those of the last pass: r + momentum * (m - r)."""
        new = dict(buffers)
        for name, (mean, var) in sink.items():
            if isinstance(name, str):
                new[name] = torch.lerp(buffers[name], mean, momentum)
                spread = name.removesuffix("mean") + "var"
                new[spread] = torch.lerp(buffers[spread], var, momentum)
        return new


def _lower(leaf: Tensor, kind: torch.dtype) -> Tensor:
    return leaf.to(kind) if leaf.is_floating_point() else leaf

"""A module as a function of its weights."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metatl import norm
from metatl.types import Buffers, MetatlError, Params, Transfer


@dataclass(frozen=True)
class Net:
    """A module without its weights: output = net(params, buffers, x).

    head: dotted name of the linear layer that gives the output; a task may start it anew with any number of
        rows.
    outputs: rows that a task's output layer has (way, or the dimension of a regression target).
    passes: the type that passes are computed in (bfloat16, say); weights, outputs and all arithmetic around a
        pass keep their own. None for the weights' own type.
    """

    module: nn.Module
    head: str
    outputs: int
    batch_moments: bool
    passes: torch.dtype | None = None

    @staticmethod
    def of(module: nn.Module, head: str | None = None) -> Net:
        """Any nn.Module as a Net; its norms are replaced by exact ones. head: by default its last nn.Linear.

        Raises MetatlError when there is no such linear layer.
        """
        linear = {name: child for name, child in module.named_modules() if isinstance(child, nn.Linear)}
        if not linear or (head is not None and head not in linear):
            known = ", ".join(linear) or "none"
            raise MetatlError(f"the net needs a linear output layer; head={head!r} is none of: {known}")
        name = head if head is not None else list(linear)[-1]
        module = norm.replace_norms(module).eval()
        moments = any(isinstance(child, norm.BatchNorm) for child in module.modules())
        return Net(module, name, linear[name].out_features, moments)

    def with_outputs(self, outputs: int) -> Net:
        """The same net for tasks with another number of outputs."""
        return replace(self, outputs=outputs)

    def start(self) -> Transfer:
        """The module's own weights as a Transfer, with a guide of ones."""
        params = {name: p.detach().clone() for name, p in self.module.named_parameters()}
        buffers = {name: b.detach().clone() for name, b in self.module.named_buffers()}
        return Transfer(params, {name: torch.ones_like(p) for name, p in params.items()}, buffers)

    def __call__(self, params: Params, buffers: Buffers, x: Tensor) -> Tensor:
        """The output for x under these weights; differentiable in them."""
        if self.passes is None:
            return self._called((params, buffers), x)
        low = tuple({name: leaf.to(self.passes) for name, leaf in part.items()} for part in (params, buffers))
        if x.is_floating_point():
            return self._called(low, x.to(self.passes)).to(x.dtype)
        return self._called(low, x).to(next(iter(params.values())).dtype)

    def _called(self, groups: tuple[dict[str, Tensor], ...], x: Tensor) -> Tensor:
        """The module's output; integers that it does not take as such (counts, say) are taken as floats."""
        try:
            return functional_call(self.module, groups, (x,))
        except RuntimeError as error:
            if x.is_floating_point():
                raise
            try:
                return functional_call(self.module, groups, (x.to(next(iter(groups[0].values())).dtype),))
            except RuntimeError:
                raise error from None

    def features(self, params: Params, buffers: Buffers, x: Tensor) -> Tensor:
        """What the output layer sees: the pass with an identity in its place."""
        width = params[self.head + ".weight"].shape[-1]
        weight = params[self.head + ".weight"]
        eye = torch.eye(width, dtype=weight.dtype, device=weight.device)
        head = {self.head + ".weight": eye}
        if self.head + ".bias" in params:
            head[self.head + ".bias"] = torch.zeros(width, dtype=weight.dtype, device=weight.device)
        return self({**params, **head}, buffers, x)

    def is_head(self, name: str) -> bool:
        """Whether a weight belongs to the output layer."""
        return name.startswith(self.head + ".")

    def head_size(self, params: Params, outputs: int) -> int:
        """Number of weights of an output layer with this many rows."""
        width = params[self.head + ".weight"].shape[-1]
        return outputs * (width + (self.head + ".bias" in params))

    @contextmanager
    def training(self) -> Generator[None]:
        """Passes with dropout on, for ordinary training; adaptation runs with it off."""
        self.module.train()
        try:
            yield
        finally:
            self.module.eval()

    def updated_buffers(
        self, buffers: Buffers, sink: dict[int, tuple[Tensor, Tensor]], momentum: float
    ) -> Buffers:
        """Running moments moved towards those of the last pass: r + momentum * (m - r)."""
        new = dict(buffers)
        for name, child in self.module.named_modules():
            if id(child) in sink:
                for key, seen in zip(("running_mean", "running_var"), sink[id(child)], strict=True):
                    full = f"{name}.{key}" if name else key
                    new[full] = torch.lerp(buffers[full], seen, momentum)
        return new

"""A learned vector that rescales what a layer gives, or what it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from metatl.additions import Addition
from metatl.types import Params


@dataclass(frozen=True)
class Rescaled(Addition):
    """l * output, bias and all, or the layer's output for l * x; l [out] or [in] along the channels."""

    layer: str
    of: Literal["output", "input"]

    @property
    def vector(self) -> str:
        """The name of l."""
        return f"{self.layer}.ia3_l"

    def names(self) -> tuple[str, ...]:
        """The vector."""
        return (self.vector,)

    def before(self, tensors: Params, x: Tensor) -> Tensor:
        """l * x [..., in], of pictures [n, in, h, w], where the input is rescaled."""
        return x * self._along(tensors) if self.of == "input" else x

    def __call__(self, tensors: Params, x: Tensor, output: Tensor, training: bool = False) -> Tensor:
        """l * output, where that is rescaled."""
        return output * self._along(tensors) if self.of == "output" else output

    def _along(self, tensors: Params) -> Tensor:
        return tensors[self.vector].view(-1, *(1,) * (tensors[f"{self.layer}.weight"].dim() - 2))

    def merged(self, params: Params) -> Params:
        """diag(l) W and l * b, or W diag(l)."""
        weight, bias, vector = f"{self.layer}.weight", f"{self.layer}.bias", params[self.vector]
        ones = (1,) * (params[weight].dim() - 2)
        if self.of == "input":
            return {weight: params[weight] * vector.view(1, -1, *ones)}
        new = {weight: params[weight] * vector.view(-1, 1, *ones)}
        return new | {bias: params[bias] * vector} if bias in params else new

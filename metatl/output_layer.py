"""The layer that gives a net's output, and which weights are its own."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor, nn

from metatl.types import MetatlError, Params


class OutputLayer:
    """What a net says of its output layer, a linear one that is called `head` in the module.

    Its weights are those that it is called with: also one that another layer holds too (a tied embedding),
    and those that its own is made of (weight norm).
    """

    module: nn.Module
    head: str | None
    outputs: int
    own_outputs: int

    def _linear(self) -> str:
        if self.head is None:
            raise MetatlError(
                "the net has no linear output layer, which this needs; name one (head), or carry the output "
                "layer as it is (head Learned)"
            )
        return self.head

    @property
    def head_weight(self) -> str:
        """The name of the output layer's weight; raises MetatlError for a net without such a layer."""
        return f"{self._linear()}.weight".lstrip(".")

    @property
    def head_bias(self) -> str:
        """The name of the output layer's bias; raises MetatlError for a net without such a layer."""
        return f"{self._linear()}.bias".lstrip(".")

    @cached_property
    def head_weights(self) -> frozenset[str]:
        """The names of all weights that the output layer is called with; empty where there is none."""
        if self.head is None:
            return frozenset()
        own = {id(p) for p in self.module.get_submodule(self.head).parameters()}
        return frozenset(name for name, p in self.module.named_parameters() if id(p) in own)

    def is_head(self, name: str) -> bool:
        """Whether a weight belongs to the output layer."""
        return name in self.head_weights

    def check_anew(self, params: Params) -> None:
        """Raise MetatlError where no task can start the output layer anew: its weight is not its own."""
        if self.head_weight in params:
            return
        made = any(".parametrizations." in f".{name}" for name in self.head_weights)
        why, do = "shares its weight with another layer", "untie the layer"
        if made:
            why, do = "makes its weight of others (weight norm, say)", "remove its parametrisation"
        raise MetatlError(
            f"the output layer '{self.head}' {why}, so a task cannot start it anew; use head Learned, or {do}"
        )

    def head_like(self, params: Params) -> Tensor:
        """A tensor [outputs, d] of the output layer's shape and the weights' type; its values say nothing."""
        if self.head_weight in params:
            return params[self.head_weight]
        weight = self.module.get_submodule(self._linear()).weight
        assert isinstance(weight, Tensor)
        return weight.detach().to(next(iter(params.values())))

    def rows(self, params: Params) -> int:
        """Rows of the output layer that these weights carry."""
        if self.head is None or self.head_weight not in params:
            return self.own_outputs or self.outputs
        return params[self.head_weight].shape[0]

    def head_size(self, params: Params, outputs: int) -> int:
        """Number of weights of an output layer with this many rows."""
        width = self.head_like(params).shape[-1]
        return outputs * (width + (self.head_bias in params))

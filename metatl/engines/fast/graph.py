"""A recorded graph, and what one run of it tells: where every tensor lies, and which ones are constant."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false, reportPrivateUsage=false
# fx types what a node is called with as a union of everything, and keeps what an operation is private.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from metatl.recorded import is_random, mutates, name_of

FRESH = {
    *("arange", "eye", "full", "ones", "scalar_tensor", "zeros"),
    *("full_like", "new_full", "new_ones", "new_zeros", "ones_like", "zeros_like"),
}
"""Operations that take nothing but shapes from the tensors they are given."""
_LARGEST_CONSTANT = 1 << 20


@dataclass(frozen=True)
class Layout:
    """Where a node's value lies in the memory that `owner` allocated."""

    owner: fx.Node
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    dtype: torch.dtype

    @staticmethod
    def of(owner: fx.Node, value: Tensor) -> Layout:
        """The layout of a value."""
        return Layout(owner, tuple(value.shape), value.stride(), value.storage_offset(), value.dtype)

    def like(self, other: Layout) -> bool:
        """Whether shape, strides and type are the same."""
        return (self.shape, self.stride, self.dtype) == (other.shape, other.stride, other.dtype)


class GraphRecorder(fx.Interpreter):
    """Runs a graph; notes the layout of every tensor, and the values of those that depend on no input."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.layouts: dict[fx.Node, Layout] = {}
        self.constants: dict[fx.Node, Tensor] = {}

    @staticmethod
    def run_once(graph: fx.GraphModule, flat: list[Any]) -> GraphRecorder:
        """The notes of one run."""
        recorder = GraphRecorder(graph)
        with torch.no_grad():
            recorder.run(*flat)
        return recorder

    def run_node(self, n: fx.Node) -> Any:
        """Run, and note."""
        value = super().run_node(n)
        if isinstance(value, Tensor):
            layout = self.layouts[n] = self._layout(n, value)
            if layout.owner is n and self._is_constant(n) and value.numel() <= _LARGEST_CONSTANT:
                self.constants[n] = value.clone()
        return value

    def _is_constant(self, n: fx.Node) -> bool:
        if n.op != "call_function" or mutates(n) or is_random(n):
            return False
        inputs = n.all_input_nodes
        if name_of(n) in FRESH or not inputs:
            return not name_of(n).startswith("empty")
        return all(i in self.layouts and self.layouts[i].owner in self.constants for i in inputs)

    def _layout(self, n: fx.Node, value: Tensor) -> Layout:
        memory = value.untyped_storage().data_ptr()
        if n.op == "call_function" and memory:
            for i in n.all_input_nodes:
                source = self.env.get(i)
                if not isinstance(source, Tensor) or source.untyped_storage().data_ptr() != memory:
                    continue
                if source.dtype == value.dtype:
                    return Layout.of(self.layouts[i].owner, value)
        return Layout.of(n, value)

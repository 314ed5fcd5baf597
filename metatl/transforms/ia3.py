"""Learned vectors that rescale keys, values and what a feed-forward layer takes."""

from __future__ import annotations

from dataclasses import dataclass

from metatl.net import Net
from metatl.transforms.rescaled import Rescaled
from metatl.transforms.targets import check_pattern, linear, meant, nothing_meant
from metatl.transforms.transform import Transform, extended
from metatl.types import Transfer

KNOWN = {
    "keys-values": r"(^|[._])(k|v|key|value|k_proj|v_proj|k_lin|v_lin|qkv|query_key_value|kv|c_attn)$",
    "feed-forward": (
        r"(mlp\.(fc2|c_proj|down_proj)|(?<!attention\.)output\.dense|linear2|down_proj|ffn\.lin2|wo)$"
    ),
}
"""Names of layers in timm's, transformers' and torch's nets."""


@dataclass(frozen=True)
class IA3(Transform):
    """l_k * (K x), l_v * (V x) and W2 (l_ff * h): the vectors move, from 1; all else but the head stays.

    A layer that gives query, key and value at once is rescaled whole (scaling a query is scaling its key).
    Merged it is diag(l) W, or W diag(l). Source: Liu et al. 2022, arXiv 2205.05638.

    Args:
        outputs: regular expression that is found in the names of layers whose outputs are rescaled, or
            `keys-values`: those of common nets.
        inputs: one for layers whose inputs are, or `feed-forward`: the second ones there, in common nets.

    Calling it raises MetatlError where no layer is meant, and where one has an addition already.
    """

    outputs: str = "keys-values"
    inputs: str = "feed-forward"

    def __post_init__(self) -> None:
        """Refuse a broken regular expression."""
        check_pattern("IA3", self.outputs)
        check_pattern("IA3", self.inputs)

    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The net with additions and the transfer with the vectors."""
        taken = meant(net, linear, KNOWN.get(self.inputs, self.inputs))
        given = [n for n in meant(net, linear, KNOWN.get(self.outputs, self.outputs)) if n not in taken]
        if not given and not taken:
            raise nothing_meant("IA3", net, linear, f"{self.outputs}' and '{self.inputs}")
        added = [Rescaled(name, "output") for name in given] + [Rescaled(name, "input") for name in taken]
        weights = {one: transfer.params[f"{one.layer}.weight"] for one in added}
        made = {one.vector: w.new_ones(w.shape[one.of == "input"]) for one, w in weights.items()}
        return extended(net, transfer, added, made)

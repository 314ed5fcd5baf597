"""What is said of a net with additions: at which layers they are, and which have none."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import nn

from metatl.net import Net
from metatl.norm import norm_weights
from metatl.transforms.quantised_linear import QuantisedLinear

SHOWN = 8
"""Layers that are named, those alike but for their numbers as one."""


def told(net: Net) -> str:
    """`at 2 of 4 layers: key, value; none at query, attention.in_proj_weight`; nothing where all have one.

    Counted is what multiplies what it is given, but the output layer: layers with a weight of two axes or
    more, and such weights that are no layer's of their own (those of `nn.MultiheadAttention`, say), which no
    addition reaches. Embeddings and norms are no such layers. Layers alike but for their numbers are one
    name, with their count. Nothing is said of a net without additions.
    """
    at = {one.layer for one in net.additions}
    every = _products(net)
    left = [name for name in every if name not in at]
    if not at or not left:
        return ""
    have = [name for name in every if name in at]
    return f"at {len(have)} of {len(every)} layers: {_named(have)}; none at {_named(left)}"


def _products(net: Net) -> list[str]:
    """Names of what multiplies its input, in the order of the module; the output layer is not among them."""
    found, norms = list[str](), norm_weights(net.module)
    for layer, one in net.module.named_modules():
        if isinstance(one, nn.Embedding | nn.EmbeddingBag) or layer == net.head:
            continue
        if isinstance(one, QuantisedLinear):
            found.append(layer)
            continue
        for own, leaf in one.named_parameters(recurse=False):
            name = f"{layer}.{own}".lstrip(".")
            if name not in norms and (leaf.dim() == 2 or (leaf.dim() > 2 and "weight" in own)):
                found.append(layer if own == "weight" and layer else name.partition(".parametrizations.")[0])
    return list(dict.fromkeys(found))


def _named(layers: Iterable[str]) -> str:
    alike = dict[str, list[str]]()
    for name in layers:
        alike.setdefault(re.sub(r"\d+", "*", name), []).append(name)
    said = [f"{key} ({len(all_)})" if len(all_) > 1 else all_[0] for key, all_ in alike.items()]
    more = len(said) - SHOWN
    return ", ".join(said[:SHOWN]) + (f" and {more} more" if more > 0 else "")

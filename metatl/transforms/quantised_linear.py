"""A linear layer whose weight is held as codes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from metatl.transforms.codes import coded, decoded, dynamic, int8, nf4, packed, unpacked
from metatl.types import Buffers

Kind = Literal["nf4", "int8"]
SCALES = 256
"""Scales that share one of their own, where they are quantised too."""


class QuantisedLinear(nn.Linear):
    """x W' + b with W [out, in] as codes in buffers; W is made for a pass and dropped.

    codes: two in a byte for nf4; scale: the largest magnitude of every block of the flat W, with `double` as
    8-bit codes around their mean `offset`, SCALES of them to a scale_scale. Scales are float32 at least, and
    codes and numbers are found in it: half precision has no room for the 255 steps of int8.
    """

    def __init__(self, layer: nn.Linear, kind: Kind, block: int, double: bool) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.kind: Kind = kind
        self.block, self.double_quantised = block, double
        self.bias, self.dtype = layer.bias, layer.weight.dtype
        wide = layer.weight.detach().to(torch.promote_types(self.dtype, torch.float32))
        codes, largest = coded(wide, nf4() if kind == "nf4" else int8(), block)
        self.register_buffer("codes", packed(codes) if kind == "nf4" else codes)
        if double:
            offset = largest.mean()
            scale, scales = coded(largest - offset, dynamic(), SCALES)
            self.register_buffer("scale", scale[: len(largest)])
            self.register_buffer("scale_scale", scales)
            self.register_buffer("scale_offset", offset)
        else:
            self.register_buffer("scale", largest)

    @property
    def weight(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """W as its codes say it, [out, in]."""
        return self.said_by(dict(self.named_buffers(recurse=False)))

    def said_by(self, held: Buffers) -> Tensor:
        """The W [out, in] that other codes of this layer say."""
        scale, codes, four = held["scale"], held["codes"], self.kind == "nf4"
        held_in = held["scale_scale" if self.double_quantised else "scale"].dtype
        if self.double_quantised:
            whole = nn.functional.pad(scale, (0, -len(scale) % SCALES))
            scale = decoded(whole, held["scale_scale"], dynamic())[: len(scale)] + held["scale_offset"]
        flat = decoded(unpacked(codes) if four else codes, scale, nf4() if four else int8())
        whole = flat[: self.out_features * self.in_features].view(self.out_features, self.in_features)
        return whole.to(held_in if held_in.itemsize < 4 else self.dtype)  # < 4: a pass in half precision

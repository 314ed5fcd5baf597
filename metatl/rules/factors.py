"""A gradient through one factor for every axis of its weight."""

from __future__ import annotations

import torch
from torch import Tensor

from metatl.types import Params


def ahead(grad: Tensor, held: Params) -> Tensor:
    """G x_1 M_out x_2 M_in x_3 M_k of a gradient [out, in ...]; of a vector a factor for each entry.

    held: the factors by axis, out [out, out], in [in, in], k [k, k], each [n]; none: the gradient.
    """
    if not held:
        return grad
    if "each" in held:
        return (grad.reshape(-1) * held["each"]).view(grad.shape)
    whole = grad.reshape(grad.shape[0], grad.shape[1], -1)
    whole = torch.einsum("ab,bij->aij", held["out"], whole)
    whole = torch.einsum("ab,iaj->ibj", held["in"].mT, whole)
    if "k" in held:
        whole = torch.einsum("ab,ijb->ija", held["k"], whole)
    return whole.reshape(grad.shape)

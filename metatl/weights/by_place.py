"""Weights of a file whose names are others, by their places."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from metatl.types import MetatlError


def in_order(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """The file's tensors under the net's names, one after another.

    Raises MetatlError unless both have the same shapes in the same order.
    """
    if [leaf.shape for leaf in own.values()] != [leaf.shape for leaf in theirs.values()]:
        raise MetatlError(f"{file} has not the net's tensors in the net's order; is it another version?")
    return dict(zip(own, theirs.values(), strict=True))

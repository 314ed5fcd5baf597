"""What a guide has to cover, which weights it lets move, and what of a transfer is no number."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from metatl.types import MetatlError, Transfer

_MOVES = WeakTensorKeyDictionary()
"""Of guide entries: their version, the steps that were looked at, and whether they move anything."""


def moving_names(transfer: Transfer, steps: int | None = None) -> frozenset[str]:
    """Names whose guide is not zero throughout, or not at all of the first `steps` inner steps."""
    params = transfer.params
    return frozenset(
        name
        for name, entry in transfer.guide.items()
        if _moves(entry, steps if name in params and entry.dim() == params[name].dim() + 1 else None)
    )


def _moves(entry: Tensor, steps: int | None) -> bool:
    """Whether any number is not 0, looked up once for each tensor: asking makes the host wait for a GPU."""
    known: tuple[int, int | None, bool] | None = _MOVES.get(entry)
    if known is None or known[:2] != (entry._version, steps):
        seen = entry if steps is None else entry[:steps]
        known = entry._version, steps, bool((seen != 0).any())
        _MOVES[entry] = known
    return known[2]


def check_guide(transfer: Transfer) -> None:
    """Raise MetatlError naming a weight without a guide, or with one that does not broadcast to it."""
    for name, leaf in transfer.params.items():
        if name not in transfer.guide:
            raise MetatlError(f"the guide has no entry for weight '{name}'; every weight must be covered")
        entry = transfer.guide[name].shape
        own = entry[1:] if len(entry) == leaf.dim() + 1 else entry
        fits = len(own) <= leaf.dim() and all(
            a in (1, b) for a, b in zip(reversed(own), reversed(leaf.shape), strict=False)
        )
        if not fits or 0 in entry:
            raise MetatlError(
                f"the guide of weight '{name}' has shape {list(entry)}, which does not broadcast to "
                f"{list(leaf.shape)}; a leading inner-step axis may stand in front"
            )


def check_finite(transfer: Transfer, where: str = "") -> None:
    """Raise MetatlError, `where` in front, naming a tensor with NaN or infinity: it predicts no numbers.

    Buffers may hold infinities, as masks of attention do.
    """
    groups = zip(("weight", "guide of", "buffer", "memory"), transfer.groups(), strict=True)
    leaves = {(kind, name): leaf for kind, tensors in groups for name, leaf in tensors.items()}
    if not leaves:
        return
    bad = [
        (leaf.isnan() if kind == "buffer" else ~leaf.isfinite()).any() for (kind, _), leaf in leaves.items()
    ]
    for (kind, name), found in zip(leaves, torch.stack(bad).tolist(), strict=True):  # read back at once
        if found:
            raise MetatlError(
                f"{where}{kind} '{name}' is not finite, so that nothing it predicts is a number; learn it "
                "again at a lower rate, or restore it"
            )

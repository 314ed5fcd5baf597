"""Masked values filled in: self-supervised pre-training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor
from torch.nn import functional as F

from metatl.objectives.term import Anchor, Seen, Term
from metatl.types import Batch, MetatlError, Metrics, Params

On = Literal["masked", "all"]


@dataclass(frozen=True)
class Reconstruction(Term):
    """weight * mean (x^ - x)^2 + mask_weight * BCE(m^, m), x^ and m^ the net's outputs for masked rows.

    The rows come from a stream `data.Masked` that stands in the place of the source's. The output layer is
    the decoder, which no task carries: what pre-training leaves is the encoder. On `masked` values alone (as
    MAE), or on `all`; `all` with weight 2, mask_weight 1 and a stream that has `tell` is VIME's objective.
    Every record also has the error on masked values and that of the columns' means in the batch, which knows
    nothing of the other columns: an error on all values mostly measures copying. Source: Yoon et al. 2020,
    NeurIPS (VIME); He et al. 2022, arXiv 2111.06377.

    Args:
        weight: of the squared error.
        on: the values that it is a mean over.
        mask_weight: of the cross-entropy of telling which values were replaced.
    """

    weight: float = 1.0
    on: On = "masked"
    mask_weight: float = 0.0

    def __post_init__(self) -> None:
        """Refuse negative weights."""
        if not (self.weight >= 0 and self.mask_weight >= 0 and self.weight + self.mask_weight > 0):
            raise MetatlError("Reconstruction: give weights of 0 or more, one of them above 0")

    def __call__(self, params: Params, output: Any, batch: Batch, anchor: Anchor) -> Tensor:
        """The value on the rows of one stream; MetatlError where rows are not masked, or outputs lack."""
        filled, told, x, mask = _parts(output, batch)
        error = (filled - x).square()
        loss = self.weight * (_mean(error, mask) if self.on == "masked" else error.mean())
        if self.mask_weight == 0:
            return loss
        if told is None:
            raise MetatlError(
                "Reconstruction: mask_weight asks which values were replaced, and the net has no outputs for "
                "it; let the stream be Masked with tell: true"
            )
        return loss + self.mask_weight * F.binary_cross_entropy_with_logits(told, mask)

    def told(self, seen: Seen) -> Metrics:
        """`masked_error`, and `mean_error` of the columns' means."""
        filled, _, x, mask = _parts(seen.passes["source"].output, seen.batches["source"])
        apart = (x.mean(0) - x).square()
        return {
            "masked_error": _mean((filled - x).square(), mask).detach(),
            "mean_error": _mean(apart, mask).detach(),
        }


def _mean(error: Tensor, mask: Tensor) -> Tensor:
    """Over the masked values; 0 where there are none."""
    return (error * mask).sum() / mask.sum().clamp_min(1.0)


def _parts(output: Any, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """Filled values, logits of the mask or None, values and mask, each [n, columns]."""
    keyed = isinstance(batch.y, dict) and {*batch.y} == {"values", "masked"}  # pyright: ignore[reportUnknownArgumentType]
    if not keyed or not isinstance(output, Tensor):
        raise MetatlError(
            "Reconstruction needs masked rows: let the learner's streams have source: Masked, and the net "
            "one output layer"
        )
    x, mask = (leaf.flatten(1).to(output) for leaf in (batch.y["values"], batch.y["masked"]))
    columns = x.shape[1]
    if output.shape[1] not in (columns, 2 * columns):
        raise MetatlError(
            f"Reconstruction: rows have {columns} values, and the net has {output.shape[1]} outputs"
        )
    return output[:, :columns], output[:, columns:] if output.shape[1] > columns else None, x, mask

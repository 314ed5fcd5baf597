"""Knowledge distillation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor

from metatl.objectives import losses
from metatl.objectives.term import Anchor, Term, mean_over_rows
from metatl.types import Batch, MetatlError, Params


@dataclass(frozen=True)
class Distillation(Term):
    """(1 - alpha) CE(y, p) + alpha T^2 KL(q_T || p_T): p_T, q_T at temperature T, q the teacher's.

    What the teacher says of a row is part of the row's targets: y = {"labels": class indices [n], "teacher":
    logits [n, classes]}. The factor T^2 keeps the gradient's size: d/dlogit = (1 - alpha) (p - onehot) +
    alpha T (p_T - q_T). With T = 1 it is the cross-entropy with the target (1 - alpha) onehot(y) + alpha q,
    up to the entropy of q. Source: Hinton, Vinyals & Dean 2015, arXiv 1503.02531.

    Args:
        alpha: weight of the teacher, 0 to 1.
        temperature: divides the logits of both; above 1 it shows what the teacher thinks of wrong classes.
    """

    alpha: float = 0.5
    temperature: float = 2.0

    def __post_init__(self) -> None:
        """Raise MetatlError for values that mean nothing."""
        if not 0.0 <= self.alpha <= 1.0 or not self.temperature > 0:
            raise MetatlError(
                f"Distillation: alpha is from 0 to 1, temperature above 0; they are {self.alpha} and "
                f"{self.temperature}"
            )

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The loss, mean over rows."""
        labels, teacher = _parts(batch.y)
        if teacher.shape != output.shape:
            raise MetatlError(
                f"Distillation: the teacher's outputs are {list(teacher.shape)}, the net's "
                f"{list(output.shape)}; it names the same classes"
            )
        hard = mean_over_rows(losses.of_label(-output.log_softmax(-1), labels), batch.weight)
        log_p = (output / self.temperature).log_softmax(-1)
        log_q = (teacher.to(output.dtype) / self.temperature).log_softmax(-1)
        kl = mean_over_rows((log_q.exp() * (log_q - log_p)).sum(-1, keepdim=True), batch.weight)
        return (1.0 - self.alpha) * hard + self.alpha * self.temperature**2 * kl


def _parts(y: Any) -> tuple[Tensor, Tensor]:
    """Labels and the teacher's logits; MetatlError for other targets."""
    if isinstance(y, Mapping):
        held = cast(Mapping[str, Tensor], y)
        if set(held) == {"labels", "teacher"} and losses.target_of(held["labels"]) == "classes":
            return held["labels"], held["teacher"]
    raise MetatlError(
        'Distillation needs targets {"labels": class indices [n], "teacher": logits [n, classes]}'
    )

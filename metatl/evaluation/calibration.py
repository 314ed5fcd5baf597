"""How far probabilities are to be trusted, as they are and at a temperature that was fitted on meta-val."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.adapt import Adaptation
from metatl.data.source import Data
from metatl.engines.engine import Engine
from metatl.evaluation.evaluate import Evaluation
from metatl.evaluation.predicted import outputs_of
from metatl.evaluation.scores import SCORES
from metatl.net import Net
from metatl.types import MetatlError, Split, Transfer

Rows = Sequence[tuple[Tensor, Tensor]]
"""Outputs [n, classes] and labels [n] of every episode's query rows."""
WIDEST = 100.0
"""Temperatures lie between its inverse and it."""


def calibration(
    net: Net,
    transfer: Transfer,
    adaptation: Adaptation,
    data: Data,
    evaluation: Evaluation,
    engine: Engine,
    tuned_on: Data | None = None,
) -> dict[str, Any]:
    """Log loss and calibration error of the meta-test episodes, each as it is and at the temperature.

    `log_loss`: mean over rows, nats; `ece`: over the rows of all episodes (15 bins); `ece_task`: mean over
    episodes of each one's own; each [as it is, at the temperature]; `temperature`: of least log loss on
    `select_episodes` of meta-val (of `tuned_on`, the same data for None); `rows`: of meta-test. Episodes
    whose outputs are not finite are left out, and counted (`diverged`). Raises MetatlError where rows have no
    class each, or all episodes diverged.
    """
    asked: tuple[tuple[Split, int], ...] = (
        ("meta_val", evaluation.select_episodes),
        ("meta_test", evaluation.episodes),
    )
    held: list[Rows] = []
    for (split, count), rows in zip(asked, (tuned_on or data, data), strict=True):
        found = outputs_of(net, transfer, adaptation, rows, evaluation, engine, split, count)
        if found is None:
            raise MetatlError("evaluation: calibrated is of rows with one class each; these have none")
        held.append([(output, y) for output, y in found if bool(output.isfinite().all())])
    if not all(held):
        raise MetatlError("evaluation: no episode has finite outputs, so that nothing can be calibrated")
    temperature = temperature_of(held[0])
    plain, tempered = (_scores(held[1], one) for one in (1.0, temperature))
    return {
        "temperature": temperature,
        **{name: [plain[name], tempered[name]] for name in plain},
        "rows": sum(len(y) for _, y in held[1]),
        "diverged": evaluation.episodes - len(held[1]),
    }


def temperature_of(rows: Rows) -> float:
    """The T, from 1 / 100 to 100, that minimises the mean of -log softmax(o / T)_y, convex in 1 / T.

    Guo et al. 2017, arXiv 1706.04599.
    """
    from scipy.optimize import minimize_scalar  # takes a while to import

    outputs, y = (torch.cat(parts) for parts in zip(*rows, strict=True))

    def loss(log: float) -> float:
        return float(F.cross_entropy(outputs * float(np.exp(log)), y))

    far = float(np.log(WIDEST))
    found: Any = minimize_scalar(loss, bounds=(-far, far), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(-found.x))


def _scores(rows: Rows, temperature: float) -> dict[str, float]:
    pairs = [(output / temperature, y) for output, y in rows]
    outputs, y = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    ece = SCORES["calibration error"]
    return {
        "log_loss": SCORES["log loss"](outputs, y),
        "ece": ece(outputs, y),
        "ece_task": float(np.mean([ece(*pair) for pair in pairs])),
    }

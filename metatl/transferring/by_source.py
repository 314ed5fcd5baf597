"""How good a row is on rows of the source: where the target has no labels, these are what can be asked."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from metatl import tree
from metatl.adapt import head_net
from metatl.adapt.named_streams import OfStreams
from metatl.data.fixed import MOST_FOLDS, stratified
from metatl.transferring.fit import Labelled
from metatl.transferring.judging import kind_of
from metatl.transferring.readout import answers
from metatl.transferring.rows import Row
from metatl.types import Batch, Episode


def held_out_of_source(row: Row, labelled: Labelled) -> float | None:
    """The mean score of source rows after fits to the other folds, by weight; the larger the better.

    With weights of a density ratio it is importance-weighted validation (Sugiyama et al. 2007, JMLR 8). What
    rows and fits are, the adaptation says (`of_source`). A fold is left out where no other row has a weight.
    NaN where outputs are not finite, None where no held-out row has a weight.
    """
    across, width = cast(OfStreams, row.adaptation), labelled.features.shape[1]
    with torch.no_grad():
        adaptation, rows, support = across.of_source(*head_net(width, labelled.outputs), labelled.support)
    strata = rows.y.numpy() if kind_of(rows.y) == "classes" else np.zeros(len(rows.y), np.int64)
    fold = torch.from_numpy(stratified(strata, min(MOST_FOLDS, len(strata)), [labelled.key, 3]))
    places = [
        (torch.nonzero(fold != one).flatten(), torch.nonzero(fold == one).flatten()) for one in fold.unique()
    ]
    places = [both for both in places if rows.weight is None or bool(rows.weight[both[0]].any())]
    episodes = [Episode(support(tree.at(rows, inside)), Batch(rows.x[held])) for inside, held in places]
    outputs = answers(adaptation, episodes, [labelled.key] * len(episodes), labelled.outputs)
    score, total, mass = row.chosen_by(rows.y), 0.0, 0.0
    for said, (_, held) in zip(outputs, places, strict=True):
        if not bool(said.isfinite().all()):
            return float("nan")
        weight = torch.ones(len(held)).double() if rows.weight is None else rows.weight[held].double()
        total += float((weight * score.rows(said, rows.y[held]).double()).sum())
        mass += float(weight.sum())
    return score.sign * total / mass if mass else None

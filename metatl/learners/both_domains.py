"""Rows of two domains as data that a learner draws mini-batches from."""

from __future__ import annotations

import torch
from torch import Tensor

from metatl.adapt.named_streams import PAIRS
from metatl.alignments import TwoDomains
from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.domain_data import DomainData
from metatl.types import Batch, MetatlError


def standard(scale: dict[str, Tensor], x: Tensor) -> Tensor:
    """Rows x [n, d] less `mean` [d], over `deviation` [d]."""
    return (x.float() - scale["mean"]) / scale["deviation"]


def both_domains(scale: dict[str, Tensor], rows: Batch, found: TwoDomains, classes: int) -> DomainData:
    """Both domains [n, d], standardised; the labelled rows class by class."""

    def bank(x: Tensor, sizes: list[int], names: list[str]) -> Bank:
        return Bank.sorted_by_class(standard(scale, x), sizes, names)

    if not len(found.unlabelled):
        raise MetatlError("no row of the target is left that judges nothing; give more of them")
    order = torch.argsort(rows.y, stable=True)
    sizes = torch.bincount(rows.y, minlength=classes).tolist()
    source = bank(rows.x[order], sizes, [str(i) for i in range(classes)])
    target = bank(found.unlabelled, [len(found.unlabelled)], ["rows"])
    own = bank(rows.x, [len(rows.x)], ["rows"])
    labelled = ClassData("source", {"meta_train": source})
    pairs = {} if found.paired is None else dict(zip(PAIRS, found.paired, strict=True))
    both = {name: bank(x, [len(x)], ["rows"]) for name, x in pairs.items()}
    return DomainData(labelled, {"source": own, "target": target, **both}, ("source",), "target")

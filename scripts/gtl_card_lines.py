"""The comparisons of gtl_card.py: what of Guided Transfer Learning, where, beside what, in which study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GUIDE, UNLABELLED = "a guide for each weight", "a guide without labels of the source"
MEAN, ALONE = "E[d] first, then fine-tuning", "E[d] alone, then the output layer"
FEW, ALL = "16 or 64 of the directions", "all directions of 256 scouts"
PRIOR, PRECONDITIONER = "the scouts' Gaussian as a prior", "directions as a preconditioner"
PEOPLE = "a person in 10 numbers"
IN_README = (GUIDE, UNLABELLED, MEAN, ALL, PRIOR)
"""The parts that README shows."""


@dataclass(frozen=True)
class Line:
    """A comparison: which part of GTL, where, beside what; found in a folder of results by these values."""

    part: str
    where: str
    rival: str
    folder: str
    values: Mapping[str, Any]


ROUTES = {
    "MNIST to Omniglot, 5w5s": "scouts_directions",
    "MNIST to Omniglot, 5w1s": "scouts_directions/5w1s",
    "MNIST to Omniglot, 20w5s": "scouts_directions/20w5s",
    "new alphabets, 5w5s": "scouts_directions/alphabets-5w5s",
    "new alphabets, 5w1s": "scouts_directions/alphabets-5w1s",
    "new alphabets, 20w5s": "scouts_directions/alphabets-20w5s",
    "ResNet-20 to digits": "real_nets",
    "MiniLM to new domains": "real_nets/minilm",
}
"""Studies of scouts, by what they go from and to."""
TUNED, PROBED = "fine-tuning", "logistic regression on frozen features"
PARTS = (
    (GUIDE, "diagonal", "fine-tune", TUNED),
    (MEAN, "mean-fine-tune", "fine-tune", TUNED),
    (ALONE, "mean-alone", "head-only", "the output layer alone"),
    (FEW, "subspace-16", "lora", "LoRA of rank 1"),
    (FEW, "subspace-16", "fine-tune", TUNED),
    (FEW, "subspace-64", "lora", "LoRA of rank 1"),
    (FEW, "subspace-64", "fine-tune", TUNED),
    (ALL, "subspace-255", "lora", "LoRA of rank 1"),
    (ALL, "subspace-255", "fine-tune", TUNED),
    (PRIOR, "prior-diagonal", "l2-sp", "L2-SP"),
    (PRECONDITIONER, "preconditioned-low-rank", "sgd", "SGD"),
)
"""Rows of the studies of scouts: part, row, against, and the latter in words."""
SHAPES, SHOTS = ("5w1s", "5w5s", "20w1s", "20w5s"), (1, 5)


def _alphabets(shape: str) -> list[Line]:
    where, folder = f"new alphabets, {shape}", "gtl-alphabets"
    return [
        Line(GUIDE, where, TUNED, folder, {"setting": shape, "guide": "gtl", "against": "fine-tune"}),
        Line(GUIDE, where, "MAML", folder, {"setting": shape, "guide": "maml-gtl", "against": "maml"}),
    ]


def _real(target: str, labels: int) -> Line:
    where, values = f"ResNet-20 to {target}, {labels} a class", {"beside": "lp-ft-tuned"}
    at = {"target": target, "labels": str(labels)}
    return Line(GUIDE, where, "linear probe, then fine-tuning", "gtl_real", at | values)


def _cells(target: str, labels: int) -> Line:
    at = {"target": target, "labels": str(labels), "beside": "logistic-regression"}
    return Line(UNLABELLED, f"cells, {target}, {labels} a class", PROBED, "gtl_unlabelled", at)


def _people(part: str, folder: str, row: str, shot: int) -> Line:
    at = {"shot": shot, "method": row, "against": "fine-tune"}
    return Line(part, f"new people, {shot} a class", TUNED, folder, at)


LINES = (
    *(line for shape in SHAPES for line in _alphabets(shape)),
    Line(GUIDE, "MNIST to Omniglot, 100w1s", TUNED, "gtl-mnist", {"method": "gtl", "against": "fine-tune"}),
    *(_people(GUIDE, "gtl-hapt", "gtl", shot) for shot in SHOTS),
    *(_real(target, labels) for target in ("mnist-m", "hymenoptera") for labels in (5, 20)),
    *(
        Line(part, where, rival, folder, {"row": row, "against": against})
        for part, row, against, rival in PARTS
        for where, folder in ROUTES.items()
    ),
    *(_people(PEOPLE, "people", "person-in-10", shot) for shot in SHOTS),
    *(_cells(target, labels) for target in ("drop-seq", "plate") for labels in (1, 2, 5)),
)

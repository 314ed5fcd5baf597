"""The domains of negative.py: MNIST, and USPS with digits of other shares; what tests say of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import study
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.domain_arrays import DomainFile
from metatl.data.domain_data import DomainData
from metatl.shifts.compared import compared
from metatl.shifts.verdict import shifts

CLASSES, SOURCE, TARGET = 10, 4000, 1500
"""Classes, labelled images of the source (of every digit alike), unlabelled ones of the target."""


class Images(NamedTuple):
    """Images x [n, 1, 16, 16] in [0, 1] and digits y [n]."""

    x: Tensor
    y: Tensor


class Drawn(NamedTuple):
    """A draw at one strength; target: to adapt to, without labels; test: all of the target's test images."""

    source: Images
    target: Images
    test: Images
    data: DomainData


def read() -> dict[str, dict[str, Images]]:
    """Both domains, to learn from and to judge."""
    found = dict[str, dict[str, Images]]()
    for name, file in (("mnist", "mnist/mnist.npz"), ("usps", "usps/usps_16x16.npz")):
        study.data(file)
        parts = DomainFile(file, name, size=16).read()
        found[name] = {
            part: Images(
                torch.from_numpy(one.x).float() * one.scale, torch.from_numpy(one.y.astype(np.int64))
            )
            for part, one in parts.items()
        }
    return found


def priors(strength: float) -> NDArray[np.float64]:
    """[10]: (1 + s) / 10 of each digit from 0 to 4, (1 - s) / 10 of the others."""
    return np.repeat([(1 + strength) / 10, (1 - strength) / 10], 5)


def drawn(domains: Mapping[str, Mapping[str, Images]], strength: float, seed: int) -> Drawn:
    """As many images of each digit as the shares say, without repetition."""
    draw = np.random.default_rng([seed, 7])
    source = _some(domains["mnist"]["train"], np.full(CLASSES, SOURCE // CLASSES), draw)
    target = _some(domains["usps"]["train"], np.rint(TARGET * priors(strength)).astype(int), draw)
    sizes = torch.bincount(source.y, minlength=CLASSES).tolist()
    bank = Bank.sorted_by_class(source.x, sizes, [str(c) for c in range(CLASSES)])
    labelled = ClassData("digits", dict.fromkeys(("meta_train", "meta_val", "meta_test"), bank))
    rows: dict[str, Any] = {
        name: Bank.sorted_by_class(of.x, [len(of.x)], ["rows"])
        for name, of in (("source", source), ("target", target))
    }
    return Drawn(source, target, domains["usps"]["test"], DomainData(labelled, rows, ("source",), "target"))


def _some(images: Images, counts: NDArray[np.int64], draw: np.random.Generator) -> Images:
    """The first so many of each digit, of one order for all strengths."""
    order = draw.permutation(len(images.y))
    y = images.y.numpy()[order]
    at = torch.from_numpy(np.concatenate([order[y == c][: counts[c]] for c in range(CLASSES)]))
    return Images(images.x[at], images.y[at])


def tested(of: Drawn, seed: int) -> dict[str, Any]:
    """p by test (Holm) and the names of `metatl shift`, without the target's labels and with them."""
    x, other = (one.x.flatten(1).double().numpy() for one in (of.source, of.target))
    y, theirs = of.source.y.numpy(), of.target.y.numpy()
    said = dict[str, Any]()
    for key, labels in (("unlabelled", None), ("labelled", theirs)):
        found = compared(x, other, y, labels, CLASSES, seed)
        names, either = shifts(found)
        p = {test.name: one for test, one in zip(found.tests, found.corrected, strict=True)}
        said[key] = {"p": p, "named": (" or " if either else " and ").join(names) or "none"}
        said[key]["effect"] = {test.name: test.effect for test in found.tests}
    return said

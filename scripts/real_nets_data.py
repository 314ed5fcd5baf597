"""The nets of real_nets.py: configs, data as files, what every row is told of them."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cifar
import numpy as np
import study
import transfer_clinc150

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
EACH, TARGET = 200, 100
"""Pictures of a class of the source, and of a digit."""
CHOSEN, JUDGED = ("utility", "work"), ("banking", "travel")
"""Domains of CLINC150 that values are chosen by, and that judge; scouts see the other six."""


@dataclass(frozen=True)
class RealNet:
    """A net with its folder of configs; words: writes the data below a folder, says where they lie."""

    configs: Path
    out: str
    episodes: int
    words: Callable[[Path], list[str]]
    about: str


def pictures(file: Path) -> Path:
    """CIFAR-10's classes, MNIST's digits and MNIST-M's, 32 x 32 in colour, as one npz file."""
    if file.is_file():
        return file
    x, y, test, names = cifar.held()
    parts = [_each(x[~test], y[~test], names, EACH)]
    with np.load(study.data("mnist_m/mnist_m_8000.npz"), allow_pickle=False) as held:
        parts.append(_each(held["x"], held["y"], _digits("colour"), TARGET))
    with np.load(study.data("mnist/mnist.npz"), allow_pickle=False) as held:
        grey = np.repeat(held["x_test"][..., None], 3, 3)
        parts.append(_each(grey, held["y_test"], _digits("grey"), TARGET))
    made = cifar.made(file.parent) / f".{file.name}"
    with made.open("wb") as written:
        np.savez(written, x=np.concatenate([p[0] for p in parts]), y=np.concatenate([p[1] for p in parts]))
    made.rename(file)
    return file


def _digits(colour: str) -> list[str]:
    return [f"{colour} {digit}" for digit in range(10)]


def _each(
    x: cifar.Pictures, y: np.ndarray, names: list[str], count: int
) -> tuple[cifar.Pictures, np.ndarray]:
    """The first pictures of every class, and the class's name of each; edges repeated up to 32 x 32."""
    places = np.concatenate([np.flatnonzero(y == label)[:count] for label in range(len(names))])
    edge = (32 - x.shape[1]) // 2
    wide = np.pad(x[places], ((0, 0), (edge, edge), (edge, edge), (0, 0)), mode="edge")
    return wide, np.array(names)[y[places].astype(int)]


def _told(file: Path, said: dict[str, list[str]]) -> list[str]:
    """Where the data lie, and which classes are in a split."""
    words = ["--data.init_args.path", os.path.relpath(file)]
    return words + [word for name, own in said.items() for word in (f"--data.init_args.{name}", str(own))]


def of_things(runs: Path) -> list[str]:
    """Pictures, and the published weights."""
    file = pictures(runs / "pictures.npz")
    said = {"train": cifar.held()[3], "val": _digits("grey"), "test": _digits("colour")}
    return [*_told(file, said), "--model.init_args.weights", study.shown(study.data(cifar.WEIGHTS))]


def of_intents(runs: Path) -> list[str]:
    """Sentences of all intents, divided by domain."""
    held: dict[str, Any] = json.loads(gzip.decompress(study.data("clinc150/clinc150.json.gz").read_bytes()))
    domains: dict[str, list[str]] = held["domains"]
    file = runs / "intents.csv"
    if not file.is_file():
        intents = {intent for own in domains.values() for intent in own}
        transfer_clinc150.write(file, held, ("train", "val", "test"), intents)
    rest = [name for name in domains if name not in (*CHOSEN, *JUDGED)]
    said = {"train": rest, "val": CHOSEN, "test": JUDGED}
    return _told(file, {part: [one for name in own for one in domains[name]] for part, own in said.items()})


NETS = {
    "resnet20": RealNet(
        CONFIGS / "real-nets.yaml",
        "results/real_nets",
        100,
        of_things,
        "The published ResNet-20 of CIFAR-10, 5-way 5-shot tasks of MNIST-M's digits ({tasks}), 10 queries a "
        "class, inductive; 10 steps, a fresh output layer. Scouts: 64, each 20 steps of SGD on 5 of "
        "CIFAR-10's classes, 5 pictures of each. Values are chosen on 8 tasks of MNIST's digits. {counted}",
    ),
    "minilm": RealNet(
        CONFIGS / "real-nets-minilm.yaml",
        "results/real_nets/minilm",
        60,
        of_intents,
        "MiniLM with LoRA of rank 4 at every linear layer, 15-way 1-shot tasks ({tasks}) of the 30 intents "
        "of CLINC150's domains banking and travel, 3 queries a class; 10 steps from an output layer of the "
        "class means. Scouts: 64, each 10 steps of SGD on 15 of the 90 intents of six other domains, two "
        "sentences of each; they move LoRA's weights alone, of which the mean, directions, priors and guides "
        "are. fine-tune moves LoRA's weights, all-weights MiniLM's own. Values are chosen on 8 tasks of the "
        "domains utility and work. {counted}",
    ),
}

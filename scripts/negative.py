"""When does adaptation harm? Label shift between two domains, made stronger step by step.

    METATL_DATA=<folder with mnist/ and usps/> python scripts/negative.py --out results/negative

MNIST with labels, USPS without (16 pixels, grey), the net of scripts/digits.py. The target's training images
are drawn so that a share s of them is of the digits 0 to 4 alone: s = 0 is every digit alike, s = 1 leaves
5 to 9 out. What a digit looks like stays. Judged on all test images of USPS, weighted to the same shares.
Rows that make domains alike stand beside those that make up for label shift, at fixed values (no label of
the target is read but to judge), and beside what `metatl shift` says of the same images.

Resumable, cell by cell; about 20 minutes of one idle core a seed. Pieces: --seeds 1, --strengths 0,1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import negative_table
import numpy as np
import study
import torch
from negative_domains import CLASSES, Drawn, drawn, priors, read, tested
from torch import Tensor
from tqdm import tqdm

from metatl.adapt import AcrossDomains, ClosedForm, LogisticRegression, head_net
from metatl.alignments import CORAL, Alignment, AsItIs, Reweighted
from metatl.data.streams import Domain, Stream
from metatl.engines import Loop
from metatl.lab import store
from metatl.learners import Supervised
from metatl.models import LeNet
from metatl.net import Net
from metatl.objectives import DANN, MMD, DeepCORAL, PseudoLabels, TaskLoss
from metatl.objectives.term import Term
from metatl.rules import SGD
from metatl.rules.schedule import InverseDecay
from metatl.shifts.targets import estimated
from metatl.train import train
from metatl.types import Batch, MetatlError, Transfer

STEPS, STRENGTHS = 1000, (0.0, 0.25, 0.5, 0.75, 1.0)
TERMS: dict[str, Term] = {
    "DANN": DANN(hidden=100),
    "Deep CORAL": DeepCORAL(weight=100.0),
    "MMD": MMD(),
    "pseudo-labels": PseudoLabels(),
}
"""As in configs/digits.yaml."""
ON_FEATURES: dict[str, Alignment] = {
    "refitted": AsItIs(),
    "CORAL": CORAL(),
    "weights by classifier": Reweighted(),
}
"""Logistic regression on the features of the source's net; refitted: as they are."""
FLOOR, SHIFTED = "source only", "label shift weights"
ROWS = (FLOOR, *TERMS, *ON_FEATURES, SHIFTED)


def learned(data: Any, terms: tuple[Term, ...], seed: int, steps: int) -> tuple[Net, Transfer]:
    """The schedule of scripts/digits.py in fewer steps."""
    torch.manual_seed(seed)
    net = Net.of(LeNet((1, 16, 16), CLASSES))
    streams: dict[str, Stream] = {"target": Domain(size=64)} if len(terms) > 1 else {}
    own = Supervised(steps, 64, SGD(0.01, 0.9), terms, InverseDecay(), streams=streams)
    return net, own.finish(net, train(own, net, Loop(), own.init(net, net.start()), data, seed))


def features(of: tuple[Net, Transfer], x: Tensor) -> Tensor:
    """[n, 100]."""
    with torch.no_grad():
        return of[0].features(of[1].params, of[1].buffers, x)


def named(of: tuple[Net, Transfer], x: Tensor) -> Tensor:
    """The digits that a net names."""
    with torch.no_grad():
        return of[0](of[1].params, of[1].buffers, x).argmax(-1)


def on_features(row: str, seen: Mapping[str, Tensor], y: Tensor, seed: int) -> Tensor:
    """Digits named by logistic regression on features of `source`, `target` for those of `test`."""
    net, transfer = head_net(seen["source"].shape[1], CLASSES)
    solver = ClosedForm(LogisticRegression(1e-3))
    if row == SHIFTED:
        draw = np.random.default_rng(seed)
        arrays = (seen["source"].double().numpy(), y.numpy(), CLASSES, seen["target"].double().numpy())
        weight = torch.from_numpy(estimated(*arrays, draw).weights)[y].float()
        support = Batch(seen["source"], y, weight * len(y) / weight.sum())
        return solver.predict(
            net, transfer, solver.fit(net, transfer, support), support, seen["test"]
        ).argmax(-1)
    way = AcrossDomains(ON_FEATURES[row], solver)
    streams = {"source": seen["source"], "unlabelled": seen["target"], "labelled": seen["target"][:0]}
    support = Batch(streams, {"source": y, "labelled": y[:0]})
    return way.predict(net, transfer, way.fit(net, transfer, support), support, seen["test"]).argmax(-1)


def cell(row: str, of: Drawn, floor: tuple[Net, Transfer], seed: int, steps: int) -> dict[str, Any]:
    """Whether each test image of the target is named rightly [n]."""
    if row == FLOOR:
        said = named(floor, of.test.x)
    elif row in TERMS:
        said = named(learned(of.data, (TaskLoss(), TERMS[row]), seed, steps), of.test.x)
    else:
        parts = {"source": of.source.x, "target": of.target.x, "test": of.test.x}
        said = on_features(row, {name: features(floor, x) for name, x in parts.items()}, of.source.y, seed)
    return {"right": (said == of.test.y).int().tolist()}


def kept(place: Path, make: Any) -> Any:
    """What an earlier command found there, or what is found now."""
    if not place.is_file():
        store.make_folder(place.parent)
        store.write_json(place, make())
    return store.read_json(place)


def floor_of(of: Drawn, seed: int, steps: int, runs: Path) -> tuple[Net, Transfer]:
    """The net of the source alone, learned once."""
    place = runs / f"source-{seed}.safetensors"
    if place.is_file():
        return Net.of(LeNet((1, 16, 16), CLASSES)), store.load_transfer(place)
    made = learned(of.data, (TaskLoss(),), seed, steps)
    store.save_transfer(place, made[1])
    return made


def main() -> None:
    parser = study.parser("When adaptation harms.", "results/negative", "runs/negative")
    parser.add_argument("--seeds", type=study.count, default=3, help="nets and draws, seeds 0, 1, ... [3]")
    parser.add_argument("--share", type=study.share, default=1.0, help=f"of the {STEPS} steps [1]")
    parser.add_argument("--strengths", help="of the shift, 0 to 1, with commas; 0,0.25,0.5,0.75,1 by default")
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    steps, strengths = max(1, round(given.share * STEPS)), STRENGTHS
    if given.strengths is not None:
        strengths = tuple(study.share(word) if word != "0" else 0.0 for word in given.strengths.split(","))
    if max(strengths) > 1:
        raise MetatlError(f"a strength of {max(strengths):g} leaves no digit; give shares from 0 to 1")
    runs, domains = Path(given.runs) / f"steps{steps}", read()
    store.make_folder(runs)
    right, verdicts = dict[str, dict[float, list[Any]]](), dict[float, list[Any]]()
    for seed, strength in (bar := tqdm([(s, one) for one in strengths for s in range(given.seeds)])):
        of = drawn(domains, strength, seed)
        floor = floor_of(of, seed, steps, runs)
        for row in ROWS:
            bar.set_description(f"strength {strength:g}, seed {seed}, {row}")
            name = f"{row.replace(' ', '-')}-{strength:g}-{seed}.json"
            found = kept(
                runs / name, lambda row=row, of=of, floor=floor, s=seed: cell(row, of, floor, s, steps)
            )
            right.setdefault(row, {}).setdefault(strength, []).append(np.array(found["right"], float))
        said = kept(runs / f"shift-{strength:g}-{seed}.json", lambda of=of, s=seed: tested(of, s))
        verdicts.setdefault(strength, []).append(said)
        if seed + 1 == given.seeds:
            shares = {one: priors(one) for one in verdicts}
            y = domains["usps"]["test"].y.numpy()
            negative_table.write(Path(given.out), right, verdicts, shares, y, steps)


if __name__ == "__main__":
    study.command(main)

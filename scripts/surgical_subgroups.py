"""The same labels, other members: a net that tells three animals from two vehicles meets the other five.

ResNet-20 learns on cats, dogs and frogs beside automobiles and trucks, under the two names `animal` and
`vehicle` (configs/parameter-transfer/pretrain.yaml, 1,000 pictures of each class), and goes to birds, deer
and horses beside airplanes and ships under the same two names: the feature-level shift of Lee et al. 2023
(Living-17, Entity-30), made of CIFAR-10.
"""

from __future__ import annotations

from pathlib import Path

import cifar
import numpy as np
import study

from metatl.lab import config
from metatl.lab.run import learn, prepare

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "parameter-transfer" / "pretrain.yaml"
NET = "scripts.cifar_net.ResNet20"
LEARNED = {"animal": ("cat", "dog", "frog"), "vehicle": ("automobile", "truck")}
MET = {"animal": ("bird", "deer", "horse"), "vehicle": ("airplane", "ship")}
STEPS, EACH = 1200, 60
"""Of the net; pictures of each class that the net does not know and that may be labelled."""


def _groups(members: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {one: group for group, of in members.items() for one in of}


def net(runs: Path) -> str:
    """The net that knows one half of the members, as --net has it; learned where it is not there yet."""
    file = runs / "subgroups.npz"
    if not file.is_file():
        x, y, test, names = cifar.held()
        learned, met = _groups(LEARNED), {one: f"other-{group}" for one, group in _groups(MET).items()}
        places = [np.flatnonzero((y == names.index(one)) & ~test) for one in learned]
        places += [np.flatnonzero((y == names.index(one)) & ~test)[:EACH] for one in met]
        held = np.concatenate(places)
        said = {**learned, **met}
        made = cifar.made(runs) / ".subgroups.npz"
        np.savez(made, x=x[held], y=np.array([said[names[label]] for label in y[held]]))
        made.rename(file)
    words = ["--runs", str(runs / "nets"), "--seed", "0", "--data.init_args.path", study.shown(file)]
    words += ["--data.init_args.train", str(list(LEARNED))]
    words += ["--data.init_args.test", str([f"other-{group}" for group in MET])]
    words += ["--learner.init_args.steps", str(STEPS)]
    run = prepare(config.load(CONFIG, words), words)
    learn(run)
    return f"{NET}@{study.shown(run.folder)}"


def problem(folder: Path) -> Path:
    """The other half under the same names: so many of each class may be labelled, the test part judges."""
    x, y, test, names = cifar.held()
    met = _groups(MET)
    places = [np.flatnonzero((y == names.index(one)) & ~test)[:EACH] for one in met]
    places += [np.flatnonzero((y == names.index(one)) & test) for one in met]
    held = np.concatenate(places)
    cifar.write(folder, x[held], [met[names[label]] for label in y[held]], test[held])
    return folder

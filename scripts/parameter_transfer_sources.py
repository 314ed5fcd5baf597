"""How diverse a source has to be: nets that learn on as many pictures of 2, 4 or 8 of CIFAR-10's classes.

A split sets two classes aside, which are the target, and orders the eight others; a source holds the first 2,
4 or all 8 of them, 1,800 pictures in all. ResNet-20 learns on each from the same random weights with the same
number of steps (configs/parameter-transfer/pretrain.yaml), and goes to the target: 100 pictures of either
class may be labelled, 200 others judge. lp-ft has, for each source and split, the rate that reads best on the
targets of the other splits. `random` is the control: the same weights before they learn anything, with the
running moments of the 8 classes' pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cifar
import numpy as np
import study
import tuned_rates
from tqdm import tqdm

from metatl.lab import config, store
from metatl.lab.run import Run, learn, prepare

ROOT = Path(__file__).resolve().parent
CONFIG = ROOT.parent / "configs" / "parameter-transfer" / "pretrain.yaml"
NET = "scripts.cifar_net.ResNet20"
HEADS, RATES = (
    ("nearest-centroid", "logistic-regression"),
    {"lp-ft": ("1.0e-4", "3.0e-4", "1.0e-3", "3.0e-3")},
)
"""Rows on frozen features; rates that are tried of the row that moves the body."""
CLASSES, PICTURES, STEPS, MOMENTS = (2, 4, 8), 1800, 360, 40
"""Of a source: numbers of classes, pictures in all, steps; steps in which a random net takes its moments."""
RANDOM = "random"
SOURCES = (*map(str, CLASSES), RANDOM)
LABELLED, DRAWS, MINUTES = (1, 5, 20), 5, 6.0
"""Minutes are the most that a net may take; all of its draws have to be done, or it is left out."""
EACH, JUDGED, SPLITS = 100, 200, 5
Named = tuple[list[str], list[str]]
"""The target's classes, and those of the sources in order."""
Row = dict[str, Any]
"""Of a report: split, source, method, labelled, draws, score."""


def splits(text: str) -> int:
    """A number of pairs of classes."""
    if (found := study.count(text)) > SPLITS:
        raise argparse.ArgumentTypeError(f"{text!r}: ten classes make {SPLITS} pairs")
    return found


def split(place: int, names: list[str]) -> Named:
    """Pairs of targets share no class; the others lie in an order of the split's own."""
    order = np.random.default_rng(0).permutation(len(names))
    target = order[2 * place : 2 * place + 2]
    rest = np.random.default_rng([1, place]).permutation(np.setdiff1d(order, target))
    return [names[i] for i in target], [names[i] for i in rest]


def source(folder: Path, named: Named, classes: int) -> Path:
    """So many pictures of each class, and the target's that may be labelled, as an npz file."""
    file = folder / f"{classes}.npz"
    if not file.is_file():
        x, y, test, names = cifar.held()
        (target, others), count = named, PICTURES // classes
        each = {**dict.fromkeys(others[:classes], count), **dict.fromkeys(target, EACH)}
        places = [np.flatnonzero((y == names.index(name)) & ~test)[:n] for name, n in each.items()]
        held = np.concatenate(places)
        made = cifar.made(folder) / f".{classes}.npz"
        np.savez(made, x=x[held], y=np.array(names)[y[held]])
        made.rename(file)
    return file


def ready(runs: Path, place: int, name: str, named: Named, steps: int) -> Run:
    """The run of a source; the control's rate is 0."""
    classes = CLASSES[-1] if name == RANDOM else int(name)
    file = source(runs / "sources" / f"split-{place}", named, classes)
    words = ["--runs", str(runs / "nets"), "--seed", str(place), "--data.init_args.path", study.shown(file)]
    words += ["--data.init_args.train", str(named[1][:classes]), "--data.init_args.test", str(named[0])]
    words += ["--learner.init_args.steps", str(min(steps, MOMENTS) if name == RANDOM else steps)]
    words += ["--learner.init_args.rule.init_args.lr", "0"] if name == RANDOM else []
    return prepare(config.load(CONFIG, words), words)


def target(folder: Path, named: Named) -> Path:
    """The two classes as a problem: the first pictures of either may be labelled, the next ones judge."""
    x, y, _, names = cifar.held()
    own = [np.flatnonzero(y == names.index(name))[: EACH + JUDGED] for name in named[0]]
    judged = np.tile(np.arange(EACH + JUDGED) >= EACH, len(own))
    places = np.concatenate(own)
    cifar.write(folder, x[places], [names[label] for label in y[places]], judged)
    return folder


def measured(runs: Path, out: Path, count: int, share: float, minutes: float) -> None:
    """Learn on every source, transfer, and keep every number in one report."""
    names, steps = cifar.held()[3], max(1, round(share * STEPS))
    own = ",".join([*HEADS, *tuned_rates.configs(runs / "rates", RATES)])
    rows, told = list[Row](), list[Row]()
    for place in range(count):
        named = split(place, names)
        told.append({"split": place, "target": named[0], "source": named[1]})
        problem = target(runs / "targets" / f"split-{place}", named)
        for name in tqdm(SOURCES, desc=f"split {place}"):
            run = ready(runs, place, name, named, steps)
            seconds = learn(run)[1]
            done = runs / "transfer" / f"split-{place}" / name
            words = [study.shown(problem), "--net", f"{NET}@{study.shown(run.folder)}"]
            words += ["--labelled", ",".join(map(str, LABELLED)), "--draws", str(DRAWS)]
            words += ["--methods", own, "--save", HEADS[-1]]  # no minutes to choose another model
            study.transfer([*words, "--minutes", f"{minutes * MINUTES:g}", "--out", str(done)])
            report = store.read_json(done / "report.json")
            rows += [
                {"split": place, "source": name, "seconds": round(seconds, 1), **kept(row)}
                for row in report["rows"]
            ]
    facts = {"pictures": PICTURES, "steps": steps, "judging": 2 * JUDGED, "draws": DRAWS, "splits": told}
    store.write_json(out / "report.json", {**facts, "rows": tuned(rows), "tried": rows})


def tuned(rows: Sequence[Row]) -> list[Row]:
    """The rows on frozen features, and those at the rate that is best over the other splits, by source.

    There is none of these where another split has no score at some rate and number of labels.
    """
    found = [row for row in rows if row["method"] in HEADS]
    pairs = dict.fromkeys((row["source"], row["split"]) for row in rows)
    wanted = len(LABELLED) * (len({place for _, place in pairs}) - 1)
    for base, rates in RATES.items():
        names = [f"{base}-{rate}" for rate in rates]
        for source, place in pairs:
            held = {
                name: [row for row in rows if (row["method"], row["source"]) == (name, source)]
                for name in names
            }
            others = {
                name: [row["score"] for row in some if row["split"] != place] for name, some in held.items()
            }
            if not wanted or any(len(scores) < wanted or None in scores for scores in others.values()):
                continue
            best = max(names, key=lambda name: np.mean(others[name]))
            own = [row for row in held[best] if row["split"] == place]
            found += [{**row, "method": f"{base}{tuned_rates.TUNED}", "rate": best} for row in own]
    return found


def kept(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is read of a report's row."""
    return {key: row[key] for key in ("method", "labelled", "draws", "score")}

"""People of HAPT as domains: adaptation without a label beside personalisation with 1 and 5 windows.

    METATL_DATA=<folder with hapt/> python scripts/sensors.py --out results/sensors

A net of 20 people's labelled windows meets a new person: it has all windows of one of the two recordings
without labels (AdaBN, DANN, Deep CORAL, CORAL on its features), or 1 or 5 labelled windows of each activity
of that recording (fine-tuning), and is judged on the other recording; both ways round. 25 people are judged,
each by nets that did not learn from them; the other five, of whom no net learns, choose every row's values
with their labels and are not judged. Writes table.md, report.json and plot.png: means, gains over the source
alone, and who is harmed.

Resumable, person by person; one idle core: 20 minutes to choose values, then 1.5 minutes a person and seed
(--seeds 1: an hour in all). Pieces: --people 1,2,3 judges these alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sensors_table
import study
import torch
from sensors_net import Trained, base, learned
from sensors_people import ACTIVITIES, PEOPLE, TUNED_ON, Source, Windows, folds, read, source_of
from torch import Tensor
from tqdm import tqdm

from metatl.adapt import AcrossDomains, ClosedForm, Descent, LogisticRegression, head_net
from metatl.alignments import CORAL, AsItIs
from metatl.heads import Learned
from metatl.lab import store
from metatl.objectives import DANN, DeepCORAL, TaskLoss
from metatl.rules import Adam
from metatl.types import Batch, MetatlError

STEPS, DRAWS = 800, 5
RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3)
VALUES: dict[str, tuple[float, ...]] = {
    "source only": (0.0,),
    "AdaBN": (0.0,),
    "refitted": (0.0,),
    "CORAL": (0.1, 1.0, 10.0, 100.0),
    "DANN": (0.1, 0.3, 1.0),
    "Deep CORAL": (1.0, 10.0, 100.0),
    "1 window": RATES,
    "5 windows": RATES,
    "5 windows, AdaBN": RATES,
}
"""Rows, and what they choose among: regularisation, weight of the term, rate; 0 for nothing."""
SHOTS = {"1 window": 1, "5 windows": 5, "5 windows, AdaBN": 5}
LEARNED = {"DANN": DANN, "Deep CORAL": DeepCORAL}
"""Terms that align features while the net learns."""


def coral(trained: Trained, source: Source, target: Tensor, x: Tensor, regularisation: float) -> Tensor:
    """Logistic regression on the source net's features, as they are (0) or with the target's covariance."""
    with torch.no_grad():
        some = torch.randperm(len(source.x), generator=torch.Generator().manual_seed(0))[:2000]
        parts = (source.x[some], target, x)
        features = [
            trained.net.features(trained.transfer.params, trained.transfer.buffers, one) for one in parts
        ]
    net, transfer = head_net(features[0].shape[1], ACTIVITIES)
    alignment = CORAL(regularisation) if regularisation else AsItIs()
    way = AcrossDomains(alignment, ClosedForm(LogisticRegression(1e-3)))
    streams = {"source": features[0], "unlabelled": features[1], "labelled": features[1][:0]}
    support = Batch(streams, {"source": source.y[some], "labelled": source.y[:0]})
    return way.predict(net, transfer, way.fit(net, transfer, support), support, features[2]).argmax(-1)


def personal(row: str, trained: Trained, given: Windows, judged: Windows, rate: float, draw: int) -> Tensor:
    """Fine-tuned on so many labelled windows of each activity."""
    drawn = np.random.default_rng([draw, SHOTS[row]])
    places = [
        drawn.permutation(np.flatnonzero(given.y.numpy() == c))[: SHOTS[row]] for c in range(ACTIVITIES)
    ]
    at = torch.from_numpy(np.stack(places, 1).reshape(-1))  # round by round over the activities
    way = Descent(Adam(rate), 10, Learned(), batch_size=12, moments="support")
    params = way.fit(trained.net, trained.transfer, Batch(given.x[at], given.y[at]))
    return trained.says(judged.x, given.x if row.endswith("AdaBN") else given.x[at], params)


def answered(
    row: str, value: float, trained: Trained, source: Source, ways: Any, seed: int, steps: int
) -> list[float]:
    """Accuracies, percent: by direction, and by draw where labelled windows are drawn."""
    found = list[float]()
    for given, judged in ways:
        if row in SHOTS:
            said = [personal(row, trained, given, judged, value, draw) for draw in range(DRAWS)]
        elif row in LEARNED:
            own = learned(source, given.x, (TaskLoss(), LEARNED[row](value)), seed, steps)
            said = [own.says(judged.x, given.x)]
        elif row in ("CORAL", "refitted"):
            said = [coral(trained, source, given.x, judged.x, value)]
        else:
            said = [trained.says(judged.x, given.x if row == "AdaBN" else None)]
        found.append(100 * float(np.mean([(one == judged.y).double().mean() for one in said])))
    return found


def kept(place: Path, make: Any) -> Any:
    """What an earlier command found there, or what is found now."""
    if not place.is_file():
        store.make_folder(place.parent)
        store.write_json(place, make())
    return store.read_json(place)


def chosen(people: Mapping[int, Any], steps: int, runs: Path) -> dict[str, float]:
    """Of every row the value with the best mean over the five people, with the net of the first fold."""
    source = source_of(people, folds()[0])
    trained, mean = base(source, 0, 0, steps, runs), dict[str, float]()
    for row, values in VALUES.items():
        scores = list[float]()
        for value in values if len(values) > 1 else ():
            each = [
                kept(
                    runs
                    / f"tuning-{steps}"
                    / f"{row.replace(' ', '-').replace(',', '')}-{value:g}-{person}.json",
                    lambda row=row, value=value, person=person: answered(
                        row, value, trained, source, source.ways(people[person]), 0, steps
                    ),
                )
                for person in TUNED_ON
            ]
            scores.append(float(np.mean(each)))
        mean[row] = values[int(np.argmax(scores))] if scores else next(iter(values))
    return mean


def main() -> None:
    parser = study.parser("People of HAPT as domains.", "results/sensors", "runs/sensors")
    parser.add_argument("--seeds", type=study.count, default=1, help="nets of each fold, seeds 0, 1, ... [1]")
    parser.add_argument("--share", type=study.share, default=1.0, help=f"of the {STEPS} steps [1]")
    parser.add_argument("--people", help="of those who are judged these alone, with commas between them")
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    steps, runs = max(1, round(given.share * STEPS)), Path(given.runs)
    names = [str(person) for person in PEOPLE] if given.people is None else given.people.split(",")
    if strange := sorted({*names} - {str(person) for person in PEOPLE}):
        raise MetatlError(f"{strange[0]!r} is nobody who is judged; there are {', '.join(map(str, PEOPLE))}")
    wanted = {int(name) for name in names}
    store.make_folder(runs)
    people = read()
    values = chosen(people, steps, runs)
    found = dict[int, dict[str, float]]()
    work = [(fold, person) for fold, own in enumerate(folds()) for person in own if person in wanted]
    for fold, person in tqdm(work):
        each = list[Any]()
        for seed in range(given.seeds):

            def made(fold: int = fold, person: int = person, seed: int = seed) -> dict[str, list[float]]:
                source = source_of(people, folds()[fold])
                trained, ways = base(source, fold, seed, steps, runs), source.ways(people[person])
                return {
                    row: answered(row, v, trained, source, ways, seed, steps) for row, v in values.items()
                }

            each.append(kept(runs / f"judged-{steps}" / f"{person}-{seed}.json", made))
        found[person] = {row: float(np.mean([one[row] for one in each])) for row in VALUES}
        if len(found) > 1:
            sensors_table.write(Path(given.out), found, values, given.seeds, steps)


if __name__ == "__main__":
    study.command(main)

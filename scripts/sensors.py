"""People of HAPT as domains: adaptation without a label beside personalisation with 1 and 5 windows.

    METATL_DATA=<folder with hapt/> python scripts/sensors.py --out results/sensors

A net of 20 people's labelled windows meets a new person: it has all windows of one of the two recordings
without labels (AdaBN, DANN, Deep CORAL, CORAL on its features), or 1 or 5 labelled windows of each activity
of that recording (fine-tuning; or beside the source's windows in a logistic regression on features), and is
judged on the other recording; both ways round. 25 people are judged, each by nets that did not learn from
them; the other five, of whom no net learns, choose every row's values with their labels and are not judged.
Writes table.md, report.json and plot.png: means, gains over the source alone, and who is harmed.

Resumable, row by row and person by person; one core: 20 minutes to choose values, then 1.5 minutes a person
and seed (--seeds 1: an hour in all). Pieces: --people 1,2,3 judges these alone.
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
from metatl.alignments import CORAL, Alignment, AsItIs, Pooled
from metatl.heads import Learned
from metatl.lab import store
from metatl.objectives import DANN, DeepCORAL, TaskLoss
from metatl.rules import Adam
from metatl.types import Batch, MetatlError

STEPS, DRAWS = 800, 5
RATES, WEIGHTS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3), (1.0, 10.0, 100.0, 1e3, 1e4)
VALUES: dict[str, tuple[float, ...]] = {
    "source only": (0.0,),
    "AdaBN": (0.0,),
    "refitted": (0.0,),
    "CORAL": (0.1, 1.0, 10.0, 100.0),
    "DANN": (0.1, 0.3, 1.0),
    "Deep CORAL": (1.0, 10.0, 100.0),
    "1 window": RATES,
    "1 window, source's moments": RATES,
    "1 window, refitted": WEIGHTS,
    "5 windows": RATES,
    "5 windows, source's moments": RATES,
    "5 windows, AdaBN": RATES,
    "5 windows, refitted": WEIGHTS,
}
"""Rows, and what they choose among: regularisation, weight of the term or of a row, rate; 0 for nothing."""
LEARNED = {"DANN": DANN, "Deep CORAL": DeepCORAL}
"""Terms that align features while the net learns."""


def refitted(
    trained: Trained,
    source: Source,
    target: Tensor,
    x: Tensor,
    alignment: Alignment,
    own: Batch,
    weight: float,
) -> Tensor:
    """Logistic regression on the source net's features, after an alignment.

    target: windows without labels; own: those with labels, which count as `weight` of the source's.
    """
    with torch.no_grad():
        some = torch.randperm(len(source.x), generator=torch.Generator().manual_seed(0))[:2000]
        params, buffers = trained.transfer.params, trained.transfer.buffers
        parts = (source.x[some], target, own.x, x)
        features = [trained.net.features(params, buffers, one) for one in parts]
    net, transfer = head_net(features[0].shape[1], ACTIVITIES)
    way = AcrossDomains(alignment, ClosedForm(LogisticRegression(1e-3)), weight)
    streams = {"source": features[0], "unlabelled": features[1], "labelled": features[2]}
    support = Batch(streams, {"source": source.y[some], "labelled": own.y})
    return way.predict(net, transfer, way.fit(net, transfer, support), support, features[3]).argmax(-1)


def personal(
    row: str, trained: Trained, source: Source, given: Windows, judged: Windows, value: float, draw: int
) -> Tensor:
    """By so many labelled windows of each activity: fine-tuned, or beside the source's windows."""
    shot = int(row.split(maxsplit=1)[0])
    drawn = np.random.default_rng([draw, shot])
    places = [drawn.permutation(np.flatnonzero(given.y.numpy() == c))[:shot] for c in range(ACTIVITIES)]
    at = torch.from_numpy(np.stack(places, 1).reshape(-1))  # round by round over the activities
    own = Batch(given.x[at], given.y[at])
    if row.endswith("refitted"):
        return refitted(trained, source, given.x, judged.x, Pooled(), own, value)
    frozen = row.endswith("source's moments")
    way = Descent(Adam(value), 10, Learned(), batch_size=12, moments="frozen" if frozen else "support")
    params = way.fit(trained.net, trained.transfer, own)
    around = given.x if row.endswith("AdaBN") else own.x
    return trained.says(judged.x, None if frozen else around, params)


def answered(
    row: str, value: float, trained: Trained, source: Source, ways: Any, seed: int, steps: int
) -> list[float]:
    """Accuracies, percent: by direction, and by draw where labelled windows are drawn."""
    found = list[float]()
    for given, judged in ways:
        if "window" in row:
            said = [personal(row, trained, source, given, judged, value, draw) for draw in range(DRAWS)]
        elif row in LEARNED:
            own = learned(source, given.x, (TaskLoss(), LEARNED[row](value)), seed, steps)
            said = [own.says(judged.x, given.x)]
        elif row in ("CORAL", "refitted"):
            alignment = CORAL(value) if row == "CORAL" else AsItIs()
            none = Batch(given.x[:0], given.y[:0])
            said = [refitted(trained, source, given.x, judged.x, alignment, none, 1.0)]
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


def file(row: str, value: float, *parts: int) -> str:
    """The name of a cell."""
    plain = row.replace(" ", "-").replace(",", "").replace("'", "")
    return "-".join([plain, f"{value:g}", *map(str, parts)]) + ".json"


def chosen(people: Mapping[int, Any], steps: int, runs: Path) -> dict[str, float]:
    """Of every row the value with the best mean over the five people, with the net of the first fold."""
    source = source_of(people, folds()[0])
    trained, mean = base(source, 0, 0, steps, runs), dict[str, float]()
    for row, values in VALUES.items():
        scores = list[float]()
        for value in values if len(values) > 1 else ():
            each = [
                kept(
                    runs / f"tuning-{steps}" / file(row, value, person),
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
        each: dict[str, list[Any]] = {row: [] for row in VALUES}
        for seed in range(given.seeds):
            source = source_of(people, folds()[fold])
            trained, ways = base(source, fold, seed, steps, runs), source.ways(people[person])
            for row, v in values.items():
                each[row].append(
                    kept(
                        runs / f"judged-{steps}" / file(row, v, person, seed),
                        lambda row=row, v=v, t=trained, s=source, w=ways, seed=seed: answered(
                            row, v, t, s, w, seed, steps
                        ),
                    )
                )
        found[person] = {row: float(np.mean(own)) for row, own in each.items()}
        if len(found) > 1:
            sensors_table.write(Path(given.out), found, values, VALUES, given.seeds, steps)


if __name__ == "__main__":
    study.command(main)

"""What a run says of single rows, for its page: of the first episodes all queries, the surest mistakes."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from metatl import processes
from metatl.adapt import Adaptation
from metatl.engines.engine import task
from metatl.evaluation.predicted import Predicted, predicted, surest
from metatl.lab import store
from metatl.lab.render import html
from metatl.lab.render.reports import MOST, Mistake
from metatl.lab.run.folder import evaluation
from metatl.lab.run.prepare import Run
from metatl.types import Transfer

FILE = "predicted.json"
_TRIED = 4 * MOST
"""Mistakes that are looked at, so that work is bounded where many are of the same few rows."""
Names = list[tuple[str, ...]]


def note_predictions(run: Run, transfer: Transfer, adaptation: Adaptation, folder: Path) -> None:
    """Write what is said of single rows, for confusion, calibration and the surest mistakes.

    Every process of a job calls it. Nothing is written where rows have no class each.
    """
    asked, tested = run.experiment.evaluation, run.tested
    found = None
    if tested.kind == "classification":
        found = predicted(run.net, transfer, adaptation, tested, asked, run.engine)
    if not processes.writer():
        return
    if found is None:
        store.remove(folder / FILE)
        return
    names = _names(run, found.episodes)
    said: dict[str, Any] = {"evaluation": evaluation(run), "episodes": found.episodes, "classes": None}
    said |= {"probability": found.probability.round(4).tolist()}
    said |= {"named": found.named.tolist(), "true": found.true.tolist()}
    if names is not None:
        said["classes"] = list(dict.fromkeys(name for own in names for name in own))
        place = {name: at for at, name in enumerate(said["classes"])}
        for key, own in (("named", found.named), ("true", found.true)):
            said[key] = [
                place[names[e][c]] for e, c in zip(found.episode.tolist(), own.tolist(), strict=True)
            ]
    store.write_json(folder / FILE, {**said, "mistakes": [*_mistakes(run, found, names)]})


def _names(run: Run, episodes: int) -> Names | None:
    """Of the classes of each of the first episodes; None where they have none, or two of one name."""
    tested, asked = run.tested, run.experiment.evaluation
    found: Names = []
    for index in range(episodes):
        own = tested.class_names("meta_test", asked.tasks, asked.seed, index)
        if own is None or len({*own}) < len(own):
            return None
        found.append(own)
    return found


def _mistakes(run: Run, found: Predicted, names: Names | None) -> Iterator[dict[str, Any]]:
    """The surest mistakes with their inputs, which are drawn once more; none where inputs are no tensor.

    An input that is the same in several episodes counts once.
    """
    asked, tested, seen = run.experiment.evaluation, run.tested, set[bytes]()
    for at in surest(found.named != found.true, found.probability)[:_TRIED].tolist():
        index = int(found.episode[at])
        query = task(tested.draw("meta_test", asked.tasks, asked.seed, index, 1), 0).query
        if not isinstance(query.x, Tensor) or len(seen) == MOST:
            return
        x = query.x[int(found.row[at])].detach().cpu().contiguous()
        if (content := x.numpy().tobytes()) in seen:
            continue
        seen.add(content)
        shown, own = html.small(tested.shown(x)), names[index] if names else None
        yield {
            "episode": index,
            "named": _called(found.named, at, own),
            "true": _called(found.true, at, own),
            "probability": round(float(found.probability[at]), 4),
            "shown": {"file": base64.b64encode(shown).decode()} if isinstance(shown, bytes) else shown,
        }


def _called(classes: NDArray[np.int64], at: int, names: tuple[str, ...] | None) -> str:
    return names[int(classes[at])] if names else f"class {int(classes[at])}"


def mistakes(said: Mapping[str, Any]) -> list[Mistake]:
    """Those that a file holds; ValueError and the like for what is no such file."""
    return [
        Mistake(
            _input(one["shown"]), one["named"], one["probability"], one["true"], f"episode {one['episode']}"
        )
        for one in said.get("mistakes") or []
    ]


def _input(shown: Any) -> html.Shown:
    if isinstance(shown, Mapping):
        return base64.b64decode(cast(Mapping[str, str], shown)["file"], validate=True)
    return shown

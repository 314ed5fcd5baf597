"""Every way of transferring on nets that are learned on windows and on recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from metatl.data.examples import Examples
from metatl.data.recordings import recording_examples
from metatl.data.table_rows import table_examples
from metatl.transferring.applicable import applicable
from metatl.transferring.backbone import Backbone
from metatl.transferring.budget import Budget
from metatl.transferring.fit import fit
from metatl.transferring.learned import learn
from metatl.transferring.learning import Learning
from metatl.transferring.pretraining import learned_on
from metatl.transferring.problem import Problem, read_problem
from metatl.transferring.rows import rows, scaled
from metatl.transferring.source import source_rows
from metatl.transferring.study import Study

pytest.importorskip("sklearn")
FROM_SOURCE = {"maml", "prototypes", "gtl", "gtl-permuted", "gtl-layer-mean", "gtl-constant"}
MOVED = {"no-transfer", "fine-tuning", "lp-ft", "head-only", "l2-sp", "kl-anchor", "fish", *FROM_SOURCE}
AT = np.arange(32)


def windows(seed: int, count: int) -> Examples:
    """Two waves, one behind the other, whose order says the class; channels have units of their own."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 4
    phase = rng.uniform(0, 6, (2, count, 1))
    fast, slow = np.sin(0.9 * AT + phase[0]), np.sin(0.3 * AT + phase[1])
    first, second = np.where(y[:, None] % 2, fast, slow), np.where(y[:, None] // 2, fast, slow)
    wave = np.where(AT < 16, first, second) + 0.2 * rng.normal(size=(count, 32))
    x = np.stack([1000 + 40 * wave, -7 - wave], 1)
    return table_examples({"x": x, "y": np.array(["ss", "fs", "sf", "ff"])[y]}, "y")[0]


def recordings(folder: Path, seed: int, count: int) -> Examples:
    """Tones of four pitches, two of which rise."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        at = np.arange(int(1600 * rng.uniform(0.8, 1.2))) / 8000
        pitch = (500, 1500)[i % 2] * rng.uniform(0.9, 1.1) * (1 + (i % 4 // 2) * 4 * at)
        sound = rng.uniform(0.1, 0.8) * np.sin(2 * np.pi * np.cumsum(pitch) / 8000)
        file = folder / f"class {i % 4}" / f"{i}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        wavfile.write(file, 8000, (2**14 * sound).astype(np.int16))
    return recording_examples(folder)


@pytest.fixture(scope="module", params=["window", "recording"])
def learned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, own_cache: None
) -> tuple[Problem, Backbone, Study]:
    place = tmp_path_factory.mktemp("ways")
    if request.param == "window":
        source, mine = windows(0, 160), windows(1, 40)
    else:
        source, mine = recordings(place / "theirs", 0, 96), recordings(place / "mine", 1, 32)
    net, _ = learned_on(source, mine, 0)
    problem = read_problem(mine, net, 0)
    kept, _ = applicable({name: scaled(row, 10.0, 2.0) for name, row in rows().items()}, (), net, problem)
    work = Learning(net, source_rows(source, problem), place / "o", Budget(600.0), 0)
    study = Study(problem, net, kept, [2], 1, learned=learn(kept, problem, work))
    return problem, net, study


def test_a_net_of_signals_has_the_rows_of_tables(learned: tuple[Problem, Backbone, Study]) -> None:
    _, _, study = learned
    assert {*study.rows} >= MOVED | {"logistic-regression", "logistic-on-columns", "extra-trees"}
    assert {*study.learned} == FROM_SOURCE


@pytest.mark.parametrize("name", sorted(MOVED | {"logistic-regression"}))
def test_every_way_learns_from_a_few_rows(name: str, learned: tuple[Problem, Backbone, Study]) -> None:
    problem, net, study = learned
    part = problem.task.draw(2, 0)
    labelled, rest, _ = study.given(name, part, 0)
    fitted = fit(study.rows[name], study.start(name), labelled)
    outputs = fitted.outputs(rest.features, rest.rows)
    right = float((outputs.argmax(-1) == rest.y).float().mean())
    assert bool(outputs.isfinite().all())
    assert right > (0.2 if name == "no-transfer" else 0.6), right
    if fitted.body is not None and name not in ("head-only", "fish"):
        start: Any = net.module.state_dict()
        moved = [n for n, leaf in fitted.body.named_parameters() if not torch.equal(leaf, start[n])]
        assert moved


def test_a_learned_net_repeats_itself(learned: tuple[Problem, Backbone, Study]) -> None:
    problem, net, _ = learned
    if problem.unit == "window":
        again, _ = learned_on(windows(0, 160), windows(1, 40), 0)
        other, _ = learned_on(windows(0, 160), windows(1, 40), 1)
        assert again.key == net.key
        assert other.key != net.key

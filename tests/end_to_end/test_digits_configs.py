"""The configs of configs/digits.yaml on small made files: every row is whole, and one of each kind runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metatl.lab import config, grids, store
from metatl.lab.run import prepare
from tests.commands import metatl, only

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "digits.yaml"
ROWS = sorted(path.name for path in grids.configs(CONFIGS))
FEW = ["--evaluation.episodes", "2"]


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files of the names that the configs read, and options for runs on them."""
    rng, y = np.random.default_rng(0), np.arange(1000) % 10
    grey, colour = (rng.integers(0, 256, (1000, 14, 14, *more), np.uint8) for more in ((), (3,)))
    for folder in ("mnist", "mnist_m"):
        (tmp_path / folder).mkdir()
    np.savez(tmp_path / "mnist/mnist.npz", x_train=grey, y_train=y, x_test=grey[:30], y_test=y[:30])
    np.savez(tmp_path / "mnist_m/mnist_m_8000.npz", x=colour, y=y, split=np.arange(1000) % 20 // 10)
    monkeypatch.setenv("METATL_DATA", str(tmp_path))
    return ["--runs", str(tmp_path / "runs"), "--data.init_args.size", "16", *FEW]


@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_whole(row: str, words: list[str]) -> None:
    run = prepare(config.load(CONFIGS / row, words), words)
    assert run.experiment.learner.steps == (0 if row in ("adabn", "tent") else 2000)
    assert "labels" not in run.data.describe()["unlabelled"]


def test_an_adversary_runs_and_a_domain_without_a_file_is_refused(words: list[str], tmp_path: Path) -> None:
    words = [*words, "--learner.init_args.steps", "2", "--learner.init_args.batch_size", "8"]
    found = metatl("run", CONFIGS / "dann", *words)
    assert found.code == 0, found
    assert (
        store.load_transfer(only(tmp_path / "runs") / "transfer.safetensors").params["head.weight"].shape[0]
        == 10
    )
    refused = metatl("run", CONFIGS / "dann", *words, "--data.init_args.target", "uspss")
    assert refused.code == 2
    assert "nearest: usps" in " ".join(refused.lines)

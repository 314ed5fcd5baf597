"""The episodes of configs/clinc.yaml: intents of other domains, ProtoNet and MAML through LoRA, tiny."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from metatl.lab import config, store
from tests import tiny_texts
from tests.commands import metatl, only

pytest.importorskip("transformers")
pytestmark = pytest.mark.data
CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "clinc.yaml"
FEW = ["--learner.steps", "2", "--evaluation.episodes", "3", "--evaluation.select_episodes", "1"]


@pytest.fixture(scope="module")
def place(data_root: Path, tmp_path_factory: pytest.TempPathFactory, own_cache: None) -> Path:
    """Eight sentences of every intent, as the script's table has them, and a tiny net."""
    folder = tmp_path_factory.mktemp("clinc")
    held = json.loads(gzip.decompress((data_root / "clinc150/clinc150.json.gz").read_bytes()))
    seen = Counter[str]()
    with (folder / "intents.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["utterance", "intent"])
        for text, intent in held["data_full"]["train"]:
            seen[intent] += 1
            if seen[intent] <= 8:
                writer.writerow([text, intent])
    tiny_texts.folder(folder / "net", max_position_embeddings=40)
    return folder


def test_no_domain_is_in_two_splits(data_root: Path) -> None:
    held = json.loads(gzip.decompress((data_root / "clinc150/clinc150.json.gz").read_bytes()))
    source = config.load(CONFIGS / "protonet").data
    parts = [{*getattr(source, name)} for name in ("train", "val", "test")]
    assert [len(part) for part in parts] == [90, 30, 30]
    for own in held["domains"].values():
        assert [{*own} <= part for part in parts].count(True) == 1


@pytest.mark.parametrize("name", ["protonet", "maml"])
def test_a_config_of_intents_runs(name: str, place: Path, tmp_path: Path) -> None:
    words = ["--data.init_args.path", place / "intents.csv", "--runs", tmp_path]
    words += ["--data.init_args.net", place / "net", "--model.init_args.net", place / "net"]
    found = metatl("run", CONFIGS / name, *words, *FEW)
    assert found.code == 0, found
    run = only(tmp_path)
    assert len(np.load(run / "episodes.npy")) == 3
    learned = store.load_transfer(run / "transfer.safetensors")
    guided = {leaf: float(scale.max()) for leaf, scale in learned.guide.items()}
    assert {leaf for leaf, most in guided.items() if most} == {
        leaf for leaf in guided if "lora_" in leaf or leaf.startswith("head.")
    }
    ups = [leaf for key, leaf in learned.params.items() if "lora_B" in key]
    assert ups
    assert any(bool(leaf.any()) for leaf in ups), "B starts at 0, and learning moves it"

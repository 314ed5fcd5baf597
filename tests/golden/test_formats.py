"""Old files load bit by bit, newer ones are refused in a sentence; `make.py` wrote those in `formats/`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from metatl import load
from metatl.data.cache import cached
from metatl.lab import config, store
from metatl.lab.run import prepare
from metatl.lab.run.learn import VERSION as LEARNED
from metatl.lab.store.tensors import digest, flat
from metatl.types import MetatlError, Transfer
from tests.commands import metatl, refused
from tests.golden import make


def each(name: str) -> pytest.MarkDecorator:
    """Every version of this format."""
    found = sorted(path.parent for path in make.FORMATS.glob(f"v*/{name}"))
    return pytest.mark.parametrize("files", found, ids=lambda path: path.name)


def newest(name: str) -> Path:
    """The fixture of this format as it is written now."""
    return make.FORMATS / f"v{max(make.WRITES[name])}" / name


def remembers(files: Path, name: str) -> bool:
    """Whether a fixture of this format holds what a rule goes on from: those of the newest version do."""
    return files == newest(name).parent


SENTENCE = r"format version (\d+); this metatl reads up to (\d+): update metatl"


def assert_bits(ours: Transfer, theirs: Transfer) -> None:
    """The same names in the same order, the same types, shapes and bits."""
    for group in ("params", "guide", "buffers", "memory"):
        assert list(getattr(ours, group)) == list(getattr(theirs, group))
    assert digest(flat(ours)) == digest(flat(theirs))


def test_there_is_a_fixture_of_every_version() -> None:
    expected = {f"v{n + 1}/{name}" for name, versions in make.WRITES.items() for n in range(max(versions))}
    assert {path.relative_to(make.FORMATS).as_posix() for path in make.FORMATS.glob("v*/*")} == expected
    assert sum(path.stat().st_size for path in make.FORMATS.rglob("*") if path.is_file()) < 60_000


@each("transfer.safetensors")
def test_transfers_load_bit_by_bit(files: Path) -> None:
    memory = remembers(files, "transfer.safetensors")
    assert_bits(store.load_transfer(files / "transfer.safetensors"), make.transfer(memory))


@each("exact.delta")
def test_deltas_load_bit_by_bit(files: Path) -> None:
    personal, notes = store.load_delta(files / "exact.delta", make.transfer())
    memory = remembers(files, "exact.delta")
    assert_bits(personal, make.personal(memory))
    assert json.loads(notes["labels"]) == json.loads(make.NOTES["labels"])
    before, behind = make.halves(memory)
    assert_bits(store.apply_delta(files / "half.delta", before), behind)


@each("last.ckpt")
def test_checkpoints_load_bit_by_bit(files: Path) -> None:
    state, seconds = store.load_checkpoint(files / "last.ckpt")
    expected = make.state(remembers(files, "last.ckpt"))
    assert (state.step, seconds) == (expected.step, 1.5)
    assert_bits(state.transfer, expected.transfer)
    assert list(state.memory) == list(expected.memory)
    for role, leaves in expected.memory.items():
        assert list(state.memory[role]) == list(leaves)
        assert digest(state.memory[role]) == digest(leaves)


@each("report")
def test_reports_load_bit_by_bit(files: Path) -> None:
    found, expected = store.load_report(files / "report"), make.report()
    assert found.scores.tobytes() == expected.scores.tobytes()
    assert (found.method, found.protocol, found.facts) == (
        expected.method, expected.protocol, expected.facts
    )  # fmt: skip


@each("cache.npz")
def test_a_cache_is_not_made_again(files: Path, cache_home: Path) -> None:
    (cache_home / "metatl").mkdir()
    shutil.copy(files / "cache.npz", cache_home / "metatl" / "old.npz")

    def build() -> dict[str, np.ndarray]:
        raise AssertionError("it is there")

    found = cached("old", build)
    assert list(found) == list(make.cache())
    for key, array in make.cache().items():
        assert (found[key].dtype, found[key].shape) == (array.dtype, array.shape)
        assert found[key].tobytes() == array.tobytes()


@each("run")
def test_a_run_directory_is_found_and_not_run_again(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the digest of its config, by its config and by itself; nothing in it changes."""
    monkeypatch.chdir(tmp_path)
    (kept,) = (files / "run").iterdir()
    run = Path("runs") / "maml" / kept.name
    shutil.copytree(kept, run)
    path = run / "config.yaml"
    assert prepare(config.load(path)).folder == run, "a digest of today: a run of old is learned again"
    before = {file.name: file.read_bytes() for file in run.iterdir()}
    report = store.load_report(run)
    for words in (["run", path], ["evaluate", run]):
        said = metatl(*words)
        assert said.code == 0, said
        assert f"loss {report.mean:.4f} +- {report.ci95:.4f}" in said.out
    assert "maml" in metatl("compare", run).out
    assert {name: (run / name).read_bytes() for name in before} == before
    learned = load(run)
    assert learned.adaptation.rule.lr == report.facts["selected"]["rule.lr"]  # type: ignore[attr-defined]
    assert_bits(learned.transfer, store.load_transfer(run / "transfer.safetensors"))
    assert learned.adapt(torch.ones(2, 1), torch.ones(2, 1)).outputs(torch.ones(3, 1)).shape == (3, 1)


def test_files_of_the_first_days_load(tmp_path: Path) -> None:
    files = make.FORMATS / "first-days"
    assert_bits(store.load_transfer(files / "transfer.safetensors"), make.transfer())
    assert store.load_report(files).scores.tobytes() == make.report().scores.tobytes()
    (kept,) = (make.FORMATS / "v1" / "run").iterdir()
    run = tmp_path / "runs" / "maml" / kept.name
    shutil.copytree(kept, run)
    (run / "report.json").unlink()
    shutil.copy(files / "learned.json", run / "learned.json")
    assert metatl("run", run / "config.yaml", "--runs", tmp_path / "runs").code == 0
    assert json.loads((run / "report.json").read_text())["facts"]["seconds_to_learn"] == 2.5


LOADS: dict[str, Callable[[Path], object]] = {
    "transfer.safetensors": store.load_transfer,
    "last.ckpt": store.load_checkpoint,
    "exact.delta": lambda path: store.apply_delta(path, make.transfer()),
    "half.delta": lambda path: store.apply_delta(path, make.halves()[0]),
    "report/report.json": lambda path: store.load_report(path.parent),
}


@pytest.mark.parametrize("name", LOADS)
def test_a_newer_version_is_refused(name: str, tmp_path: Path) -> None:
    kept = newest(name.split("/", maxsplit=1)[0])
    (shutil.copytree if kept.is_dir() else shutil.copy)(kept, tmp_path / kept.name)
    version, whole = max(make.WRITES[kept.name]), (tmp_path / name).read_bytes()
    form = '"version": {},' if name.endswith("json") else '"version":"{}"'
    now, then = form.format(version).encode(), form.format(version + 1).encode()
    assert whole.count(now) == 1
    LOADS[name](tmp_path / name)
    (tmp_path / name).write_bytes(whole.replace(now, then))
    with pytest.raises(MetatlError, match=SENTENCE) as caught:
        LOADS[name](tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert not isinstance(caught.value, store.DamagedError), "it is not passed over for an older one"


def test_a_newer_learned_json_is_refused(tmp_path: Path) -> None:
    (kept,) = newest("run").iterdir()
    run = tmp_path / "runs" / "maml" / kept.name
    shutil.copytree(kept, run)
    (run / "report.json").unlink()
    told = json.loads((run / "learned.json").read_text())
    assert told["version"] == LEARNED
    (run / "learned.json").write_text(json.dumps(told | {"version": LEARNED + 1}))
    line = refused("run", run / "config.yaml", "--runs", tmp_path / "runs")
    assert f"learned.json has format version {LEARNED + 1}" in line
    assert line.endswith("update metatl")


def test_what_is_written_is_still_this_version(tmp_path: Path) -> None:
    """A change of what is written is a new version, with a fixture of its own."""
    for name in ("transfer.safetensors", "last.ckpt", "report"):
        for version, write in make.WRITES[name].items():
            files, made = make.FORMATS / f"v{version}" / name, tmp_path / f"v{version}" / name
            made.parent.mkdir(exist_ok=True)
            write(made)
            for kept in sorted(files.iterdir()) if files.is_dir() else [files]:
                place = made if kept == files else made / kept.name
                assert place.read_bytes() == kept.read_bytes(), kept

"""Whatever is wrong with what a person gives: exit code 2, one line that says so, nothing half-written."""

from __future__ import annotations

import copy
import errno
import json
import os
import signal
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from metatl.lab import store
from tests import commands
from tests.commands import GLYPHS, WAVES, config_of, metatl, only, refused, written

ZERO_STEPS = {**WAVES, "name": "waves"}


pytestmark = pytest.mark.usefixtures("own_cache")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, which a refused command leaves as it was."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, ZERO_STEPS, "waves.yaml")
    written(tmp_path, {**GLYPHS, "name": "glyphs"}, "glyphs.yaml")
    written(tmp_path, config_of("maml"), "maml.yaml")
    (tmp_path / "file").write_text("in the way")
    return tmp_path


UNKNOWN: list[tuple[str, list[str], str]] = [
    ("waves", ["--colour", "red"], "colour"),
    ("waves", ["--learner.stepps", "3"], "stepps"),
    ("waves", ["--seed", "one"], "seed"),
    ("waves", ["--seed"], "expected one argument"),
    ("waves", ["--seed", str(2**70)], "seed is"),
    ("waves", ["--evaluation.seed", str(-(2**70))], "evaluation.seed is"),
    ("waves", ["--name", ""], "name is ''"),
    ("waves", ["--name", "x" * 300], "1 to 100 characters"),
    ("waves", ["--record_every", "0"], "record_every is 0"),
    ("waves", ["--validate_every", "-1"], "validate_every is -1"),
    ("waves", ["--evaluation.episodes", "0"], "episodes must be at least 2"),
    ("waves", ["--evaluation.episodes", "-5"], "episodes must be at least 2"),
    ("waves", ["--evaluation.chunk", "0"], "chunk at least 1"),
    ("waves", ["--adaptation.steps", "-1"], "steps must be 0 or more"),
    ("waves", ["--adaptation.moments", "best"], "moments"),
    ("waves", ["--device", "warp"], "device 'warp'"),
    ("waves", ["--device", "cuda:99"], "--device cpu"),
    ("waves", ["--device", "meta"], "holds no values"),
    ("waves", ["--device", ""], "device ''"),
    ("waves", ["--learner", "Episodical"], "Episodical"),
    ("waves", ["--learner", "no_such_package.Learner"], "no_such_package"),
    ("waves", ["--learner", "os.system"], "os.system"),
    ("waves", ["--learner", "metatl.rules.SGD"], "SGD"),
    ("waves", ["--model", "os.system"], "os.system"),
    ("waves", ["--model", "print"], "print"),
    ("waves", ["--model", "Conv4"], "model cannot be built"),
    ("waves", ["--model.init_args.hidden", "[0]"], "no entries"),
    ("waves", ["--model.init_args.hidden", "[-3]"], "model cannot be built"),
    ("waves", ["--model.init_args.hidden", "wide"], "wide"),
    ("waves", ["--head", "nowhere"], "linear output layer"),
    ("waves", ["--data", "Cifar"], "Cifar"),
    ("waves", ["--data.init_args.amplitude", "[5, 1]"], "amplitude"),
    ("waves", ["--engine", "Fastest"], "Fastest"),
    ("waves", ["--engine.init_args.tasks_per_chunk", "0"], "tasks_per_chunk is 0"),
    ("waves", ["--select", "[1]"], "select"),
    ("waves", ["--select", "{steps: 3}"], "select"),
    ("waves", ["--select", "{colour: [1]}"], "no field 'colour'"),
    ("waves", ["--select", "{rule.rate: [1]}"], "no field 'rate'"),
    ("waves", ["--select", "{rule.lr.x: [1]}"], "no field 'x'"),
    ("waves", ["--select", "{terms.7.alpha: [1]}"], "no field '7'"),
    ("waves", ["--select", "{terms.0: [1]}"], "does not take 1"),
    ("waves", ["--select", "{rule: [3]}"], "does not take 3"),
    ("waves", ["--select", "{head: [Zeros]}"], "does not take 'Zeros'"),
    ("waves", ["--select", "{batch_size: [many]}"], "does not take 'many'"),
    ("waves", ["--select", "{steps: [-1]}"], "steps must be 0 or more"),
    ("waves", ["--select", "{rule.lr: []}"], "no values"),
    ("waves", ["--runs", "file"], "Not a directory"),
    ("waves", ["--runs", "file/below"], "Not a directory"),
    ("waves", ["--runs", "a\0b"], "null byte"),
    ("waves", ["another.yaml"], "another.yaml"),
    ("maml", ["--learner.steps", "-3"], "learner.steps is -3"),
    ("maml", ["--learner.meta_batch", "0"], "learner.meta_batch is 0"),
    ("maml", ["--learner.clip", "0"], "learner.clip is 0"),
    ("maml", ["--learner.multi_step", "-1"], "learner.multi_step is -1"),
    ("maml", ["--learner.tasks.shot", "0"], "shot is 0"),
    ("maml", ["--learner.adaptation.rule.lr", "fast"], "fast"),
    ("glyphs", ["--evaluation.tasks.way", "0"], "way is 0"),
    ("glyphs", ["--evaluation.tasks.way", "6"], "way is 6, but meta_test of glyphs has 5 classes"),
    ("glyphs", ["--evaluation.tasks.way", str(10**30)], "lower way"),
    ("glyphs", ["--evaluation.tasks.shot", "5"], "shot + query is 7"),
    ("glyphs", ["--evaluation.tasks.query", "0"], "query is 0"),
    ("glyphs", ["--adaptation.head", "Learned"], "carries 6 outputs"),
    ("glyphs", ["--data.init_args.examples", "0"], "examples is 0"),
    ("glyphs", ["--model.init_args.filters", "0"], "model"),
    ("glyphs", ["--model.init_args.filters", "100000000000"], "model cannot be built"),
    ("glyphs", ["--learner", "{class_path: Scout, init_args: {outlier: 0}}"], "outlier is 0"),
    ("glyphs", ["--learner", "SourceFisher", "--start", "glyphs.yaml"], "raise the density"),
    ("glyphs", ["--learner", "Scout", "--learner.shape", "TopK", "--learner.tasks.shot", "2"], "the density"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "words", "said"), UNKNOWN, ids=lambda v: " ".join(v)[:40] if isinstance(v, list) else ""
)
def test_a_wrong_value_is_one_line(here: Path, config: str, words: list[str], said: str) -> None:
    before = files(here)
    line = refused("run", f"{config}.yaml", *words)
    assert said in line
    assert files(here) == before


BOMB = "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}' if i else '1'] * 9)}]\n" for i in range(9))
TEXTS: list[tuple[bytes, str]] = [
    (b"", "name"),
    (b"\n# nothing\n", "name"),
    (b"- 1\n- 2\n", "holds no keys"),
    (b"just words", "holds no keys"),
    (b"42", "holds no keys"),
    (b"name: [", "not valid YAML"),
    (b"name: a\0b", "not valid YAML"),
    (b"a: 1\n a: 2", "not valid YAML"),
    (b"\x89PNG\r\n\x1a\n\xff\xfe\x00\x01", "no text file"),
    (bytes(range(256)), "no text file"),
    (b"name: !!python/object/apply:os.system ['touch pwned']", "not valid YAML"),
    (b"name: !!python/name:os.system", "not valid YAML"),
    (b"name: &a [*a]", "more than"),
    (b"[" * 5000, "levels deep"),
    (b"1: 2", "a key is a word"),
    (b"null: 2", "a key is a word"),
    (b"base: 3", "base is 3"),
    (b"base: [1]", "base is [1]"),
    (b"base: nowhere.yaml", "nowhere.yaml is not there"),
    (b"base: bad.yaml", "leads back to itself"),
    (b"start: [1]", "start is [1]"),
    (b"name: {a: 1}", "name"),
    (BOMB.encode(), "more than 20,000 values"),
]


@pytest.mark.parametrize(("text", "said"), TEXTS, ids=lambda value: repr(value)[:30])
def test_a_file_that_is_no_config_is_one_line(here: Path, text: bytes, said: str) -> None:
    (here / "bad.yaml").write_bytes(text)
    before = files(here)
    assert said in refused("run", "bad.yaml")
    assert files(here) == before, "and nothing was run"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["run", "nowhere.yaml"], "nowhere.yaml is not there"),
        (["run", "."], "Is a directory"),
        (["run", "/dev/zero"], "is a device, not a file"),
        (["benchmark"], "name at least one config"),
        (["benchmark", "waves.yaml", "waves.yaml"], "both named 'waves'"),
        (["benchmark", "waves.yaml", "glyphs.yaml"], "differ in data"),
        (["benchmark", "waves.yaml", "--reference", "fine"], "no config is named fine"),
        (["benchmark", "waves.yaml", "--no-transfer", "x"], "no config is named x"),
        (["benchmark", "waves.yaml", "--out", "file"], "cannot write to 'file'"),
        (["benchmark", "waves.yaml", "--out", "file/below"], "cannot write to"),
        (["benchmark", "waves.yaml", "--frob", "1"], "frob"),
        (["evaluate"], "run"),
        (["evaluate", "nowhere"], "nowhere is not a run directory"),
        (["evaluate", "file"], "not a run directory"),
        (["compare"], "runs"),
        (["compare", "nowhere"], "holds no report.json"),
        (["compare", "file"], "holds no report.json"),
        (["compare", ".", "--x"], "unrecognized arguments"),
        (["data"], "action"),
        (["data", "frob"], "invalid choice"),
        (["data", "verify"], "name a data set"),
        (["data", "verify", "cifar"], "'cifar'"),
        (["data", "list", "mnist"], "mnist"),
        (["profile"], "workloads"),
        (["profile", "W9"], "W9"),
        (["profile", "W3", "--engines", "warp"], "warp"),
        (["profile", "W3", "--repeats", "x"], "'x' is no whole number"),
        (["profile", "waves.yaml", "--seed", "x"], "seed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_words_are_one_line(here: Path, words: list[str], said: str) -> None:
    before = files(here)
    assert said in refused(*words)
    assert files(here) == before


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("learner", "learner is null"),
        ("learner.init_args.meta_batch", "learner.meta_batch is null"),
        ("learner.init_args.rule", "learner.rule is null"),
        ("adaptation.rule.init_args.lr", "adaptation.rule.lr is null"),
    ],
)
def test_a_value_that_cannot_be_null_is_named(here: Path, key: str, said: str) -> None:
    values = copy.deepcopy(config_of("maml"))
    *way, last = key.split(".")
    inner = values
    for step in way:
        inner = inner[step]
    inner[last] = None
    assert said in refused("run", written(here, values, "null.yaml"))
    assert not (here / "runs").exists()


def test_a_line_moves_no_cursor(here: Path) -> None:
    line = refused("run", "no\x1b[2Jwhere\x07\udcff.yaml")
    assert "no\\x1b[2Jwhere\\x07" in line
    assert line.isprintable()


def test_paths_that_no_file_can_have(here: Path) -> None:
    for key in ("base", "start"):
        (here / "odd.yaml").write_text(f'{key}: "a\\0b"\nname: odd\n' + yaml.safe_dump(WAVES))
        assert "a\\x00b" in refused("run", "odd.yaml")


def test_a_path_among_the_values_is_not_run(here: Path) -> None:
    """`data.py` in the way of a value `data.npz` is no module to import."""
    (here / "table.py").write_text("raise SystemExit('was run')")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(here))
        line = refused("run", "waves.yaml", "--data", "Arrays", "--data.init_args.path", "table.npz")
    assert "table.npz: no such file" in line


def test_starts_that_lead_nowhere(here: Path) -> None:
    for start, said in (("x.yaml", "is not there"), ("self.yaml", "leads back"), ("one.yaml", "leads back")):
        written(here, {**ZERO_STEPS, "start": start}, "self.yaml")
        written(here, {**ZERO_STEPS, "start": "other.yaml"}, "one.yaml")
        written(here, {**ZERO_STEPS, "start": "one.yaml"}, "other.yaml")
        assert said in refused("run", "self.yaml")
    written(here, {**ZERO_STEPS, "model": {"class_path": "MLP", "init_args": {"hidden": [9]}}}, "wide.yaml")
    written(here, {**ZERO_STEPS, "start": "waves.yaml"}, "thin.yaml")
    line = refused("run", "thin.yaml", "--start", "wide.yaml")
    assert "start wide.yaml does not fit the model" in line
    assert "[9, 1] there and [8, 1] here" in line
    assert not (here / "runs").exists()


def test_archives_and_arrays_that_are_none(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METATL_DATA", raising=False)
    for name in ("images_background.zip", "images_evaluation.zip"):
        (here / name).write_bytes(b"PK\x03\x04 no more of it")
    omniglot = ["--data", f"{{class_path: Omniglot, init_args: {{root: {here}}}}}"]
    line = refused("run", "glyphs.yaml", *omniglot)
    assert "images_background.zip: is damaged" in line
    with zipfile.ZipFile(here / "images_background.zip", "w") as archive:
        archive.writestr("images_background/A/character01/0001_01.png", b"no picture")
    assert "holds 1 characters, not 964" in refused("run", "glyphs.yaml", *omniglot)
    objects: Any = np.array([{}], dtype=object)
    for content, said in [
        ({"x": np.zeros((4, 3))}, "needs the arrays x and y"),
        ({"x": np.zeros((4, 3)), "y": np.zeros(3, int)}, "need [n, ...] and [n]"),
        ({"x": np.full((4, 3), np.nan), "y": np.zeros(4, int)}, "not finite"),
        ({"x": np.zeros((4, 3)), "y": objects}, "Object arrays cannot be loaded"),
        ({"x": np.zeros((4, 3)), "y": np.arange(4)}, "shot + query"),
        ({"x": np.zeros((4, 3)), "y": np.zeros(4, int)}, "leave none"),
    ]:
        np.savez(here / "own.npz", **content)
        words = ["--data", "{class_path: Arrays, init_args: {path: own.npz}}", "--model", "MLP"]
        assert said in refused("run", "glyphs.yaml", *words, "--evaluation.tasks.way", "2", *_even(content))
    (here / "own.npz").write_bytes(b"none")
    assert "no npz file" in refused("run", "glyphs.yaml", *words)
    assert not (here / "runs").exists()


def _even(content: dict[str, Any]) -> list[str]:
    """Splits that leave two classes to meta-test where there are four."""
    few = len(content.get("y", ())) == 4 and content["y"].dtype == int and content["y"].any()
    return ["--data.init_args.fractions", "[0.5, 0, 0.5]"] if few else []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--learner.adaptation.rule.lr", "1e30"], "the run has diverged"),
        (["--learner.rule.lr", "1e38"], "the run has diverged"),
        (["--adaptation.rule.lr", "1e38", "--adaptation.steps", "5"], "diverges on 4 of 4 episodes"),
        (["--select", "{rule.lr: [1e37, 1e38]}", "--adaptation.steps", "9"], "diverges on 2 of 2 episodes"),
    ],
    ids=lambda value: value[0] + value[1] if isinstance(value, list) else "",
)
def test_numbers_that_run_away_are_named(here: Path, words: list[str], said: str) -> None:
    line = refused("run", "maml.yaml", *words)
    assert said in line
    assert "lower" in line
    run = only(here / "runs")
    assert not (run / "report.json").exists()
    assert (run / "transfer.safetensors").exists() == ("diverges on" in said)


def test_runs_that_are_not_finished_or_not_whole(here: Path) -> None:
    assert metatl("run", "maml.yaml").code == 0
    run = only(here / "runs")
    whole = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    name = "transfer.safetensors"
    (run / name).write_bytes(whole[name][:-3])
    (run / "report.json").unlink()
    assert "is damaged" in (line := refused("evaluate", run))
    assert "delete it and run what made it again" in line
    (run / name).unlink()
    assert f"is not finished; 'metatl run {run}/config.yaml' goes on" in refused("evaluate", run)
    assert "holds no report.json" in refused("compare", run)
    assert metatl("run", run / "config.yaml").code == 0
    assert (run / name).read_bytes() == whole[name]
    for text in (b"", b"[]", b"\xff", whole["report.json"].replace(b'"mean": ', b'"mean": 1')):
        (run / "report.json").write_bytes(text)
        refused("compare", run)
        assert metatl("run", "maml.yaml").code == 0
        assert commands.timeless(json.loads((run / "report.json").read_bytes())) == commands.timeless(
            json.loads(whole["report.json"])
        )
    newer = json.loads(whole["report.json"]) | {"version": 3}
    (run / "report.json").write_text(json.dumps(newer))
    for words in (["compare", run], ["run", "maml.yaml"]):
        assert "format version 3; this metatl reads up to 2: update metatl" in refused(*words)
    (run / "config.yaml").write_bytes(b"\xff\x00")
    assert "no text file" in refused("evaluate", run)


def test_a_disk_that_refuses(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root nothing is unwritable: the file system's refusal is played."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert "No space left on device; free some space" in refused("run", "maml.yaml")
    assert not list(here.rglob("*.part"))
    assert not list(here.rglob("*.safetensors"))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        assert "No space left on device" in refused("run", "maml.yaml", "--runs", "elsewhere")
    assert not (here / "elsewhere").exists()
    with monkeypatch.context() as patch:
        patch.setattr(store, "save_report", full)
        assert "No space left on device; mend that and run" in refused("run", "maml.yaml")
    assert metatl("run", "maml.yaml").code == 0, "and it goes on when there is space again"


@pytest.mark.parametrize(
    "said",
    [
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 TB",
        "IntArrayRef contains an int that cannot be represented as a SymInt: -9223372036854775808",
        "Storage size calculation overflowed with sizes=[9223372036854775807]",
    ],
    ids=lambda said: said[:20],
)
def test_too_little_memory_is_one_line(said: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def starved(*given: Any) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr("metatl.lab.commands.report", starved)
    assert "out of memory" in (line := refused("run", "maml.yaml"))
    assert "lower meta_batch" in line


def test_processes_of_their_own_say_the_same(here: Path) -> None:
    log = here / "log"
    for words, said in [
        (["run", "nowhere.yaml"], "is not there"),
        (["run", "waves.yaml", "--device", "warp"], "warp"),
        (["frob"], "invalid choice"),
    ]:
        log.write_text("")
        process = commands.in_process(words, log)
        process.join(60)
        assert process.exitcode == 2
        (line,) = log.read_text().splitlines()
        assert line.startswith("metatl: ")
        assert said in line


def test_a_pipe_that_closes_is_no_error(here: Path) -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.MonkeyPatch.context() as patch:
        kept = os.dup(1)
        read, write = os.pipe()
        os.close(read)
        os.dup2(write, 1)
        with os.fdopen(1, "w", closefd=False) as out:
            patch.setattr("sys.stdout", out)
            from metatl.lab import cli

            code = cli.main(["run", "waves.yaml", "--print_config"])
        os.dup2(kept, 1)
        os.close(write)
    assert code == 0
    assert yaml.safe_load(metatl("run", "waves.yaml", "--print_config").out)["name"] == "waves"

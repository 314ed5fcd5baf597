"""A number belongs to its inputs, and whatever a model raises is one line."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing import event_file_loader
from tensorboard.plugins.hparams import metadata

from metatl import load
from metatl.lab import config, store
from metatl.lab.run import prepare
from metatl.types import MetatlError
from tests.commands import metatl, only, refused

MODELS = """from torch import nn, relu, zeros
class Plain(nn.Module):
    def __init__(self, shape: tuple[int, ...], outputs: int):
        super().__init__()
        self.register_buffer("seen", zeros(()))
        self.body, self.head = nn.Linear(shape[0], 8), nn.Linear(8, outputs)
    def forward(self, x): return self.head(relu(self.body(x)))
class Tuple(Plain):
    def forward(self, x): return super().forward(x), x
class Dict(Plain):
    def forward(self, x): return {"logits": super().forward(x)}
class Heads(Plain):
    def forward(self, x): return {"a": super().forward(x), "b": x}
class Vector(Plain):
    def forward(self, x): return super().forward(x)[:, 0]
class Mean(Plain):
    def forward(self, x): return super().forward(x).mean(0, keepdim=True)
class Lazy(Plain):
    def __init__(self, *a): super().__init__(*a); self.body = nn.LazyLinear(8)
class OldNorm(Plain):
    def __init__(self, *a): super().__init__(*a); nn.utils.weight_norm(self.body)
class Counting(Plain):
    def forward(self, x): self.seen.add_(1); return super().forward(x)
class Missing(Plain):
    def forward(self, x): return self.tail(x)
class Key(Plain):
    def __init__(self, *a): super().__init__(*a); {}["width"]
class Asserting(Plain):
    def forward(self, x):
        assert x.shape[-1] == 224, f"input width ({x.shape[-1]}) does not match the model's (224)"
        return super().forward(x)
class Silent(Plain):
    def forward(self, x): assert x.shape[-1] == 224
class Wide(Plain):
    def __init__(self, *a): super().__init__(*a); self.body = nn.Linear(225, 8)
class Rows(Plain):
    def forward(self, x):
        assert x.shape[0] in (1, 2), f"{x.shape[0]} rows in one pass"
        return super().forward(x)
"""
BASE = """{name: t, data: {class_path: Arrays, init_args: {path: d.npz}}, model: MLP,
  learner: {class_path: Supervised, init_args: {steps: 2}}, adaptation: {head: Zeros, steps: 1},
  evaluation: {tasks: {way: 2, shot: 1, query: 2}, episodes: 4, select_episodes: 2}}"""
KEPT = BASE.replace("{class_path: Supervised, init_args: {steps: 2}}", "Keep")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with models, data and a config; modules in it are read anew by every command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # edits within a second, of the same size
    arrays(tmp_path / "d.npz", 0)
    (tmp_path / "c.yaml").write_text(BASE)
    yield tmp_path
    forget_modules(tmp_path)


def arrays(path: Path, seed: int, shape: tuple[int, ...] = (4,), classes: int = 12) -> None:
    """Five examples a class, uniform."""
    x = np.random.default_rng(seed).random((5 * classes, *shape), np.float32)
    np.savez(path, x=x, y=np.repeat(np.arange(classes), 5))


def own(folder: Path, text: str, file: str = "nets.py") -> None:
    """Write a module of one's own, as a new process would see it."""
    (folder / file).write_text(text)
    forget_modules(folder)


def forget_modules(folder: Path) -> None:
    """As a new process would, import what lies there anew."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
    importlib.invalidate_caches()
    loaded: Any = importlib.import_module("metatl.lab.run.loaded")
    loaded._loaded.cache_clear()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Tuple", "gives a tuple"),
        ("Dict", None),
        ("Heads", "gives a dict"),
        ("Vector", "gives [2] for 2 examples"),
        ("Mean", "for 2 examples"),
        ("Lazy", None),
        ("OldNorm", "parametrizations"),
        ("Counting", None),
        ("Missing", "no attribute 'tail'"),
        ("Key", "KeyError: 'width'"),
        ("Asserting", "input width (4) does not match the model's (224)"),
        ("Silent", "AssertionError"),
        ("Wide", "2x4 and 225x8"),
        ("Rows", "nets.py, line"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_model_works_or_is_one_line(here: Path, name: str, said: str | None) -> None:
    own(here, MODELS)
    (here / "c.yaml").write_text(KEPT.replace("MLP", f"nets.{name}"))
    if said is None:
        found = metatl("run", "c.yaml")
        assert (found.code, found.lines) == (0, [])
        assert "accuracy" in found.out
    else:
        line = refused("run", "c.yaml")
        assert said in line
        assert name == "Rows" or not (here / "runs").exists(), "before any work"


def test_a_late_refusal_says_where_and_what(here: Path) -> None:
    own(here, MODELS)
    (here / "c.yaml").write_text(KEPT.replace("MLP", "nets.Rows"))
    line = refused("run", "c.yaml")
    assert "in forward raised AssertionError: 4 rows in one pass" in line


GAIN = """import torch
from torch import nn
from layers import SIGN
class Net(nn.Module):
    def __init__(self, shape: tuple[int, ...], outputs: int, weights: str):
        super().__init__(); self.gain = float(torch.load(weights)); self.head = nn.Linear(64, outputs)
    def forward(self, x): return self.head(1.0 * SIGN * self.gain * x.flatten(1))
"""
PICTURES = """{name: t, model: {class_path: nets.Net, init_args: {weights: gain.pt}},
  data: {class_path: ImageFolder, init_args: {path: pictures, size: 8}},
  adaptation: {head: Prototypes, steps: 0}, evaluation: {tasks: {way: 2, shot: 1, query: 2}, episodes: 4}}"""


def pictures(folder: Path, shade: int) -> None:
    for c in range(12):
        place = folder / "pictures" / f"c{c:02d}"
        place.mkdir(parents=True, exist_ok=True)
        for i in range(3):
            Image.fromarray(np.full((8, 8), shade * c, np.uint8)).save(place / f"{i}.png")


@pytest.fixture
def told(here: Path) -> Path:
    """A run whose numbers depend on a model file, a module that it imports, a weights file and images."""
    own(here, "SIGN = 1.0", "layers.py")
    own(here, GAIN)
    torch.save(torch.tensor(1.0), here / "gain.pt")
    pictures(here, 20)
    (here / "c.yaml").write_text(PICTURES)
    assert "accuracy 100.00 +- 0.00 %" in metatl("run", "c.yaml").out
    return here


EDITS: dict[str, Any] = {
    "nets": lambda folder: own(folder, GAIN.replace("1.0", "0.0")),
    "layers": lambda folder: own(folder, "SIGN = 0.0", "layers.py"),
    "gain.pt": lambda folder: torch.save(torch.tensor(0.0), folder / "gain.pt"),
    "the data": lambda folder: pictures(folder, 0),
}


@pytest.mark.parametrize("what", EDITS)
def test_no_number_outlives_its_inputs(told: Path, what: str) -> None:
    """After an edit all pictures look alike to the net, and exactly half of the answers are right."""
    run = only(told / "runs")
    EDITS[what](told)
    line = refused("evaluate", "--trust", run)
    assert f"was learned before {what} changed" in line
    if what != "the data":  # whose content a model in use does not read
        with pytest.raises(MetatlError, match=what):
            load(run, trust=True)
    found = metatl("run", "c.yaml")
    assert "accuracy 50.00 +- 0.00 %" in found.out
    assert "loaded" not in found.out
    assert len(list((told / "runs" / "t").iterdir())) == 2
    assert "loaded" in metatl("run", "c.yaml").out


def test_an_edit_taken_back_is_the_first_run_again(told: Path) -> None:
    run = only(told / "runs")
    for edit, back in ((EDITS["nets"], GAIN), (lambda folder: own(folder, GAIN + "# a note\n"), GAIN)):
        edit(told)
        refused("evaluate", "--trust", run)
        own(told, back)
        assert metatl("evaluate", "--trust", run).code == 0
    assert f"loaded {run.relative_to(told)}; --again learns anew" in metatl("run", "c.yaml").out


def test_a_folder_of_weights_and_a_class_of_the_adaptation_are_inputs(here: Path) -> None:
    head = "from metatl.heads import Zeros\nclass Mine(Zeros):\n    'One.'\n"
    net = GAIN.replace("torch.load(weights)", "open(weights + '/gain.txt').read()").replace("SIGN", "1")
    own(here, net.replace("from layers import 1\n", "").replace("nn.Linear(64", "nn.Linear(4"))
    own(here, head, "heads.py")
    (here / "weights").mkdir()
    (here / "weights" / "gain.txt").write_text("1.0")
    (here / "c.yaml").write_text(
        KEPT.replace("MLP", "{class_path: nets.Net, init_args: {weights: weights}}").replace(
            "Zeros", "heads.Mine"
        )
    )
    assert metatl("run", "c.yaml").code == 0
    run = only(here / "runs")
    own(here, head.replace("One", "Two"), "heads.py")
    assert "evaluations" in metatl("run", "c.yaml").out, "learned as before, evaluated anew"
    (here / "weights" / "gain.txt").write_text("2.0")
    assert "weights changed" in refused("evaluate", "--trust", run)
    assert metatl("run", "c.yaml").code == 0
    assert len(list((here / "runs" / "t").iterdir())) == 2


@pytest.mark.parametrize(
    "lost",
    ["transfer.safetensors", "learned.json", "report.json", "episodes.npy", "config.yaml", "evaluations",
     "transfer.safetensors report.json", "transfer.safetensors learned.json metrics.jsonl"],
)  # fmt: skip
def test_a_run_that_lost_a_file_is_mended(here: Path, lost: str) -> None:
    first = metatl("run", "c.yaml")
    run = only(here / "runs")
    assert metatl("evaluate", "--trust", run, "--evaluation.episodes", 3).code == 0
    before = {name: (run / name).read_bytes() for name in ("transfer.safetensors", "episodes.npy")}
    kept = {name: (run / name).read_bytes() for name in ("config.yaml", "report.json")}
    for name in lost.split():
        (shutil.rmtree if (run / name).is_dir() else Path.unlink)(run / name)
    again = metatl("run", "c.yaml")
    assert again.code == 0, again
    assert again.out.splitlines()[0] == first.out.splitlines()[0]
    assert {name: (run / name).read_bytes() for name in before} == before
    for name in set(kept) - set(lost.split()) - ({"report.json"} if "episodes" in lost else set()):
        assert (run / name).read_bytes() == kept[name], name
    assert store.load_report(run).scores.tobytes() == np.load(run / "episodes.npy").tobytes()
    assert metatl("evaluate", "--trust", run).code == 0
    assert load(run).transfer.params
    assert "loaded" in metatl("run", "c.yaml").out


def test_what_is_not_finished_says_where_it_goes_on(here: Path) -> None:
    """A directory that was moved away is not the one that its config's name leads to."""
    assert metatl("run", "c.yaml").code == 0
    run = only(here / "runs")
    (run / "transfer.safetensors").unlink()
    assert refused("evaluate", run).endswith("goes on with it")
    run.rename(here / "moved")
    assert f"lies in {run.relative_to(here)} then" in refused("evaluate", "moved")
    assert metatl("run", "moved/config.yaml").code == 0
    assert metatl("evaluate", run).code == 0


@pytest.mark.parametrize(
    "words",
    [["--adaptation.steps", "3"], ["--evaluation.episodes", "5"], ["--select", "{steps: [0, 2]}"]],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("lost", ["", "transfer.safetensors"])
def test_other_values_lie_beside_the_first_report(here: Path, words: list[str], lost: str) -> None:
    first = metatl("run", "c.yaml")
    run = only(here / "runs")
    before = {name: (run / name).read_bytes() for name in ("config.yaml", "report.json", "episodes.npy")}
    if lost:
        (run / lost).unlink()
    found = metatl("run", "c.yaml", *words)
    (place,) = (run / "evaluations").iterdir()
    assert found.code == 0
    assert f"kept beside the run's own report: {place.relative_to(here)}" in found.out
    assert {name: (run / name).read_bytes() for name in before} == before
    report = (place / "report.json").read_bytes()
    assert metatl("run", "c.yaml", *words).out.startswith(found.out)
    assert (place / "report.json").read_bytes() == report
    assert metatl("run", "c.yaml").out.startswith(first.out)
    assert metatl("evaluate", run).out.splitlines()[0] == first.out.splitlines()[0]


def test_again_learns_anew(here: Path) -> None:
    first = metatl("run", "c.yaml")
    run = only(here / "runs")
    assert metatl("evaluate", run, "--evaluation.episodes", 3).code == 0
    weights, stamp = (run / "transfer.safetensors").read_bytes(), (run / "learned.json").stat().st_mtime_ns
    (run / "notes.txt").write_text("mine")
    found = metatl("run", "c.yaml", "--again")
    assert (found.code, found.out) == (0, first.out)
    assert (run / "transfer.safetensors").read_bytes() == weights
    assert (run / "learned.json").stat().st_mtime_ns > stamp
    assert not (run / "evaluations").exists()
    assert (run / "notes.txt").read_text() == "mine"
    assert metatl("run", "--again", "c.yaml", "--learn-only").out.startswith("learned:")
    assert not (run / "report.json").exists()


def hparams(folder: Path) -> dict[str, Any]:
    """What TensorBoard's table of hyperparameters shows for the newest event file of a folder."""
    found: dict[str, Any] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        for event in event_file_loader.EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.tag == "_hparams_/session_start_info":
                    data = value.metadata.plugin_data.content
                    said = metadata.parse_session_start_info_plugin_data(data).hparams
                    found = {key: one.number_value for key, one in said.items()}
    return found


@pytest.mark.parametrize("grid", ["{steps: [3]}", "{steps: [4, 6]}", "{rule.lr: [0.3, 0.7], steps: [2]}"])
def test_what_was_selected_is_what_is_shown_and_loaded(here: Path, grid: str) -> None:
    (here / "c.yaml").write_text(BASE[:-1] + f", select: {grid}}}")
    assert metatl("run", "c.yaml").code == 0
    run = only(here / "runs")
    chosen = store.load_report(run).facts["selected"]
    assert chosen
    adaptation: Any = load(run).adaptation
    for path, value in chosen.items():
        shown = hparams(run)[f"adaptation.{path}"]
        assert shown == pytest.approx(value)
        assert (adaptation.rule.lr if path == "rule.lr" else adaptation.steps) == value
    (run / "report.json").unlink()
    with pytest.raises(MetatlError, match="`select` has chosen nothing"):
        load(run)


def test_evaluated_on_other_data(here: Path) -> None:
    """Of the other data meta_test is needed alone; the values of `select` are chosen on the run's own."""
    (here / "c.yaml").write_text(BASE[:-1] + ", select: {steps: [1, 2]}}")
    assert metatl("run", "c.yaml").code == 0
    run = only(here / "runs")
    before = (run / "report.json").read_bytes()
    arrays(here / "other.npz", 3, classes=4)
    words = ["--data.init_args.path", "other.npz", "--data.init_args.fractions", "[0, 0, 1]"]
    found = metatl("evaluate", run, *words)
    assert (found.code, found.lines) == (0, [])
    assert "(meta_test of other, 4 episodes, inductive)" in found.out
    (place,) = (run / "evaluations").iterdir()
    told = store.load_report(place)
    assert (told.protocol["data"], told.facts["learned_on"]) == ("other", "d")
    assert told.facts["selected"] == store.load_report(run).facts["selected"]
    assert (run / "report.json").read_bytes() == before
    assert metatl("evaluate", run, *words).out == found.out
    arrays(here / "other.npz", 4, classes=4)
    assert metatl("evaluate", run, *words).code == 0
    assert len(list((run / "evaluations").iterdir())) == 2, "other content is another evaluation"
    arrays(here / "other.npz", 4, shape=(5,), classes=4)
    assert "does not take examples of shape (5,)" in refused("evaluate", run, *words)
    assert "is regression" in refused("evaluate", run, "--data", "Sinusoid")
    same = refused("evaluate", run, "--data.init_args.seed", 1)
    assert "may hold what was learned from" in same


TASKS = """import torch
class Three:
    def sample(self):
        y = torch.arange(2).repeat(3)
        return torch.rand(6, 4) * 0.1 + 1.0 * y[:, None], y
def make(): return Three(), Three(), Three()
"""


@pytest.mark.parametrize("edit", ["0.0 * y", "1.0 *  y"])
def test_tasksets_are_told_by_their_source_and_what_they_sample(here: Path, edit: str) -> None:
    own(here, TASKS, "mine.py")
    episodes = "{class_path: Episodic, init_args: {steps: 1, tasks: {way: 2, shot: 1, query: 2}}}"
    data = "{class_path: Taskset, init_args: {path: mine.make}}"
    text = KEPT.replace("Keep", episodes).replace("{class_path: Arrays, init_args: {path: d.npz}}", data)
    (here / "c.yaml").write_text(text)
    assert metatl("run", "c.yaml").code == 0
    run = only(here / "runs")
    assert set(store.read_json(run / "learned.json")["inputs"]) == {"content", "sources"}
    own(here, TASKS.replace("1.0 * y", edit), "mine.py")
    assert "mine changed" in refused("evaluate", "--trust", run)
    assert metatl("run", "c.yaml").code == 0
    assert len(list((here / "runs" / "t").iterdir())) == 2


def test_values_that_name_nothing_of_ones_own_add_nothing(here: Path) -> None:
    """So that runs of before, on data that the config fixes, keep their names."""
    for data in (
        "Sinusoid",
        "{class_path: Patterns, init_args: {bits: 9, categories: 4, examples: 3, subsets: 2}}",
    ):
        tasks = "evaluation: {tasks: {way: 2, shot: 1, query: 1}}"
        (here / "c.yaml").write_text(f"{{name: t, data: {data}, model: MLP, learner: Keep, {tasks}}}")
        assert prepare(config.load(Path("c.yaml"))).inputs == {}
    (here / "c.yaml").write_text(BASE)
    assert set(prepare(config.load(Path("c.yaml"))).inputs) == {"content"}

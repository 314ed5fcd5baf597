"""The whole family of adaptations as a key of a config, and personalisation with each of them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse._parameter_resolvers import get_signature_parameters
from torch import Tensor, nn

from metatl import Batch, Descent, Episode, MetatlError, Personaliser, adapt, load
from metatl.adapt import ClosedForm, Estimator, InContext, NearestCentroid, RidgeRegression
from metatl.lab import config, store
from metatl.lab.describe import FAMILIES
from metatl.lab.run import learn, prepare
from metatl.learners import Episodic
from tests.commands import GLYPHS, WAVES, config_of, metatl, only, refused, written
from tests.toys import INPUTS, toy_net

RIDGE = {"class_path": "ClosedForm", "init_args": {"solver": "RidgeRegression"}}
FEW = {"way": 2, "shot": 1, "query": 2}
KNN = {"class_path": "Estimator", "init_args": {"estimator": "NearestNeighbours", "options": {"k": 1}}}
MARK = "mark"
NO = "subprocess.Popen is neither"
POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", MARK]}}
WAYS = {"ridge": (RIDGE, {"solver.l2": [0.1, 1.0]}), "k-NN": (KNN, {"options.k": [1, 3]})}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kept(adaptation: Any, values: dict[str, Any] = GLYPHS, **more: Any) -> dict[str, Any]:
    return {"name": "a", **values, "adaptation": adaptation, **more}


@pytest.mark.parametrize("name", WAYS)
def test_it_runs_from_a_config_end_to_end(name: str, here: Path) -> None:
    """Chosen by `select`, evaluated again, compared in a benchmark, and loaded to personalise."""
    way, select = WAYS[name]
    path = written(here, kept(way, select=select))
    said = metatl("run", path)
    assert said.code == 0
    assert "(meta_test, 4 episodes, inductive)" in said.out
    folder = only(here / "runs")
    told = store.load_report(folder)
    assert (told.protocol["transductive"], told.protocol["steps"], told.facts["trainable"]) == (False, 0, 0)
    assert metatl("evaluate", folder, "--adaptation.moments", "batch").out.count(", transductive)") == 1
    other = written(here, kept({"steps": 1, "head": "Zeros"}, name="b"), "b.yaml")
    assert "reference" in metatl("benchmark", path, other).out
    loaded = load(folder)
    ((key, value),) = told.facts["selected"].items()
    holder, _, field = key.partition(".")
    chosen = getattr(loaded.adaptation, holder)
    assert (chosen[field] if isinstance(chosen, dict) else getattr(chosen, field)) == value
    x = torch.rand(6, 1, 16, 16)
    mine = loaded.adapt(x, ["u", "v", "w"] * 2)
    assert mine.predict(x) == ["u", "v", "w"] * 2 or value != 1
    with pytest.raises(MetatlError, match="moves no weights"):
        mine.save(here / "a.safetensors")
    with pytest.raises(MetatlError, match="moves no weights"):
        mine.save_delta(here / "a.delta")


class Reader(nn.Module):
    """Attends from every row to the support rows; the outputs are those of a task."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.outputs, self.scale = outputs, nn.Parameter(torch.ones(()))

    def forward(self, support_x: Tensor, support_y: Tensor, x: Tensor) -> Tensor:
        near = (-self.scale * torch.cdist(x.flatten(1), support_x.flatten(1))).softmax(-1)
        targets = support_y
        if not targets.is_floating_point():
            targets = (support_y[:, None] == torch.arange(self.outputs)).to(near.dtype)
        return near @ targets


@pytest.mark.parametrize("values", [GLYPHS, WAVES], ids=["classes", "real targets"])
def test_an_in_context_net_runs_from_a_config(values: dict[str, Any], here: Path) -> None:
    given = kept("InContext", values, model={"class_path": f"{__name__}.Reader"})
    path = written(here, given)
    assert "inductive" in metatl("run", path).out
    mine = load(only(here / "runs"))
    real = values is WAVES
    x = torch.rand(6, 1) if real else torch.rand(6, 1, 16, 16)
    y = x[:, 0] if real else torch.tensor([0, 1, 2] * 2)
    outputs = mine.adapt(x, y).outputs(x[:4])
    assert outputs.shape == (4, 1 if real else 3)
    learner = config_of("maml" if real else "supervised")["learner"]
    assert "missing" in refused("run", written(here, {**given, "learner": learner}))


def test_values_without_a_class_are_a_descent(here: Path) -> None:
    written(here, kept({"steps": 7, "head": "Zeros"}), "base.yaml")
    assert config.load(here / "base.yaml").adaptation.steps == 7
    path = Path(written(here, {"base": "base.yaml", "adaptation": {"steps": 3}}))
    made: Any = config.load(path, ["--adaptation.rule.lr", "0.3"])
    assert (type(made.adaptation), made.adaptation.steps, made.adaptation.rule.lr) == (Descent, 3, 0.3)
    found = config.load(Path(written(here, {"base": "base.yaml", "adaptation": RIDGE})))
    assert found.adaptation == ClosedForm(RidgeRegression())
    assert config.load(path, ["--adaptation", "ClosedForm"]).adaptation == ClosedForm(NearestCentroid())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"adaptation": {**RIDGE, "init_args": {"steps": 5}}}, "ClosedForm has no key 'steps'"),
        (
            {"adaptation": {"class_path": "ClosedForm", "init_args": {"solver": "Zeros"}}},
            "subclass of Solver",
        ),
        ({"adaptation": {"class_path": "ClosedForm", "init_args": {"solver": POPEN}}}, f"solver: {NO}"),
        ({"adaptation": {"class_path": "ClosedForm", "init_args": {"moments": "rows"}}}, "moments"),
        ({"adaptation": {"class_path": "LoRA"}}, "subclass of Adaptation"),
        ({"adaptation": POPEN}, f"adaptation: {NO}"),
        ({"adaptation": None}, "adaptation is null"),
        ({"adaptation": 3}, "adaptation"),
        ({"adaptation": {**KNN, "init_args": {"estimator": POPEN}}}, f"estimator: {NO}"),
        ({"adaptation": {**KNN, "init_args": {"estimator": "subprocess.Popen"}}}, NO),
        ({"adaptation": {**KNN, "init_args": {"estimator": "nowhere.Near"}}}, "cannot be imported"),
        ({"adaptation": {**KNN, "init_args": {"options": {"k": 0}}}}, "k is 0"),
        ({"adaptation": {**KNN, "init_args": {"options": {"k": POPEN}}}}, f"options: {NO}"),
        ({"adaptation": KNN, "select": {"options.neighbours": [1]}}, "neighbours"),
        ({"adaptation": RIDGE, "select": {"rule.lr": [1.0]}}, "ClosedForm has no field 'rule'"),
        ({"adaptation": RIDGE, "select": {"solver": ["LogisticRegression"]}}, "does not take"),
        (
            {"adaptation": {"class_path": "ClosedForm"}, **{k: WAVES[k] for k in ("data", "model")}},
            "real targets",
        ),
        (
            {"learner": {"class_path": "Episodic", "init_args": {"adaptation": KNN, "tasks": FEW}}},
            "not differentiable",
        ),
        ({"learner": {"class_path": "Scout", "init_args": {"adaptation": KNN}}}, "subclass of Descent"),
    ],
    ids=str,
)
def test_what_cannot_work_is_one_line_and_runs_nothing(change: dict[str, Any], said: str, here: Path) -> None:
    assert said in refused("run", written(here, {**kept({"head": "Zeros"}), **change}))
    assert not (here / MARK).exists()
    assert not (here / "runs").exists()


def test_plain_descent_keeps_its_digest_and_another_way_is_another_evaluation(here: Path) -> None:
    import importlib

    folder: Any = importlib.import_module("metatl.lab.run.folder")
    runs = [prepare(config.parse(kept(way))) for way in ({"head": "Zeros"}, RIDGE, KNN)]
    assert len({run.digest for run in runs}) == 1, "nothing else is learned"
    assert len({folder.evaluation(run) for run in runs}) == 3
    learn(runs[0])


def test_the_types_of_every_member_are_read() -> None:
    """Else values would be taken unchecked: a base's annotations are read in the module of each member."""
    for family in FAMILIES:
        for name, made in vars(family).items():
            if inspect.isclass(made) and not issubclass(made, Exception) and not name.endswith("Data"):
                odd = [key.name for key in get_signature_parameters(made) if isinstance(key.annotation, str)]
                assert not odd, (name, odd)


WAYS_IN_PYTHON = [
    ClosedForm(),
    ClosedForm(RidgeRegression(), "support"),
    Estimator(options={"k": 3}),
    Estimator(on="inputs"),
]


@pytest.mark.parametrize("way", WAYS_IN_PYTHON, ids=lambda way: f"{type(way).__name__}-{way.moments}")
def test_personalisation_is_the_adaptation_of_the_evaluation(way: adapt.Adaptation) -> None:
    net = toy_net(norm=True, dtype=torch.float32)
    made, x, new = Personaliser(net, net.start(), way), torch.randn(12, INPUTS), torch.randn(5, INPUTS)
    y = torch.arange(12) % 4
    task = Episode(Batch(x, y), Batch(new))
    right = way.answer(net.with_outputs(4), net.start(), task)
    mine = made.adapt(x, ["abcd"[i] for i in y])
    assert torch.equal(mine.outputs(new), right)
    assert mine.predict(new) == ["abcd"[i] for i in right.argmax(-1)]
    assert mine.transfer is made.transfer


def test_personalisation_says_what_it_cannot(here: Path) -> None:
    net, x = toy_net(dtype=torch.float32), torch.randn(6, INPUTS)
    with pytest.raises(MetatlError, match="needs class labels; choose RidgeRegression"):
        Personaliser(net, net.start(), ClosedForm()).adapt(x, x[:, 0])
    ridge = Personaliser(net, net.start(), ClosedForm(RidgeRegression()))
    assert ridge.adapt(x, x[:, 0]).outputs(x).shape == (6, 1)
    Personaliser(net, net.start(), Descent()).adapt(x, [0, 1, 2] * 2).save_delta(here / "a.delta")
    from metatl import apply_delta

    with pytest.raises(MetatlError, match="ClosedForm, which moves none"):
        apply_delta(ridge, here / "a.delta")
    with pytest.raises(MetatlError, match="support_x"):
        Personaliser(net, net.start(), InContext()).adapt(x, [0, 1, 2] * 2)
    assert isinstance(Episodic().adaptation, Descent)

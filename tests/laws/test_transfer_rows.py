"""Rows of a transfer: what moves, what is chosen, what a model folder keeps."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from metatl import Classifier, MetatlError
from metatl.adapt import Descent
from metatl.data.images import as_seen
from metatl.guides import TopK
from metatl.lab import store
from metatl.rules import Adam
from metatl.transferring import asked, choose, held_out
from metatl.transferring import rows as transferring_rows
from metatl.transferring.backbone import Backbone, backbone
from metatl.transferring.features import forward
from metatl.transferring.fit import Labelled, fit
from metatl.transferring.judged import judged
from metatl.transferring.judging import Scale
from metatl.transferring.listing import listing
from metatl.transferring.open_model import open_model
from metatl.transferring.row import FAMILIES, Row
from metatl.transferring.rows import rows, scaled
from metatl.transferring.schedule import BodySchedule
from metatl.transferring.taken import taken_over
from tests.photos import COLOURS, photo_model

NET, SIZE = "Conv4", 24
SHORT = BodySchedule(passes=2, most=12, least=1, batch=4)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Passes are tiny, and threads on a busy machine wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def net() -> Backbone:
    return backbone(NET, SIZE)


def labelled(net: Backbone, each: int = 3, seed: int = 1) -> Labelled:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2 * each, 3, SIZE, SIZE, generator=generator)
    y = torch.arange(2 * each) % 2
    x[y == 1, 0] += 1
    features = forward(net.body(), x)
    return Labelled(features, y, lambda: x, 2, teacher=torch.cat([features, x.flatten(1)], 1))


def test_every_row_is_listed_with_what_it_is() -> None:
    said = listing()
    assert {row["method"] for row in said} == {path.stem for path in _configs()}
    assert all(row["about"] and row["formula"] and row["source"] for row in said)
    assert all("\n" not in row["about"] for row in said)
    assert {row["method"]: row["family"] for row in said if row["family"] not in FAMILIES} == {}
    assert {row["family"] for row in said} == set(FAMILIES)
    assert sum(row["moves"] == "head" for row in said) >= 4
    assert sum(row["moves"] == "body" for row in said) >= 9
    with pytest.raises(MetatlError, match=r"'finetuning' is none of 'metatl methods'; nearest: fine-tuning"):
        rows(["finetuning"])


def _configs() -> list[Path]:
    return list((Path(choose.__file__).parents[1] / "rows" / "transfer").glob("*.yaml"))


HERE = {name: row for name, row in rows().items() if not row.adaptation.missing}
PLAIN = [name for name, row in HERE.items() if row.learner is None and row.transform is None]


@pytest.mark.parametrize("name", [name for name in PLAIN if rows()[name].moves == "body"])
def test_a_row_that_moves_the_body_moves_what_it_says(net: Backbone, name: str) -> None:
    row = replace(rows()[name], schedule=SHORT)
    with torch.no_grad():
        model = fit(row, net, labelled(net))
    assert model.body is not None
    before, after = net.body().state_dict(), model.body.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved
    if name == "bias-only":
        assert all(key.endswith("bias") for key in moved)
    if name == "last-block":
        assert {key.split(".")[1] for key in moved} == {"3"}
    if name.startswith("surgical"):
        place = {"first": {"0"}, "middle": {"1", "2"}, "last": {"3"}}[name.removeprefix("surgical-")]
        assert {key.split(".")[1] for key in moved} == place
    if name == "norms-only":
        assert {key.split(".")[2] for key in moved} == {"1"}
    if rows()[name].taken == 1:
        assert not any("running" in key for key in moved)
    x = labelled(net).rows()
    again = fit(row, net, labelled(net)).outputs(torch.zeros(0), lambda: x)
    assert torch.equal(again, model.outputs(torch.zeros(0), lambda: x))


@pytest.mark.parametrize(("share", "blocks"), [(0.0, 0), (0.5, 2), (0.7, 3), (1.0, 4)])
def test_the_first_blocks_are_taken_over_and_the_others_are_fresh(
    net: Backbone, share: float, blocks: int
) -> None:
    """All of a block, running moments too; above it lies the net that `no-transfer` starts from."""
    module = copy.deepcopy(net.module)
    module.load_state_dict({key: leaf + 1 for key, leaf in module.state_dict().items()})
    taught = replace(net, module=module)
    found, fresh, own = (one.state_dict() for one in (taken_over(taught, share), net.random(), module))
    for key, leaf in found.items():
        taken = share == 1 or (key.startswith("blocks") and int(key.split(".")[1]) < blocks)
        assert torch.equal(leaf, (own if taken else fresh)[key]), key
    assert not torch.equal(own["blocks.0.0.weight"], fresh["blocks.0.0.weight"])


def test_a_student_needs_a_teacher_and_learns_from_it(net: Backbone) -> None:
    row, given = replace(rows()["distillation"], schedule=SHORT), labelled(net)
    with pytest.raises(MetatlError, match="learns from a larger net; name it with --teacher"):
        fit(row, net, replace(given, teacher=None))
    asked_of = [fit(row, net, one) for one in (given, replace(given, teacher=torch.zeros(6, 3)))]
    one, other = (made.outputs(torch.zeros(0), given.rows) for made in asked_of)
    assert not torch.equal(one, other)
    part = held_out.part_of(given, np.array([4, 1]))
    assert part.teacher is not None
    assert given.teacher is not None
    assert torch.equal(part.teacher, given.teacher[[4, 1]])


def test_what_mattered_nothing_on_the_source_moves_freely(net: Backbone) -> None:
    """EWC whose F is 0 is LP-FT, bit by bit; without an F it is refused."""
    rows_, given = {name: replace(rows()[name], schedule=SHORT) for name in ("ewc", "lp-ft")}, labelled(net)
    body = {name: leaf for name, leaf in net.module.named_parameters() if not name.startswith(net.head)}
    zeros = replace(net, memory={f"importance.{name}": torch.zeros_like(leaf) for name, leaf in body.items()})
    one, other = fit(rows_["ewc"], zeros, given), fit(rows_["lp-ft"], net, given)
    assert torch.equal(one.outputs(torch.zeros(0), given.rows), other.outputs(torch.zeros(0), given.rows))
    ones = replace(net, memory={key: torch.ones_like(leaf) for key, leaf in zeros.memory.items()})
    held = fit(rows_["ewc"], ones, given).outputs(torch.zeros(0), given.rows)
    assert not torch.equal(held, other.outputs(torch.zeros(0), given.rows))
    with pytest.raises(MetatlError, match="learn it with the learner Importance"):
        fit(rows_["ewc"], net, given)


def test_rows_that_nobody_names_are_the_usual_ones() -> None:
    usual = rows(asked.words(None))
    assert all(row.usual for row in usual.values())
    assert {"fine-tuning", "gtl", "extra-trees"} <= set(usual)
    assert set(rows(asked.words("all"))) == set(rows()) > set(usual)
    assert set(rows(asked.with_references(["wise-ft"]))) == {"wise-ft", "logistic-regression", "ridge"}


def test_a_mask_moves_few_weights(net: Backbone) -> None:
    model = fit(replace(rows()["fish"], schedule=SHORT), net, labelled(net))
    assert model.body is not None
    before, after = dict(net.body().named_parameters()), dict(model.body.named_parameters())
    moved = sum(int((before[key] != after[key]).sum()) for key in before)
    assert 0 < moved <= 0.005 * sum(leaf.numel() for leaf in net.module.parameters())


def test_values_are_chosen_inside_the_labelled_rows(net: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    row = rows()["ridge"]
    seen: list[int] = []
    real = held_out.judged

    def watched(row: Row, net: Backbone, parts: Sequence[tuple[Labelled, Labelled]]) -> list[Tensor]:
        seen.extend(len(inside.y) for inside, _ in parts)
        return real(row, net, parts)

    monkeypatch.setattr(held_out, "judged", watched)
    given, one = labelled(net, 4), labelled(net, 1)
    several = choose.chosen(row, net, [given, one, given])
    assert [choice.how for choice in several] == ["cv", "default", "cv"]
    assert set(seen) == {6}  # four folds of eight rows, of two draws
    assert len(seen) == 2 * 4 * len(row.select["solver.l2"] if row.select else [])
    assert several[0] == several[2] == choose.chosen(row, net, [given])[0]
    assert choose.chosen(rows()["nearest-centroid"], net, [given])[0].how == "fixed"
    default = choose.chosen(rows()["fine-tuning"], net, [given], validate=False)[0]
    assert (default.how, default.selected) == ("default", {"rule.lr": 1e-4})


HEADS = [
    name
    for name in PLAIN
    if rows()[name].moves == "head" and rows()[name].reads == "labels" and not rows()[name].adaptation.columns
]


def short(row: Row) -> Row:
    """With few steps where a net is learned on both domains, whose laws are in test_net_across."""
    way: Any = row.adaptation
    learner = getattr(way, "learner", None)
    return (
        row if learner is None else replace(row, adaptation=replace(way, learner=replace(learner, steps=6)))
    )


@pytest.mark.parametrize("name", HEADS)
def test_draws_side_by_side_are_what_each_is_alone(net: Backbone, name: str) -> None:
    row, draws = (
        short(rows()[name]),
        [labelled(net, each, seed) for each, seed in [(3, 1), (3, 2), (2, 3), (3, 4)]],
    )
    together = judged(row, net, [(draw, draws[0]) for draw in draws])
    for draw, outputs in zip(draws, together, strict=True):
        alone = fit(row, net, draw).outputs(draws[0].features, draws[0].rows)
        assert torch.allclose(outputs, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["nearest-centroid", "logistic-regression", "head-only", "lp-ft", "no-transfer"]
)
def test_a_saved_model_gives_the_same_outputs(net: Backbone, tmp_path: Path, name: str) -> None:
    fitted = fit(replace(rows()[name], schedule=SHORT), net, labelled(net))
    made = photo_model(net, fitted, ("a", "b"), {"method": name})
    made.save(tmp_path / "m")
    opened = open_model(tmp_path / "m")
    x = labelled(net).rows()
    assert isinstance(opened.module, nn.Module)
    with torch.no_grad():
        expected = fitted.outputs(labelled(net).features, lambda: x)
        assert torch.allclose(made.module(x), expected, atol=1e-6)
        assert torch.equal(opened.module(x), made.module(x))
        assert torch.allclose(opened.module(x[:1]), made.module(x)[:1], atol=1e-5)  # inductive
    assert opened.names == ("a", "b")
    assert opened.preparation == made.preparation
    assert {path.name for path in (tmp_path / "m").iterdir()} == {"weights.safetensors", "model.json"}


def test_a_model_of_somebody_else_runs_nothing(net: Backbone, tmp_path: Path) -> None:
    fitted = fit(rows()["ridge"], net, labelled(net))
    photo_model(net, fitted, ("a", "b"), {}).save(tmp_path)
    values: dict[str, Any] = store.read_json(tmp_path / "model.json")
    values["readout"]["adaptation"] = {"class_path": "os.system", "init_args": {"command": "true"}}
    store.write_json(tmp_path / "model.json", values)
    with pytest.raises(MetatlError, match=r"os\.system.*not imported"):
        open_model(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda v: v.pop("readout"), "damaged"),
        (lambda v: v.update(version=9), "format version 9"),
        (lambda v: v["net"].update(kind="none"), "no recipe"),
    ],
)
def test_a_damaged_model_is_one_line(net: Backbone, tmp_path: Path, spoil: Any, said: str) -> None:
    photo_model(net, fit(rows()["ridge"], net, labelled(net)), ("a", "b"), {}).save(tmp_path)
    values: dict[str, Any] = store.read_json(tmp_path / "model.json")
    spoil(values)
    store.write_json(tmp_path / "model.json", values)
    with pytest.raises(MetatlError, match=said):
        open_model(tmp_path)


def pictures(count: int) -> tuple[np.ndarray[Any, Any], list[str]]:
    names = [list(COLOURS)[i % 3] for i in range(count)]
    x = np.random.default_rng(0).integers(0, 120, (count, 20, 24, 3)).astype(np.uint8)
    for i, name in enumerate(names):
        x[i, ..., ("red", "green", "blue").index(name)] += 120
    return x, names


def test_the_classifier_takes_arrays_paths_and_pictures(tmp_path: Path) -> None:
    x, y = pictures(12)
    files = [tmp_path / f"{i}.png" for i in range(12)]
    for file, one in zip(files, x, strict=True):
        Image.fromarray(one).save(file)
    found = Classifier(net=NET, method="ridge", size=SIZE).fit(x, y)
    shares = found.predict_proba(x)
    assert shares.shape == (12, 3)
    assert np.allclose(shares.sum(1), 1, atol=1e-6)
    assert found.score(x, y) == (found.predict(x) == np.array(y)).mean() > 0.5
    assert np.array_equal(found.predict_proba(files), shares)
    assert np.array_equal(found.predict_proba([Image.open(file) for file in files]), shares)
    assert np.allclose(found.predict_proba(x / 255), shares)
    with torch.no_grad():
        prepared = torch.stack([found.model.preparation(as_seen(file, "")) for file in files])
        assert np.allclose(found.to_module()(prepared).softmax(-1).numpy(), shares, atol=1e-6)
    found.save(tmp_path / "m")
    again = Classifier.load(tmp_path / "m")
    assert np.array_equal(again.predict_proba(x), shares)
    assert again.predict(x).tolist() == found.predict(x).tolist()


@pytest.mark.parametrize("labels", [[3, 7] * 3, [True, False] * 3, ["b", "a"] * 3])
def test_labels_keep_their_kind(tmp_path: Path, labels: list[Any]) -> None:
    x, _ = pictures(6)
    found = Classifier(NET, "nearest-centroid", SIZE).fit(x, labels)
    assert set(found.predict(x).tolist()) <= set(labels)
    found.save(tmp_path)
    assert Classifier.load(tmp_path).predict(x).tolist() == found.predict(x).tolist()


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (pictures(4)[0], ["a"] * 4, "two classes or more"),
        (pictures(4)[0], ["a", "b"], "4 photos and 2 targets"),
        (np.full((4, 20, 20, 3), 300.0), ["a", "b"] * 2, "floats from 0 to 1"),
        (np.zeros((4, 20), np.uint8), ["a", "b"] * 2, r"picture 0 is uint8 of shape \(20,\)"),
        ([], [], "there are no photos"),
        ("one.png", ["a"], "list of pictures"),
    ],
)
def test_what_a_classifier_cannot_fit_is_one_line(x: Any, y: Any, said: str) -> None:
    with pytest.raises(MetatlError, match=said):
        Classifier(NET, "ridge", SIZE).fit(x, y)


def test_a_classifier_that_is_not_fitted_says_so() -> None:
    with pytest.raises(MetatlError, match="not fitted"):
        Classifier(NET).predict(pictures(2)[0])


def test_rates_rows_and_shares_are_multiplied_for_another_net() -> None:
    row, name = rows()["fish"], "rule.lr"
    found = scaled(row, 10.0, 20.0)
    assert isinstance(found.adaptation, Descent)
    assert found.adaptation.rule == Adam(10 * 3e-4)
    assert found.select is not None
    assert row.select is not None
    assert found.select[name] == pytest.approx([10 * lr for lr in row.select[name]])
    assert found.schedule.most == 20 * row.schedule.most
    assert found.mask is not None
    assert found.mask.shape == TopK(20 * 0.005)
    assert scaled(row, 1.0, 1.0) == row
    assert scaled(rows()["ridge"], 10.0, 20.0) == rows()["ridge"], "its body does not move"


def test_real_targets_come_back_in_their_own_units() -> None:
    y = torch.tensor([[3.0, 7.0], [5.0, 7.0], [13.0, 7.0]], dtype=torch.float64)
    scale = Scale.of(y)
    assert torch.allclose(scale.down(y).mean(0), torch.zeros(2), atol=1e-6)
    assert torch.allclose(scale.down(y).std(0, correction=0), torch.tensor([1.0, 0.0]))
    assert torch.allclose(scale.up(scale.down(y)), y)
    labels = torch.tensor([0, 2, 1])
    assert Scale.of(labels).down(labels) is labels
    outputs = torch.randn(3, 3)
    assert torch.equal(Scale.of(labels).up(outputs), outputs)


def test_rows_that_are_not_usual_run_where_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, usual in {"ridge": "true", "bias-only": "false"}.items():
        text = store.read_text(transferring_rows.FOLDER / f"{name}.yaml", "row")
        (tmp_path / f"{name}.yaml").write_text(f"{text}usual: {usual}\n")
    monkeypatch.setattr(transferring_rows, "FOLDER", tmp_path)
    assert list(rows(asked.words(None))) == ["ridge"]
    assert list(rows(["usual", "bias-only"])) == list(rows(["all"])) == ["ridge", "bias-only"]
    assert list(rows(["bias-only"])) == ["bias-only"]
    (tmp_path / "broken.yaml").write_text("usual: false\nadaptation: {class_path: Nothing}\n")
    assert list(rows(["usual"])) == ["ridge"]  # what is not asked for is not made
    (tmp_path / "broken.yaml").unlink()
    assert {row["method"]: row["usual"] for row in listing()} == {"ridge": True, "bias-only": False}
    with pytest.raises(MetatlError, match="nearest: ridge"):
        rows(["rigde"])

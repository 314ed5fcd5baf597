"""Pictures of another size, bytes and images of PIL go through the preparation of the run's own data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metatl import Descent, MetatlError, Net, Personaliser, Tasks
from metatl.data import Arrays, ImageFolder, Omniglot, Source, Taskset
from metatl.data.pictures import as_rows
from metatl.heads import Zeros
from metatl.models import MLP
from metatl.rules import SGD


def photos(root: Path, count: int = 6) -> list[Image.Image]:
    """Noise of different sizes, one a class; PNG, so that files hold what the images do."""
    draw, made = np.random.default_rng(0), list[Image.Image]()
    for i in range(count):
        made.append(Image.fromarray(draw.integers(0, 256, (9 + i, 14 - i, 3), dtype=np.uint8)))
        (root / f"class{i}").mkdir(parents=True)
        made[-1].save(root / f"class{i}" / "a.png")
    return made


@pytest.mark.parametrize("grey", [True, False])
def test_an_image_is_the_row_that_its_file_is(grey: bool, tmp_path: Path) -> None:
    images = photos(tmp_path / "photos")
    source = ImageFolder(str(tmp_path / "photos"), 8, grey, (1.0, 0.0, 0.0))
    data = source.load()
    bank = data.banks["meta_train"]
    right = bank.gather(torch.arange(len(images)))
    arrays = [np.asarray(image) for image in images]
    for x in (images, arrays, [images[0], *arrays[1:]], [a.transpose(2, 0, 1) for a in arrays]):
        assert torch.equal(as_rows(x, source, data.shape), right)
    same = [image.resize((20, 12)) for image in images]
    stacked: Any = np.stack([np.asarray(image) for image in same])
    expected = as_rows(same, source, data.shape)
    for x in (stacked, torch.from_numpy(stacked), stacked.transpose(0, 3, 1, 2), stacked / 255.0):
        assert torch.equal(as_rows(x, source, data.shape), expected)
    sixteen = stacked.astype(np.uint16) * 257
    assert torch.equal(as_rows(sixteen, source, data.shape), expected)


def model(source: Source, shape: tuple[int, ...]) -> Personaliser:
    torch.manual_seed(0)
    net = Net.of(MLP(shape, 3, (8,)))
    return Personaliser(net, net.start(), Descent(SGD(0.5), 5, Zeros()), shape, source)


def test_a_run_adapts_to_photos_and_labels_new_ones(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos")
    source = ImageFolder(str(tmp_path / "photos"), 8, False, (1.0, 0.0, 0.0))
    right = source.load().banks["meta_train"].gather(torch.arange(6))
    mine, labels = model(source, (3, 8, 8)), [*"abcabc"]
    rows, pictures = mine.adapt(right, labels), mine.adapt(images, labels)
    assert torch.equal(rows.outputs(right), pictures.outputs(images))
    assert pictures.predict(images[:2]) == rows.predict(right[:2])
    seen = images[0].convert("RGBA")
    seen.putalpha(0)
    white = pictures.outputs([seen])
    assert torch.equal(white, pictures.outputs(torch.ones(1, 3, 8, 8))), "what is transparent shows white"
    with pytest.raises(MetatlError, match=r"outside 0 \.\. 1"):
        pictures.outputs(torch.full((1, 3, 9, 9), 3.0))
    for bad in (np.zeros((2, 5)), torch.zeros(2, 2, 9, 9), torch.zeros(2, 3, 9, 9, dtype=torch.int64)):
        with pytest.raises(MetatlError, match=r"takes \(3, 8, 8\)"):
            pictures.outputs(bad)
    with pytest.raises(MetatlError, match="among pictures"):
        pictures.outputs([images[0], np.zeros(4)])


def test_rows_of_the_runs_shape_are_taken_as_they_are() -> None:
    x = torch.randn(4, 1, 8, 8)
    for given in (x, (255 * torch.rand(4, 8, 8)).to(torch.uint8), x.permute(0, 2, 3, 1)):
        assert as_rows(given, Arrays("d.npz"), (1, 8, 8)) is given
    assert as_rows(x, None, (1, 9, 9)) is x, "no source, as for a net of one's own"
    assert as_rows(x, Arrays("d.npz"), (4,)) is x


def test_sides_may_differ() -> None:
    x = np.arange(2 * 8 * 12, dtype=np.uint8).reshape(2, 8, 12)
    found = as_rows(x, Arrays("d.npz"), (1, 4, 3))
    assert found.shape == (2, 1, 4, 3)
    mean = x.reshape(2, 4, 2, 3, 4).mean((2, 4))
    assert float((found[:, 0] * 255 - torch.from_numpy(mean)).abs().max()) <= 0.5 + 1e-4


def test_omniglot_turns_paper_into_zeros() -> None:
    page = np.full((105, 105), 255, np.uint8)
    page[30:60, 40:50] = 0
    found = as_rows(page[None], Omniglot(), (1, 28, 28))
    assert (float(found.min()), float(found.max())) == (0.0, 1.0)
    assert 0.02 < float(found.mean()) < 0.04


def test_a_taskset_says_that_it_cannot(tmp_path: Path) -> None:
    with pytest.raises(MetatlError, match="tasksets prepare their pictures themselves"):
        as_rows([Image.new("L", (5, 5))], Taskset("a.b"), (1, 8, 8))


def test_the_preparation_of_a_run_is_loaded_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metatl import apply_delta, load
    from metatl.lab import config
    from metatl.lab.run import learn, prepare

    monkeypatch.chdir(tmp_path)
    images = photos(tmp_path / "photos", 12)
    for i, image in enumerate(images):  # a second example of every class
        image.rotate(90).save(tmp_path / "photos" / f"class{i}" / "b.png")
    tasks = Tasks(2, 1, 1)
    values = {
        "name": "a",
        "data": {"class_path": "ImageFolder", "init_args": {"path": "photos", "size": 8}},
        "model": {"class_path": "MLP", "init_args": {"hidden": [8]}},
        "adaptation": {"head": {"class_path": "Zeros"}, "steps": 2},
        "evaluation": {"tasks": {"way": tasks.way, "shot": 1, "query": 1}, "episodes": 2},
    }
    run = prepare(config.parse(values))
    learn(run)
    base = load(run.folder)
    mine = base.adapt(images[:4], [0, 1, 0, 1])
    assert mine.outputs(images).shape == (12, 2)
    mine.save_delta(tmp_path / "mine.delta")
    again = apply_delta(base, tmp_path / "mine.delta")
    torch.testing.assert_close(again.outputs(images), mine.outputs(images))

"""Glyphs: a drawing depends on (seed, character, drawing) alone; the set is as hard as it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metatl.data import ClassData, Glyphs, Tasks
from metatl.types import MetatlError, Split

FEW = Glyphs(train_classes=60, val_classes=20, test_classes=40)


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory: pytest.TempPathFactory) -> ClassData:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return FEW.load()


def test_a_drawing_depends_on_its_own_numbers_alone(glyphs: ClassData) -> None:
    train = glyphs.banks["meta_train"].x
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(5)
    for characters in ([7], [59, 3, 7], list(range(20, 34))):
        drawn = FEW.render(torch.tensor(characters))
        for c, images in zip(characters, drawn, strict=True):
            assert torch.equal(images[:, None], train[20 * c : 20 * c + 20])
    fewer = replace(FEW, examples=5).render(torch.tensor([3]))[0]
    assert torch.equal(fewer[:, None], train[60:65])


def test_splits_do_not_depend_on_each_other_and_share_nothing(glyphs: ClassData, cache_home: Path) -> None:
    other = replace(FEW, train_classes=5, val_classes=3).load()
    assert torch.equal(other.banks["meta_test"].x, glyphs.banks["meta_test"].x)
    assert torch.equal(other.banks["meta_train"].x, glyphs.banks["meta_train"].x[:100])
    names = [set(bank.names) for bank in glyphs.banks.values()]
    assert [len(own) for own in names] == [60, 20, 40]
    assert len(set.union(*names)) == 120
    images = torch.cat([bank.x for bank in glyphs.banks.values()]).flatten(1)
    assert images.unique(dim=0).shape == (2400, 784)
    reseeded = replace(FEW, seed=1, train_classes=5, val_classes=1, test_classes=1).load()
    assert not torch.equal(reseeded.banks["meta_train"].x, other.banks["meta_train"].x)
    assert reseeded.content != other.content != glyphs.content


def test_images_are_characters_in_ink_on_paper(glyphs: ClassData) -> None:
    x = glyphs.banks["meta_train"].x
    assert x.dtype == torch.uint8
    assert glyphs.shape == (1, 28, 28)
    ink = (x > 127).flatten(1).float().mean(1)
    assert 0.10 < ink.mean() < 0.25
    assert ink.min() > 0.02
    assert ink.max() < 0.6
    edge = torch.ones(28, 28, dtype=torch.bool)
    edge[2:-2, 2:-2] = False
    inside = (x[:, 0][:, ~edge] > 127).sum() / (x > 127).sum()
    assert inside > 0.9  # hardly anything runs off the sheet
    middling = ((x > 60) & (x < 190)).float().mean()
    assert middling < 0.15  # strokes, not clouds


def nearest_mean(data: ClassData, split: Split, shot: int) -> float:
    episode = data.draw(split, Tasks(5, shot, 15), 1, 0, 200)
    centres = episode.support.x.flatten(2).view(200, shot, 5, -1).mean(1)
    guess = torch.cdist(episode.query.x.flatten(2), centres).argmin(-1)
    return float((guess == episode.query.y).float().mean())


def test_pixels_alone_do_not_tell_characters_apart(glyphs: ClassData, cache_home: Path) -> None:
    assert 0.35 < nearest_mean(glyphs, "meta_train", 1) < 0.5
    assert 0.5 < nearest_mean(glyphs, "meta_train", 5) < 0.75
    steady = replace(FEW, jitter=0.3, val_classes=1, test_classes=1).load()
    assert nearest_mean(steady, "meta_train", 1) > 0.75


def test_the_cache_is_used_and_heals(cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = replace(FEW, train_classes=3, val_classes=2, test_classes=2)
    first = few.load()
    (path,) = cache_home.rglob("glyphs-*.npz")
    path.write_bytes(path.read_bytes()[:-2000])
    second = few.load()
    with monkeypatch.context() as patch:
        patch.setattr(Glyphs, "render", lambda *_: pytest.fail("drawn although it is in the cache"))
        third = few.load()
    for data in (second, third):
        for split in data.banks:
            assert torch.equal(data.banks[split].x, first.banks[split].x)
        assert data.content == first.content


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train_classes": 0}, "train_classes is 0: it must be 1 .."),
        ({"test_classes": 1 << 21}, "test_classes is"),
        ({"examples": 0}, "examples is 0"),
        ({"size": 2}, "size is 2: it must be at least 8"),
        ({"jitter": -1.0}, "jitter is -1.0: it must be 0 .. 3"),
        ({"jitter": float("nan")}, "jitter is nan"),
        ({"vocabulary": 0}, "vocabulary is 0"),
    ],
)
def test_fields_out_of_range_are_one_line(fields: dict[str, float], message: str, cache_home: Path) -> None:
    with pytest.raises(MetatlError) as caught:
        replace(FEW, **fields).load()  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(cache_home.rglob("*.npz"))


def test_the_published_images_stay_what_they_were(cache_home: Path) -> None:
    """Recorded fingerprints: if the renderer is changed on purpose, raise VERSION and record them anew."""
    few = Glyphs(train_classes=4, val_classes=2, test_classes=2)
    data = few.load()
    assert [bank.fingerprint for bank in data.banks.values()] == GOLDEN_IMAGES
    assert data.fingerprint("meta_train", Tasks(2, 1, 1), 0, 5) == GOLDEN_STREAM


GOLDEN_IMAGES = ["67470cb8685620a5", "7ef666ee6ce77476", "54808531e1eee0d9"]
GOLDEN_STREAM = "a78daebefd2ccb9b"

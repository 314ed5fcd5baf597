"""The real data sets, read as they lie after downloading; skipped without them, a failure in CI."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from metatl.data import SPLITS, ClassData, GroupArrays, GroupData, Mnist, Omniglot, Tasks, catalogue
from metatl.data import mnist as mnist_files
from metatl.data import omniglot as omniglot_files
from metatl.data.hapt import arrays
from metatl.data.omniglot import characters
from metatl.data.omniglot_splits import split_characters
from metatl.lab import config
from metatl.lab.run.prepare import prepare
from metatl.pretrained import Preparation
from metatl.types import MetatlError, Split

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def home(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """METATL_DATA is the real data, and the cache is empty at first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METATL_DATA", str(data_root))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield data_root


@pytest.fixture(scope="module")
def omniglot(home: Path) -> ClassData:
    return Omniglot().load()


def counts(data: ClassData) -> list[tuple[int, int]]:
    return [(data.classes(split), sum(data.banks[split].sizes)) for split in SPLITS]


def test_a_picture_is_prepared_for_a_net_as_its_set_prepares_it(home: Path, omniglot: ClassData) -> None:
    """Omniglot's drawings are dark on light and its examples ink 1; MNIST's digits are light on dark."""
    names = omniglot.banks["meta_train"].names
    name, drawings = next(one for one in characters(home / "omniglot") if one[0] in names)
    made = Preparation(28, (1.0,), (-1.0,), "area", channels=1)
    rows = omniglot.banks["meta_train"].pick([names.index(name)]).gather(torch.arange(20))
    mine = torch.stack([made(Image.fromarray(drawing)) for drawing in drawings])
    torch.testing.assert_close(mine, rows, rtol=0, atol=1e-6)
    scale, shift = omniglot.pixels() or (0.0, 0.0)
    assert (255 * scale, shift) == (-1.0, 1.0)
    assert Mnist().load().pixels() == (1 / 255, 0.0)


def test_every_set_is_whole(home: Path) -> None:
    for name in ("omniglot", "mnist", "hapt"):
        assert catalogue.verify(name) == f"{name}: whole, every value as published ({home / name})"
        assert catalogue.download(name) == f"{name}: {home / name}"


def test_omniglot_has_the_published_counts(omniglot: ClassData) -> None:
    assert counts(omniglot) == [(1028, 20560), (172, 3440), (423, 8460)]
    assert omniglot.describe()["official"] is True
    names = [name for split in SPLITS for name in omniglot.banks[split].names]
    assert len(set(names)) == 1623
    lake = Omniglot(split="lake").load()
    assert counts(lake) == [(806, 16120), (158, 3160), (659, 13180)]
    alphabets = [{name.split("/")[0] for name in lake.banks[split].names} for split in SPLITS]
    assert [len(own) for own in alphabets] == [25, 5, 20]
    assert len(set.union(*alphabets)) == 50
    assert counts(Omniglot(rotations="classes").load())[2] == (1692, 33840)
    turned = Omniglot(rotations="augment").load()
    assert counts(turned)[0] == (1028, 20560)
    assert turned.content != omniglot.content


def test_the_rule_gives_the_published_split(home: Path, omniglot: ClassData) -> None:
    names = [*_in_file_order(home)]
    listed = split_characters(names, "vinyals", home / "omniglot" / "splits_vinyals")
    assert listed == split_characters(names, "vinyals", Path("nowhere"))
    for split, file in (("meta_train", "train"), ("meta_val", "val"), ("meta_test", "test")):
        lines = (home / "omniglot" / "splits_vinyals" / f"{file}.txt").read_text().split()
        assert {line.rsplit("/", 1)[0] for line in lines} == set(omniglot.banks[split].names)


def _in_file_order(home: Path) -> Iterator[str]:
    for archive in ("images_background.zip", "images_evaluation.zip"):
        with zipfile.ZipFile(home / "omniglot" / archive) as held:
            members = {
                name.split("/", 1)[1].rsplit("/", 1)[0] for name in held.namelist() if name.endswith(".png")
            }
        yield from sorted(members)


def test_omniglot_is_ink_on_paper_and_cached(omniglot: ClassData, monkeypatch: pytest.MonkeyPatch) -> None:
    x = omniglot.draw("meta_test", Tasks(20, 5, 15), 0, 0, 4).query.x
    assert x.shape == (4, 300, 1, 28, 28)
    assert 0.05 < x.mean() < 0.15
    assert x.min() == 0
    assert 0.9 < x.max() <= 1
    monkeypatch.setattr(
        omniglot_files, "read_image", lambda *_: pytest.fail("decoded although it is in the cache")
    )
    again = Omniglot().load()
    assert again.content == omniglot.content
    assert again.fingerprint("meta_test", Tasks(), 0, 100) == omniglot.fingerprint(
        "meta_test", Tasks(), 0, 100
    )


def test_area_resize_keeps_the_ink(home: Path, omniglot: ClassData) -> None:
    name, drawings = next(omniglot_files.characters(home / "omniglot"))
    assert name == "Alphabet_of_the_Magi/character01"
    place = omniglot.banks["meta_train"].names.index(name)
    small = omniglot.banks["meta_train"].x[20 * place : 20 * place + 20].double().mean((1, 2, 3))
    assert np.allclose(small, (255.0 - drawings).mean((1, 2)), atol=0.2)


def damaged_copy(home: Path, folder: Path, archive: str, member: str, content: bytes | None) -> Path:
    """Both archives, in one of them a member replaced or left out."""
    folder.mkdir()
    for name in ("images_background.zip", "images_evaluation.zip"):
        (folder / name).symlink_to(home / "omniglot" / name)
    (folder / archive).unlink()
    with (
        zipfile.ZipFile(home / "omniglot" / archive) as source,
        zipfile.ZipFile(folder / archive, "w") as target,
    ):
        for name in source.namelist():
            if not name.endswith(member):
                target.writestr(name, source.read(name))
            elif content is not None:
                target.writestr(name, content)
    return folder


def test_a_damaged_archive_is_one_line(home: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("images_background.zip", "images_evaluation.zip"):
        (broken / name).write_bytes((home / "omniglot" / name).read_bytes()[:100_000])
    less = damaged_copy(
        home, tmp_path / "less", "images_evaluation.zip", "Angelic/character01/0965_07.png", None
    )
    odd = damaged_copy(
        home, tmp_path / "odd", "images_background.zip", "character01/0709_07.png", b"no image"
    )
    told = {
        broken: "images_background.zip: is damaged",
        less: "images_evaluation.zip: Angelic/character01 has 19 drawings",
        odd: "0709_07.png: cannot be read as an image",
        tmp_path / "none": "not in",
    }
    for folder, message in told.items():
        with pytest.raises(MetatlError) as caught:
            Omniglot(root=str(folder)).load()
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_mnist_in_both_layouts(home: Path, tmp_path: Path) -> None:
    data = Mnist().load()
    assert counts(data) == [(10, 55000), (10, 5000), (10, 10000)]
    assert data.banks["meta_test"].sizes[:3] == (980, 1135, 1032)  # as published
    few = Mnist(images=1003, train_digits=(7, 1, 4), test_digits=(2, 3)).load()
    assert few.banks["meta_train"].sizes == (335, 334, 334)
    assert few.banks["meta_train"].names == ("7", "1", "4")
    assert few.describe()["split"] == "by digit"
    found = mnist_files.arrays(home / "mnist")
    for name, array in zip(mnist_files.FILES.layouts[2], found, strict=True):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        (tmp_path / name).write_bytes(gzip.compress(header + array.tobytes(), 1))
    again = Mnist(root=str(tmp_path), images=1003, train_digits=(7, 1, 4), test_digits=(2, 3)).load()
    assert again.content == few.content
    with pytest.raises(MetatlError, match="images is 60000: it must be 10"):
        Mnist(images=60000).load()


HAPT = Path(__file__).resolve().parents[2] / "configs" / "hapt.yaml" / "fine-tune"


def hapt(**changed: Any) -> GroupData:
    """The people of the shipped configs, or others."""
    source = config.load(HAPT).data
    assert isinstance(source, GroupArrays)
    return replace(source, **changed).load()


def test_hapt_is_thirty_people(home: Path) -> None:
    data, held = hapt(), arrays(home / "hapt")
    people = [tuple(map(int, data.groups[split].ids)) for split in SPLITS]
    assert [len(own) for own in people] == [16, 5, 9]
    assert sorted(sum(people, ())) == list(range(1, 31))
    assert people[2] == tuple(held["test_subjects"].tolist())
    assert sorted(people[0] + people[1]) == held["train_subjects"].tolist()
    assert sum(len(data.groups[split].x) for split in SPLITS) == 10411
    assert data.describe()["left_out"] == []
    assert data.labels == tuple(str(one).lower() for one in held["activity"][:6])
    train = data.groups["meta_train"].x.double()
    assert train.mean((0, 2)).abs().max() < 1e-4
    assert (train.std((0, 2)) - 1).abs().max() < 1e-3
    episode = data.draw("meta_test", Tasks(shot=5, query=15), 0, 0, 18)
    assert episode.support.x.shape == (18, 30, 6, 128)
    assert episode.query.y.shape == (18, 90)
    assert sorted(int(data.group("meta_test", i)) for i in range(9)) == list(people[2])
    with pytest.raises(MetatlError, match="group 10 in meta_test of hapt_windows_128 has 19 rows"):
        data.check("meta_test", Tasks(shot=5, query=20))
    with pytest.raises(MetatlError, match="group '2' is listed twice"):
        hapt(val=("2", "5"))
    with pytest.raises(MetatlError, match="there is no group '31'"):
        hapt(test=("31",))


def test_other_people_of_hapt_can_be_left_out(home: Path) -> None:
    everybody = tuple(map(str, range(1, 31)))
    test, val = ("9", "1", "30"), ("4", "7")
    data = hapt(test=test, val=val, train=tuple(one for one in everybody if one not in test + val))
    train = data.groups["meta_train"].x.double()
    assert train.mean((0, 2)).abs().max() < 1e-4  # in units of those who are learned from
    together = hapt(train=everybody[:21], val=(), test=everybody[21:], join=7)
    assert together.draw("meta_train", Tasks(shot=2, query=0), 0, 0, 3).support.x.shape[:2] == (3, 84)
    with pytest.raises(MetatlError, match="join is 17; give 1 to 16"):
        hapt(join=17)


def test_hapt_halves_of_one_recording_make_one_side(home: Path) -> None:
    data = hapt()
    ten = data.groups["meta_test"].ids.index("10")
    counts = data.groups["meta_test"].counts[ten]
    assert counts.tolist() == [[27, 23, 19, 24, 24, 30], [26, 24, 19, 31, 22, 29]]


def test_rows_of_published_people_stay_what_they_were(home: Path) -> None:
    """Digests of rows and labels, taken when these people had a class of data of their own."""
    data = hapt()
    for split, known in ROWS.items():
        told, episode = hashlib.sha256(), data.draw(split, Tasks(shot=5, query=15), 0, 0, 45)
        for batch in (episode.support, episode.query):
            assert isinstance(batch.y, Tensor)
            told.update(batch.x.numpy().tobytes() + batch.y.numpy().tobytes())
        assert told.hexdigest()[:16] == known, split


def test_published_streams_stay_what_they_were(home: Path, omniglot: ClassData) -> None:
    """Recorded fingerprints of the episodes that results are reported on."""
    prints = [
        data.fingerprint("meta_test", Tasks(5, 1, 15), 0, 600)
        for data in (omniglot, Omniglot(rotations="augment").load(), Mnist().load(), hapt())
    ]
    assert prints == GOLDEN


GOLDEN = ["14958491d9698f30", "a04187aec1015fe0", "ee64b4dd93e66069", "f8212fceb6e6d9b4"]
ROWS: dict[Split, str] = {
    "meta_train": "c5fa6621d4b33a3e",
    "meta_val": "8a1e05d01c25225c",
    "meta_test": "8382ee3e859a1721",
}


DIGITS = """
name: digits
data: {class_path: Mnist, init_args: {images: 1000}}
model: MLP
learner: {class_path: Supervised, init_args: {steps: 1}}
adaptation: {steps: 1}
evaluation: {tasks: {way: 10, shot: 1, query: 5, subsets: enumerated}, episodes: 2, select_episodes: 1}
"""


def test_a_carried_output_layer_is_not_read_by_the_numbers_of_an_episode(home: Path, tmp_path: Path) -> None:
    """Digits are the same in all splits, so a net that was taught them can be asked for all ten, in order."""
    path = tmp_path / "digits.yaml"
    path.write_text(DIGITS)
    random = ("--evaluation.tasks.subsets", "random")
    episodic = ("--learner", "Episodic", "--learner.tasks.way", "10")
    assert prepare(config.load(path)).numbering == "shared"
    with pytest.raises(MetatlError, match=r"every episode numbers its own; choose adaptation.head Zeros"):
        prepare(config.load(path, random))
    assert prepare(config.load(path, (*random, "--adaptation.head", "Zeros"))).numbering == "shared"
    assert prepare(config.load(path, (*random, *episodic))).numbering == "own"

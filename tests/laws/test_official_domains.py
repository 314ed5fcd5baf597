"""SVHN, Syn Digits, GTSRB and Syn Signs in small made files of their authors' layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from metatl.data import Domains
from metatl.data.domain_arrays import DomainFile
from metatl.lab import grids
from metatl.types import MetatlError

RNG = np.random.default_rng(0)


def digits(folder: Path, front: str = "", zero: int = 10) -> np.ndarray:
    """Cropped digits, 20 and 10, 0 under the label `zero`; returns the pictures to learn from."""
    folder.mkdir()
    for part, count in (("test", 10), ("train", 20)):
        x = RNG.integers(0, 256, (32, 32, 3, count)).astype(np.uint8)
        y = np.arange(count) % 5
        savemat(folder / f"{front}{part}_32x32.mat", {"X": x, "y": np.where(y == 0, zero, y)[:, None]})
    return x


def signs(folder: Path, count: int = 6) -> Path:
    """Pictures of the sides 10 + class with a white box of a sign on black, two classes."""
    header = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
    for part, names in (("Final_Training/Images", ("00000", "00001")), ("Final_Test/Images", ("",))):
        for label, name in enumerate(names):
            place, lines = folder / part / name, [header]
            place.mkdir(parents=True)
            for i in range(count):
                side = 10 + label
                x = np.zeros((side, side, 3), np.uint8)
                x[2:8, 3:9] = 255
                Image.fromarray(x).save(place / f"{i:05d}.ppm")
                of = i % 2 if part.startswith("Final_Test") else label
                lines.append(f"{i:05d}.ppm;{side};{side};3;2;8;7;{of}")
            (place / f"GT-{name or 'final_test'}.csv").write_text("\n".join(lines))
    return folder


def synthetic(folder: Path, count: int = 20) -> Path:
    (folder / "train").mkdir(parents=True)
    lines = []
    for i in range(count):
        Image.fromarray(np.full((9, 8, 3), 10 * i, np.uint8)).save(folder / "train" / f"{i}.png")
        lines.append(f"train/{i}.png {i % 2} 0")
    (folder / "train_labelling.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize(("front", "zero"), [("", 10), ("synth_", 0)], ids=["svhn", "syn digits"])
def test_digits_keep_their_pixels_and_ten_is_zero(front: str, zero: int, tmp_path: Path) -> None:
    x = digits(tmp_path / "d", front, zero)
    found = DomainFile(str(tmp_path / "d"), "d").read()
    assert (found["train"].x.shape, found["test"].x.shape) == ((20, 3, 32, 32), (10, 3, 32, 32))
    assert found["train"].x.dtype == np.uint8
    assert np.array_equal(found["train"].x[7, 2], x[:, :, 2, 7])
    assert found["train"].y.tolist() == [i % 5 for i in range(20)]
    assert found["train"].scale == pytest.approx(1 / 255)


def test_signs_are_cut_to_their_box(tmp_path: Path) -> None:
    found = DomainFile(str(signs(tmp_path / "gtsrb")), "gtsrb", size=6).read()
    assert found["train"].x.shape == (12, 3, 6, 6)
    assert found["train"].x.min() == found["test"].x.min() == 255
    assert found["train"].y.tolist() == [0] * 6 + [1] * 6
    assert found["test"].y.tolist() == [0, 1] * 3
    table = tmp_path / "gtsrb/Final_Test/Images/GT-final_test.csv"
    table.rename(tmp_path / "gtsrb/GT-final_test.csv")  # where the archive of the classes leaves it
    assert DomainFile(str(tmp_path / "gtsrb"), "gtsrb", size=6).read()["test"].y.tolist() == [0, 1] * 3


def test_synthetic_signs_are_divided_at_random_and_every_picture_once(tmp_path: Path) -> None:
    found = DomainFile(str(synthetic(tmp_path / "s")), "s", size=4, test=0.2).read()
    values = [part.x[:, 0, 0, 0].tolist() for part in (found["train"], found["test"])]
    assert [len(part) for part in values] == [16, 4]
    assert sorted(values[0] + values[1]) == [10 * i for i in range(20)]
    assert all(x / 10 % 2 == y for x, y in zip(values[1], found["test"].y, strict=True))


def test_two_official_folders_are_two_domains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METATL_DATA", str(tmp_path))
    signs(tmp_path / "gtsrb")
    synthetic(tmp_path / "synsigns")
    data = Domains({"synsigns": "synsigns", "gtsrb": "gtsrb"}, ("synsigns",), "gtsrb", size=8).load()
    assert data.shape == (3, 8, 8)
    assert data.describe()["unlabelled"] == {"synsigns": 16, "gtsrb": 12}


def test_folders_that_are_none_of_these_are_one_line(tmp_path: Path) -> None:
    def line(folder: Path, said: str, size: int | None = 6) -> None:
        with pytest.raises(MetatlError, match=said) as error:
            DomainFile(str(folder), "d", size=size).read()
        assert "\n" not in str(error.value)

    (tmp_path / "empty").mkdir()
    line(tmp_path / "empty", "holds no domain; there must be train_32x32.mat")
    digits(tmp_path / "d")
    (tmp_path / "d/test_32x32.mat").write_bytes(b"no matlab file" * 20)
    line(tmp_path / "d", "test_32x32.mat: is damaged or no MATLAB file")
    savemat(tmp_path / "d/test_32x32.mat", {"X": np.zeros((4, 4)), "y": np.zeros(4)})
    line(tmp_path / "d", r"needs X \[h, w, channels, n\]")
    folder = signs(tmp_path / "gtsrb")
    line(folder, "differ in their sides; give the domains a size", None)
    table = folder / "Final_Training/Images/00000/GT-00000.csv"
    text = table.read_text()
    table.write_text(text.replace(";", ","))
    line(folder, "with ; between them")
    table.write_text(text.replace("00003.ppm", "lost.ppm"))
    line(folder, "lost.ppm: no such file")
    table.write_text(text.replace("3;2;8;7", "20;2;28;7"))
    line(folder, "is empty")
    table.write_text(text)
    (folder / "Final_Test/Images/GT-final_test.csv").unlink()
    line(folder, "GT-final_test.csv, which has the classes")
    (synthetic(tmp_path / "s") / "train_labelling.txt").write_text("train/0.png\n")
    line(tmp_path / "s", "is no file with its class")


CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "dann-pairs.yaml"


@pytest.mark.parametrize("pair", sorted(path.name for path in grids.configs(CONFIGS)))
def test_configs_of_the_published_pairs_are_whole(
    pair: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metatl.lab import config
    from metatl.lab.run import prepare

    monkeypatch.setenv("METATL_DATA", str(tmp_path))
    for name, front in (("svhn", ""), ("syn_digits", "synth_")):
        digits(tmp_path / name, front)
    signs(tmp_path / "gtsrb")
    synthetic(tmp_path / "syn_signs")
    x, y = RNG.integers(0, 256, (30, 28, 28)).astype(np.uint8), np.arange(30) % 5
    (tmp_path / "mnist").mkdir()
    np.savez(tmp_path / "mnist/mnist.npz", x_train=x, y_train=y, x_test=x[:10], y_test=y[:10])
    (tmp_path / "mnist_m").mkdir()
    np.savez(tmp_path / "mnist_m/mnist_m_8000.npz", x=x[..., None].repeat(3, 3), y=y, split=np.arange(30) % 2)
    few = {"way": 2 if "signs" in pair else 5, "shot": 1, "query": 1}
    words = [w for name, n in few.items() for w in (f"--evaluation.tasks.{name}", str(n))]
    words += ["--runs", str(tmp_path / "runs"), "--evaluation.episodes", "2"]
    words += ["--evaluation.select_episodes", "1"]
    run = prepare(config.load(CONFIGS / pair, words), words)
    source, _, target = run.data.name.partition(" to ")
    assert pair == f"{source}-to-{target}"
    assert run.data.shape[0] == 3

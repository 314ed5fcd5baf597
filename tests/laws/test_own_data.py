"""One's own arrays and folders become banks and splits in a line, or say in a line why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metatl.data import Arrays, Bank, ImageFolder, Tasks
from metatl.data.images import resize, resize_area
from metatl.types import MetatlError


def one_line(call: Any, message: str) -> None:
    with pytest.raises(MetatlError) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arrays_are_sorted_by_class_and_decoded() -> None:
    x = np.arange(12, dtype=np.uint8).reshape(3, 2, 2) * 20
    own = Bank.from_arrays(x, ["b", "a", "b"])
    assert own.names == ("a", "b")
    assert own.sizes == (1, 2)
    assert own.shape == (1, 2, 2)
    assert torch.equal(
        own.gather(torch.tensor([[0, 2]])), torch.from_numpy(x[[1, 2]])[None, :, None] * (1 / 255)
    )
    white = Bank.from_arrays(np.full((2, 3, 3), 255, np.uint8), [0, 1]).gather(torch.tensor([0]))
    assert white.min() == white.max() == 1.0
    colour = Bank.from_arrays(np.zeros((2, 5, 6, 3), np.uint8), [4, 9])
    assert colour.shape == (3, 5, 6)
    assert colour.names == ("4", "9")
    sensor = Bank.from_arrays(
        torch.randn(4, 6, 128, dtype=torch.float64), torch.tensor([1, 0, 1, 0]), ["sit", "run"]
    )
    assert sensor.shape == (6, 128)
    assert sensor.gather(torch.tensor([0])).dtype == torch.float32
    assert sensor.names == ("sit", "run")
    assert sensor.pick([1]).names == ("run",)
    assert torch.equal(sensor.pick([1, 0]).x, sensor.x[[2, 3, 0, 1]])
    assert sensor.fingerprint != sensor.pick([1, 0]).fingerprint


@pytest.mark.parametrize(
    ("x", "y", "names", "message"),
    [
        (np.zeros((3, 2)), [0, 1], None, "x has shape (3, 2) and y (2,)"),
        (np.zeros(3), [0, 1, 2], None, "they need [n, ...] and [n]"),
        (np.zeros((0, 2)), np.zeros(0, int), None, "n > 0"),
        (np.zeros((2, 2)), [0.5, 1.0], None, "labels are integers or strings"),
        (np.zeros((2, 2)), [0, 2], ["a", "b", "c"], "class 'b' is empty"),
        (np.zeros((2, 2)), [0, 3], ["a", "b", "c"], "must be integers 0 .. 2"),
        (np.zeros((2, 2)), ["a", "d"], ["a", "b"], "label 'd' is not among the names"),
        (np.array([[0.0], [np.nan]]), [0, 1], None, "example 1 of x holds a value that is not finite"),
        (np.array([[None], [1]], dtype=object), [0, 1], None, "holds object values"),
        (np.array([["p"], ["q"]]), [0, 1], None, "x holds <U1 values"),
    ],
)
def test_bad_arrays_are_one_line(x: Any, y: Any, names: Any, message: str) -> None:
    one_line(lambda: Bank.from_arrays(x, y, names), message)


def test_npz_files(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).random((40, 3)).astype(np.float32), np.arange(40) % 10
    np.savez(tmp_path / "own.npz", x=x, y=y, names=np.array([f"c{i}" for i in range(10)]))
    bank = Bank.from_npz(tmp_path / "own.npz")
    assert bank.names[3] == "c3"
    assert np.array_equal(bank.x[12:16].numpy(), x[y == 3])
    np.savez(tmp_path / "less.npz", x=x, labels=y)
    one_line(lambda: Bank.from_npz(tmp_path / "less.npz"), "needs the arrays x and y, and has x, labels")
    one_line(lambda: Bank.from_npz(tmp_path / "none.npz"), "none.npz: no such file")
    whole = (tmp_path / "own.npz").read_bytes()
    for damaged in (whole[:200], b"", b"nothing", whole.replace(x.tobytes()[:16], b"0" * 16)):
        (tmp_path / "bad.npz").write_bytes(damaged)
        one_line(lambda: Bank.from_npz(tmp_path / "bad.npz"), "is damaged or no npz file")
    np.savez(tmp_path / "object.npz", x=np.array([None]), y=np.array([0]))
    one_line(lambda: Bank.from_npz(tmp_path / "object.npz"), "is damaged or no npz file")


def test_classes_are_divided_by_share_or_by_name(tmp_path: Path) -> None:
    path = str(tmp_path / "own.npz")
    np.savez(path, x=np.arange(60, dtype=np.float32).reshape(30, 2), y=np.arange(30) % 10)
    own = Arrays(path, (0.5, 0.2, 0.3)).load()
    names = [set(bank.names) for bank in own.banks.values()]
    assert [len(part) for part in names] == [5, 2, 3]
    assert set.union(*names) == set(map(str, range(10)))
    assert own.name == "own"
    other = Arrays(path, (0.5, 0.2, 0.3), seed=1).load()
    assert other.banks["meta_train"].names != own.banks["meta_train"].names
    listed = Arrays(path, train=("3", "1"), test=("7", "2")).load()
    assert listed.banks["meta_train"].names == ("3", "1")
    assert listed.draw("meta_test", Tasks(2, 1, 2), 0, 0, 2).support.x.shape == (2, 2, 2)
    one_line(lambda: listed.check("meta_val", Tasks()), "own has no meta_val")
    one_line(lambda: Arrays(path, (0.9, 0.05, 0.05)).load(), "10 classes leave none for meta_")
    one_line(lambda: Arrays(path, (0.9, 0.9, 0.05)).load(), "add up to 1")
    one_line(lambda: Arrays(path, train=("3",), test=("11",)).load(), "there is no class '11'")
    one_line(lambda: Arrays(path, train=("3",), test=("3",)).load(), "class '3' is listed twice")
    one_line(lambda: Arrays(path).load("cuda:77"), "device 'cuda:77' is not there")
    one_line(lambda: Arrays(path).load("abacus"), "device 'abacus' is not there")


def folder_of(root: Path, classes: list[str], mode: str = "L") -> Path:
    for place, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for k in range(3):
            Image.new(mode, (10, 8), 40 * place + k).save(root / name / f"{k}.png")
    return root


def test_folders_of_images(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "letters", ["a", "b", "c", "d", "e"])
    (root / "a" / "notes.txt").write_text("not an image")
    bank = Bank.from_folder(root, size=6)
    assert bank.sizes == (3,) * 5
    assert bank.shape == (1, 6, 6)
    assert bank.x[3].unique().tolist() == [40]
    assert Bank.from_folder(root, size=4, grey=False).shape == (3, 4, 4)
    own = ImageFolder(str(root), fractions=(0.4, 0.2, 0.4)).load()
    assert [own.classes(split) for split in ("meta_train", "meta_val", "meta_test")] == [2, 1, 2]
    for part, names in (("train", ["a", "b"]), ("val", ["c", "d"]), ("test", ["e", "f"])):
        folder_of(tmp_path / "parts" / part, names)
    parts = ImageFolder(str(tmp_path / "parts")).load()
    assert parts.banks["meta_test"].names == ("e", "f")
    (root / "c" / "1.png").write_bytes(b"\x89PNG but no more")
    one_line(lambda: Bank.from_folder(root), "1.png: cannot be read as an image")
    (root / "f").mkdir()
    (root / "c" / "1.png").unlink()
    one_line(lambda: Bank.from_folder(root), "class 'f' is empty")
    one_line(lambda: Bank.from_folder(tmp_path / "nowhere"), "no such folder")
    one_line(lambda: Bank.from_folder(root / "f"), "holds no folders")


@pytest.mark.parametrize(("h", "w", "size"), [(105, 105, 28), (7, 5, 3), (4, 6, 9)])
def test_area_resize_is_the_exact_mean(h: int, w: int, size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, h, w), dtype=np.uint8)
    blocks = (
        images.repeat(size, 1).repeat(size, 2).astype(np.int64)
    )  # size copies a pixel: new pixels are whole blocks
    exact = blocks.reshape(2, size, h, size, w).sum((2, 4)) / (h * w)
    assert np.array_equal(resize_area(images, size), np.floor(exact + 0.5))


def test_nearest_and_lanczos_are_what_published_code_gets() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (3, 105, 105), dtype=np.uint8) * 255
    for k, image in enumerate(bits):
        one_bit = Image.fromarray(image).convert("1", dither=Image.Dither.NONE)
        # PIL resizes a 1-bit image by nearest neighbour whatever filter is asked for
        assert np.array_equal(
            resize(bits, 28, "nearest")[k], np.asarray(one_bit.resize((28, 28)).convert("L"))
        )
        lanczos = Image.fromarray(image).resize((28, 28), Image.Resampling.LANCZOS)
        assert np.array_equal(resize(bits, 28, "lanczos")[k], np.asarray(lanczos))

"""Files made to do harm: nothing in them is executed or written where they say, no size is believed."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.data import Arrays, Bank, ImageFolder
from metatl.data.archives import members
from metatl.data.mnist import read_idx
from metatl.lab import config, store
from metatl.lab.store.tensors import write_tensors
from metatl.learners import State
from metatl.types import MetatlError
from tests.commands import WAVES, refused, written
from tests.toys import toy_net

WHOLE = toy_net(norm=True, dtype=torch.float32).start()


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch {self.mark}",)


def one_line(action: Callable[[], object]) -> str:
    with pytest.raises(MetatlError) as caught:
        action()
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 700
    return said


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


HEADERS: dict[str, bytes] = {
    "a header of 2^63 bytes": struct.pack("<Q", 2**63) + b"{}",
    "a header of 2^64 - 1 bytes": struct.pack("<Q", 2**64 - 1) + b"{}",
    "a header of 90 MB that is not there": struct.pack("<Q", 90_000_000) + b"{}",
    "a giant tensor": safetensors({"x": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 8]}}),
    "a shape that overflows": safetensors(
        {"x": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 0]}}
    ),
    "offsets that go back": safetensors(
        {"x": {"dtype": "F32", "shape": [1], "data_offsets": [8, 4]}}, bytes(8)
    ),
    "offsets that overlap": safetensors(
        {k: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for k in "ab"}, bytes(8)
    ),
    "negative numbers": safetensors({"x": {"dtype": "F32", "shape": [-1], "data_offsets": [-4, 0]}}),
    "a type that is none": safetensors({"x": {"dtype": "OBJ", "shape": [1], "data_offsets": [0, 8]}}),
    "a header that nests": safetensors(b"[" * 100_000),
    "a list": safetensors([1, 2]),
    "notes that are numbers": safetensors({"__metadata__": {"format": 3}}),
    "notes alone": safetensors({"__metadata__": {"format": "metatl-transfer", "version": "1"}}),
    "a version in other digits": safetensors({"__metadata__": {"format": "metatl-transfer", "version": "²"}}),
    "an endless version": safetensors({"__metadata__": {"format": "metatl-transfer", "version": "9" * 5000}}),
    "a pickle": pickle.dumps({"x": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_a_hostile_transfer_is_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(HEADERS[name])
    assert str(path) in one_line(lambda: store.load_transfer(path))
    one_line(lambda: store.load_checkpoint(path))


@pytest.mark.parametrize(
    "notes",
    [
        {},
        {"names": "no json"},
        {"names": "[]"},
        {"names": "{}"},
        {"names": json.dumps({"params": ["nowhere"], "guide": [], "buffers": []})},
        {"names": json.dumps({"params": 3, "guide": [], "buffers": []})},
        {"names": json.dumps({"params": [[]], "guide": [], "buffers": [], "memory": [[]]}), "step": "x"},
        {"names": "[" * 50_000},
    ],
    ids=lambda notes: str(notes)[:40],
)
@pytest.mark.parametrize("kind", ["transfer", "checkpoint"])
def test_notes_that_lie_with_sums_that_fit(kind: str, notes: dict[str, str], tmp_path: Path) -> None:
    """A checksum keeps out accidents; who can compute it must not get further than a line either."""
    path = tmp_path / "a"
    write_tensors(path, kind, {"params::w": torch.zeros(2)}, notes)
    load = store.load_transfer if kind == "transfer" else store.load_checkpoint
    assert "header says nonsense" in one_line(lambda: load(path))


def test_a_pickled_checkpoint_is_never_opened(tmp_path: Path) -> None:
    mark, path = tmp_path / "pwned", tmp_path / "last.ckpt"
    for content in (pickle.dumps(Bomb(mark)), _torch_file(Bomb(mark))):
        path.write_bytes(content)
        one_line(lambda: store.load_checkpoint(path))
        one_line(lambda: store.load_transfer(path))
    assert not mark.exists()
    store.save_checkpoint(path, State(WHOLE, 3, {}))
    assert store.load_checkpoint(path)[0].step == 3


def _torch_file(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def test_pickled_objects_in_arrays_are_never_opened(tmp_path: Path) -> None:
    mark = tmp_path / "pwned"
    bombs: Any = np.array([Bomb(mark)] * 4, dtype=object)
    np.savez(tmp_path / "own.npz", x=bombs, y=np.arange(4))
    assert "Object arrays cannot be loaded" in one_line(lambda: Bank.from_npz(tmp_path / "own.npz"))
    (tmp_path / "own.npz").write_bytes(pickle.dumps(Bomb(mark)))
    one_line(lambda: Arrays(str(tmp_path / "own.npz")).load())
    np.save(tmp_path / "episodes.npy", bombs)
    (tmp_path / "report.json").write_text('{"version": 1}')
    one_line(lambda: store.load_report(tmp_path))
    assert not mark.exists()


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    mark = tmp_path / "pwned"
    for tag in (
        f"!!python/object/apply:os.system ['touch {mark}']",
        f"!!python/object/new:os.system ['touch {mark}']",
        f"!!python/object/apply:subprocess.run [[touch, {mark}]]",
        "!!python/name:os.system",
        "!!python/module:os",
        "!custom x",
    ):
        path = tmp_path / "a.yaml"
        path.write_text(f"name: {tag}\n")
        assert "not valid YAML" in refused("run", path)
        values = written(tmp_path, {**WAVES, "name": "a"}, "b.yaml")
        said = one_line(lambda v=values, t=tag: config.load(Path(v), ["--adaptation.rule", f"{{lr: {t}}}"]))
        assert "rule" in said or "lr" in said
    assert not mark.exists()


def archive(tmp_path: Path, infos: list[tuple[Any, bytes]]) -> Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for info, content in infos:
            made.writestr(info, content)
    return path


def test_archives_that_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metatl.data.archives._MOST_MEMBERS", 200)
    monkeypatch.setattr("metatl.data.archives._MOST_IN_ALL", 64 << 20)
    many = archive(tmp_path, [(f"{i}.png", b"") for i in range(201)])
    assert "too much, not read" in one_line(lambda: list(members(many, ".png")))
    big = archive(tmp_path, [(f"{i}.png", bytes(16 << 20)) for i in range(5)])
    assert big.stat().st_size < 200_000
    assert "too much, not read" in one_line(lambda: list(members(big, ".png")))
    whole = bytearray(archive(tmp_path, [("a.png", bytes(1000))]).read_bytes())
    place = bytes(whole).rindex(b"PK\x01\x02")
    whole[place + 24 : place + 28] = struct.pack("<I", 10)  # it claims ten bytes and unpacks to more
    (tmp_path / "a.zip").write_bytes(bytes(whole))
    assert "is damaged" in one_line(lambda: list(members(tmp_path / "a.zip", ".png")))
    before = sorted(tmp_path.iterdir())
    outside = archive(tmp_path, [("../../x.png", b"x"), ("/tmp.png", b"x")])
    assert "lies outside" in one_line(lambda: list(members(outside, ".png")))
    assert sorted(tmp_path.iterdir()) == before


def test_archives_that_zipfile_stumbles_over(tmp_path: Path) -> None:
    """A name that is no text, and a directory whose members begin nowhere: found by fuzzing."""
    whole = archive(tmp_path, [("é.png", b"x" * 40)]).read_bytes()
    (tmp_path / "a.zip").write_bytes(whole.replace("é".encode(), b"\xff\xff"))
    assert "is damaged" in one_line(lambda: list(members(tmp_path / "a.zip", ".png")))
    place = whole.rindex(b"PK\x01\x02")
    (tmp_path / "a.zip").write_bytes(whole[: place + 28] + b"\x00\x00" + whole[place + 30 :])
    assert "is damaged" in one_line(lambda: list(members(tmp_path / "a.zip", ".png")))


def test_arrays_that_numpy_takes_and_no_data_set_is(tmp_path: Path) -> None:
    path, x, y = tmp_path / "own.npz", np.zeros((4, 3)), np.arange(4)
    for names in (np.array(0.5), np.array("ab"), np.zeros((2, 2))):
        np.savez(path, x=x, y=y, names=names)
        assert "names has shape" in one_line(lambda: Bank.from_npz(path))
    np.savez(path, x=np.full((4, 3), 1e300), y=y)
    assert "not finite" in one_line(lambda: Bank.from_npz(path))
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("y" * 3000 + ".npy", b"\x93NUMPY" + bytes(200))
    assert "needs the arrays x and y, and has yyy" in one_line(lambda: Bank.from_npz(path))


def test_reports_without_a_checksum_must_say_everything(tmp_path: Path) -> None:
    """The reports of the first days have none, and neither has one that somebody typed."""
    shutil.copytree(Path(__file__).parent.parent / "golden" / "formats" / "first-days", tmp_path / "run")
    value = json.loads((tmp_path / "run" / "report.json").read_text())
    for group, key, to in (
        ("protocol", "transductive", None),
        ("protocol", "transductive", "no"),
        ("protocol", "score", "luck"),
        ("protocol", "way", 2.5),
        ("facts", "trainable", "many"),
        ("facts", "selected", [1]),
    ):
        changed = {**value[group], key: to}
        if to is None:
            del changed[key]
        store.write_json(tmp_path / "run" / "report.json", {**value, group: changed})
        assert "damaged" in one_line(lambda: store.load_report(tmp_path / "run"))
        assert "damaged" in refused("compare", tmp_path / "run")


def test_arrays_that_claim_more_than_there_is(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    for shape in ("(9999999999999,)", "(99999, 99999, 99999)", "(-1,)"):
        text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
        npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(80)
        with zipfile.ZipFile(path, "w") as made:
            made.writestr("x.npy", npy)
            made.writestr("y.npy", npy)
        assert "is damaged or no npz file" in one_line(lambda: Bank.from_npz(path))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("x.npy", bytes(1 << 20))
    small = path.read_bytes()
    place = small.rindex(b"PK\x01\x02")
    path.write_bytes(small[: place + 24] + struct.pack("<I", 0xF0000000) + small[place + 28 :])
    assert "claims 4026531840 bytes packed in" in one_line(lambda: Bank.from_npz(path))
    idx = tmp_path / "images.gz"
    idx.write_bytes(gzip.compress(b"\x00\x00\x08\x03" + struct.pack(">3I", 2**31, 2**31, 2**31) + bytes(99)))
    assert "no idx file" in one_line(lambda: read_idx(idx))


def test_pictures_that_claim_more_than_there_is(tmp_path: Path) -> None:
    folder = tmp_path / "images" / "a"
    folder.mkdir(parents=True)
    head = struct.pack(">2I5B", 200_000, 200_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + head
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (folder / "bomb.png").write_bytes(png)
    source = ImageFolder(str(tmp_path / "images"))
    assert "bomb.png: cannot be read as an image" in one_line(source.load)


def test_links_in_a_run_directory_lead_nowhere(tmp_path: Path) -> None:
    """What is written replaces a link, and is not written through it."""
    secret = tmp_path / "secret"
    secret.write_text("mine")
    path = tmp_path / "report.json"
    path.symlink_to(secret)
    store.write_text(path, "report")
    assert secret.read_text() == "mine"
    assert not path.is_symlink()

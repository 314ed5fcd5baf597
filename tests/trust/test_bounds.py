"""A few bytes that stand for many: refused in one line, in little time, before the memory is taken."""

from __future__ import annotations

import io
import itertools
import json
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.adapt import Descent
from metatl.data import Bank, GroupArrays, bounds
from metatl.heads import Zeros
from metatl.lab import config, store
from metatl.lab.store.tensors import read_tensors, write_tensors
from metatl.lab.yaml_values import yaml_values
from metatl.personalise import Personaliser
from metatl.transferring.open_model import open_model
from metatl.types import MetatlError
from tests.toys import INPUTS, toy_net

GIANT = 2**61 - 1
"""Multiples of it have one hash."""
NUMBERED = "abcdefghijklmno"


@contextmanager
def little(seconds: float = 5.0, mib: int = 64) -> Generator[None]:
    """Of time, and of what Python and numpy take."""
    tracemalloc.start()
    began = time.process_time()
    try:
        yield
        assert time.process_time() - began < seconds
        assert tracemalloc.get_traced_memory()[1] < mib << 20
    finally:
        tracemalloc.stop()


def refused(action: Callable[[], object], **most: Any) -> str:
    with little(**most), pytest.raises(MetatlError) as caught:
        action()
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 600
    return said


def npz(path: Path, members: dict[str, int], kind: str = "<f8") -> Path:
    """An npz file whose arrays hold so many bytes of zeros each, deflated; little memory is taken here."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, size in members.items():
            header = io.BytesIO()
            shape = (size // np.dtype(kind).itemsize,)
            np.lib.format.write_array_header_1_0(
                header, {"descr": kind, "fortran_order": False, "shape": shape}
            )
            with made.open(f"{name}.npy", "w") as member:
                member.write(header.getvalue())
                for _ in range(size >> 20):
                    member.write(bytes(1 << 20))
    return path


def test_members_that_nobody_reads_are_not_unpacked(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", {f"more{i}": 100 << 20 for i in range(3)})
    with zipfile.ZipFile(path, "a") as made:
        for name, array in (("x", np.ones((6, 2), np.float32)), ("y", np.arange(6) % 2)):
            stream = io.BytesIO()
            np.save(stream, array)
            made.writestr(f"{name}.npy", stream.getvalue())
    with little():
        assert Bank.from_npz(path).sizes == (3, 3)
    assert "has no array 'group'; it has" in refused(GroupArrays(str(path)).load)


def test_what_unpacks_to_too_much_is_told_from_its_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each member is small enough; all of them together are not."""
    path = npz(tmp_path / "a.npz", {"x": 150 << 20, "y": 150 << 20})
    assert path.stat().st_size < 1 << 20
    monkeypatch.setattr(bounds, "_ANYWAY", 200 << 20)
    assert "packed in" in refused(lambda: Bank.from_npz(path))
    monkeypatch.setattr(bounds, "_ANYWAY", 1 << 40)
    monkeypatch.setattr(bounds, "machine_memory", lambda: 1 << 30)
    assert "unpack to 300 MiB, and one file may take a quarter" in refused(lambda: Bank.from_npz(path))


def test_a_header_that_claims_more_than_its_member_has(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**9,)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as made:
        for name in "xy":
            made.writestr(f"{name}.npy", header.getvalue() + bytes(80))
    assert "claims 8000000000 bytes" in refused(lambda: Bank.from_npz(tmp_path / "a.npz"))


def test_the_machines_memory_is_known() -> None:
    assert 1 << 28 < bounds.machine_memory() < 1 << 50


@pytest.mark.parametrize("precision", ["exact", "half"])
def test_a_delta_that_unfolds(precision: Any, tmp_path: Path) -> None:
    base = toy_net(dtype=torch.float32)
    x, y = torch.randn(14, INPUTS), [0, 1, 2, 3, 4, 5, 6] * 2
    made = Personaliser(base, base.start(), Descent(steps=1, head=Zeros())).adapt(x, y)
    made.save_delta(tmp_path / "whole", precision=precision)
    tensors, header = read_tensors(tmp_path / "whole", "delta")
    whole = json.loads(header["whole"])
    name = next(iter(whole))
    for shape in ([600_000_000], [2**40, 2**40], [-1], [3, -5], "many", [[3]], {"a": 1}):
        told = {**header, "whole": json.dumps({**whole, name: shape})}
        for key in ("format", "version", "sha256", "sha256_header"):
            told.pop(key, None)
        write_tensors(tmp_path / "a", "delta", tensors, told)
        assert (tmp_path / "a").stat().st_size < 4000
        assert str(tmp_path / "a") in refused(lambda: store.load_delta(tmp_path / "a", base.start()))
    for counts in ([[0, 2**40]], [[0, -1]], [[10**6, 1]], 3, [[0]]):
        told = {**header, "counts": json.dumps(counts)}
        for key in ("format", "version", "sha256", "sha256_header"):
            told.pop(key, None)
        write_tensors(tmp_path / "a", "delta", tensors, told)
        assert "is damaged" in refused(lambda: store.load_delta(tmp_path / "a", base.start()))


def test_a_header_beyond_all_reason(tmp_path: Path) -> None:
    """A million tensors of no entries: bytes that are there, and minutes of names."""
    path = tmp_path / "a"
    entry = b'"%08d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    text = b"{" + b",".join(entry % i for i in range(300_000)) + b"}"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    assert "its header claims" in refused(lambda: store.load_transfer(path))


YAMLS = {
    "lists in lists": "[" * 400_000,
    "mappings in mappings": "{a: " * 100_000,
    "a block that goes in": "\n".join(" " * i + "a:" for i in range(800)),
    "a number in base 60": "x: " + ":".join(["1"] * 200_000),
    "a real number in base 60": "x: " + ":".join(["1"] * 200_000) + ".5",
    "a number of many digits": "x: " + "9" * 400_000,
    "a number of many binary digits": "x: 0b" + "1" * 400_000,
    "keys with one hash": "\n".join(f"{GIANT * i}: 0" for i in range(1, 480)),
    "keys with one hash in a flow": "{" + ", ".join(f"{GIANT * i}: 0" for i in range(1, 16_000)) + "}",
    "aliases": "a: &a [1, 1]\n"
    + "\n".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in itertools.pairwise(NUMBERED)
    ),
    "merges": "a: &a {x: 1}\n"
    + "\n".join(
        f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 10)}]}}" for old, new in itertools.pairwise(NUMBERED)
    ),
    "an alias in itself": "a: &a [*a]",
    "many values": "x: [" + "1, " * 200_000 + "]",
    "many mappings": "x: [" + "{}, " * 15_000 + "]",
    "a long text": "x: " + "a" * 1_100_000,
}


@pytest.mark.parametrize("name", YAMLS)
def test_a_yaml_that_bombs(name: str, tmp_path: Path) -> None:
    assert refused(lambda: yaml_values(YAMLS[name], "a.yaml")).startswith("a.yaml")
    (tmp_path / "a.yaml").write_text(YAMLS[name])
    assert str(tmp_path) in refused(lambda: config.load(tmp_path / "a.yaml"))


def test_what_is_small_is_read_as_ever() -> None:
    text = "a: &a {x: 1, y: [1e-3, 1.5, 0x1f, 1:30, ~, yes, 2001-01-01]}\nb: {<<: *a, x: -7}\nc: [*a, *a]"
    import yaml

    assert yaml_values(text, "a") == yaml.safe_load(text)


GRID = "name: a\ndata: Sinusoid\nmodel: MLP\nselect: "


@pytest.mark.parametrize(
    "grid",
    [
        "{rule.lr: [" + "0.1, " * 2_000 + "]}",
        "{rule.lr: [" + "0.1, " * 100 + "], steps: [" + "1, " * 100 + "]}",
        "{" + ", ".join(f"k{i}: [1, 2]" for i in range(200)) + "}",
    ],
)
def test_a_grid_that_nobody_can_try(grid: str, tmp_path: Path) -> None:
    from metatl.lab.experiment import candidates

    (tmp_path / "a.yaml").write_text(GRID + grid)
    assert "select: more than 500" in refused(
        lambda: candidates(config.load(tmp_path / "a.yaml")), seconds=20, mib=256
    )


def test_bases_that_branch(tmp_path: Path) -> None:
    for i in range(20):
        (tmp_path / f"{i}.yaml").write_text(f"base: [{i + 1}.yaml, {i + 1}.yaml]")
    (tmp_path / "20.yaml").write_text("name: a")
    assert "more than 100 files" in refused(lambda: config.load(tmp_path / "0.yaml"))


def test_a_saved_model_believes_no_size(tmp_path: Path) -> None:
    from metatl import Classifier
    from tests.laws.test_transfer_rows import NET, SIZE, pictures

    x, y = pictures(12)
    Classifier(net=NET, method="ridge", size=SIZE).fit(x, y).save(tmp_path)
    whole = store.read_json(tmp_path / "model.json")
    changes: list[dict[str, Any]] = [
        {"net": {**whole["net"], "arguments": {"filters": 20_000}}},
        {
            "net": {
                "kind": "built_in",
                "name": "MLP",
                "shape": [3, 20, 20],
                "arguments": {"hidden": [40_000] * 4},
            }
        },
        {"readout": {**whole["readout"], "width": 10**9}},
        {"classes": [str(i) for i in range(20_000)]},
        {"preparation": {**whole["preparation"], "size": 10**6}},
        {"preparation": {**whole["preparation"], "crop": 1e-6}},
    ]
    for change in changes:
        store.write_json(tmp_path / "model.json", {**whole, **change})
        refused(lambda: open_model(tmp_path))
    store.write_json(tmp_path / "model.json", whole)
    open_model(tmp_path)


def test_a_long_thin_picture_is_one_line(tmp_path: Path) -> None:
    from PIL import Image

    from metatl.pretrained import Preparation

    thin = Image.new("RGB", (1, 60_000))
    assert "too narrow" in refused(lambda: Preparation(224)(thin))


def test_a_json_without_end_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" + "[]," * 4_000_000 + "[]]")
    assert "longer than" in refused(lambda: store.read_json(tmp_path / "a.json"), mib=128)

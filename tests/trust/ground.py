"""Whole things to harm: a finished run, saved files of every kind, archives, and how a case may end."""

from __future__ import annotations

import gzip
import io
import os
import re
import resource
import shutil
import signal
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from PIL import Image

from metatl.lab import store
from metatl.train import Checkpoints
from metatl.types import MetatlError, Transfer
from tests.commands import config_of, metatl, only, written

LONGEST, ROOM = 180.0, 6 << 30
"""Seconds of processor time that a case may take, and bytes beyond what the process has.

A config that has lost its `steps` runs the default's 1,000, for most of a minute.
"""


@dataclass(frozen=True)
class Ground:
    """A folder with a config, its finished run (two checkpoints included), a base and a delta."""

    folder: Path
    config: Path
    run: Path
    base: Transfer
    files: dict[str, bytes]

    def fresh(self) -> Path:
        """A copy of the finished run, where the command looks for it; what lay there goes."""
        place = self.folder / "runs" / self.run.parent.name / self.run.name
        shutil.rmtree(self.folder / "runs", ignore_errors=True)
        shutil.copytree(self.run, place)
        return place


def made(folder: Path) -> Ground:
    """The ground, in a folder of its own."""
    path = written(folder, config_of("maml", 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "due", lambda _: True)
        assert metatl("run", path, "--runs", folder / "whole").code == 0
    run = only(folder / "whole")
    base = store.load_transfer(run / "transfer.safetensors")
    moved = {name: leaf + (leaf > 0) * 0.5 for name, leaf in base.params.items()}
    store.save_delta(
        folder / "a.delta", base, Transfer(moved, base.guide, base.buffers), "exact", {"labels": "[0]"}
    )
    files = {file.name: file.read_bytes() for file in run.iterdir() if "tfevents" not in file.name}
    files["a.delta"] = (folder / "a.delta").read_bytes()
    return Ground(folder, Path(path), run, base, files | archives())


def archives() -> dict[str, bytes]:
    """A zip, an npz, an idx file plain and gzipped, and a picture of every format."""
    zipped, arrays = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            archive.writestr(f"a/{i}.png", bytes(40))
    np.savez(arrays, x=np.random.default_rng(0).normal(size=(20, 4)), y=np.arange(20) % 5)
    idx = b"\x00\x00\x08\x03" + struct.pack(">3I", 2, 4, 4) + bytes(32)
    found = {"a.zip": zipped.getvalue(), "a.npz": arrays.getvalue(), "a-idx": idx, "a.gz": gzip.compress(idx)}
    picture = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    for kind in ("png", "jpeg", "bmp", "gif", "tiff", "webp", "ppm"):
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        found[f"picture.{kind}"] = buffer.getvalue()
    return found


@contextmanager
def bounded() -> Generator[None]:
    """No case hangs (in time of its own, not of the clock), none takes the machine's memory."""

    def stop(*_: object) -> NoReturn:
        raise AssertionError(f"still at it after {LONGEST} s")

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if _linux() else 0
    before, (soft, hard) = signal.signal(signal.SIGPROF, stop), resource.getrlimit(resource.RLIMIT_AS)
    if used:
        resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, hard))
    signal.setitimer(signal.ITIMER_PROF, LONGEST)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for other in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", other)
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _linux() -> bool:
    return sys.platform == "linux" and os.path.exists("/proc/self/statm")


def lands(action: Callable[[], Any]) -> Any:
    """The result, or the one line of MetatlError; anything else is a failure."""
    with bounded():
        try:
            return action()
        except MetatlError as error:
            said = str(error)
    assert said.strip()
    assert len(said) < 2000, said
    assert "\n" not in said, said
    return said


def command(*words: str | Path) -> int:
    """The exit code of a command that ends well, or with one line."""
    with bounded():
        said = metatl(*words)
    assert said.code in (0, 2), said
    if said.code == 2:
        assert len(said.lines) == 1, said
        assert said.lines[0].startswith("metatl: "), said
        assert "Traceback" not in said.lines[0]
        assert not re.search(r"[\x00-\x08\x1b]", said.lines[0]), said
    return said.code


def same(ours: Transfer, theirs: Transfer) -> bool:
    """Whether two transfers hold the same bits under the same names."""
    groups = [(getattr(ours, group), getattr(theirs, group)) for group in ("params", "guide", "buffers")]
    return all(
        list(one) == list(other) and all(torch.equal(one[n], other[n]) for n in one) for one, other in groups
    )

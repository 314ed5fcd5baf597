"""Reading and writing transfers, checkpoints and reports.

Tensors are kept as safetensors (no pickle, nothing executed on load), with a format version and a checksum of their
bytes in the header. Every file is written beside its place, synced, and renamed; the one before stays until then.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from metatl.evaluate import Report
from metatl.learners.learner import State
from metatl.types import MetatlError, Transfer

VERSION = 1
_SEP = "::"


def write_atomic(path: Path, content: bytes) -> None:
    """Write beside, sync, rename; raises MetatlError in one line where the file system refuses."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise MetatlError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another place"
        ) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run directory; raises MetatlError while another process does. A dead holder's lock is free again."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "w")
    except OSError as error:
        raise MetatlError(f"cannot write to {folder}: {error.strerror}; choose another place with --runs") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MetatlError(f"{folder} is in use by another process; wait for it or choose another seed") from error
        yield


def write_text(path: Path, text: str) -> None:
    """`write_atomic` for text."""
    write_atomic(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_atomic` for JSON, keys in the order given, floats in full."""
    write_text(path, json.dumps(value, indent=2, allow_nan=True) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file; raises MetatlError naming a missing or damaged one."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise MetatlError(f"{path} is not there") from error
    except (OSError, ValueError) as error:
        raise MetatlError(f"{path} is damaged or unreadable ({error}); delete it to have it made again") from error


def read_text(path: Path, what: str) -> str:
    """A text file's content; raises MetatlError naming a missing or unreadable one."""
    try:
        return path.read_text()
    except FileNotFoundError as error:
        raise MetatlError(f"{what} {path} is not there; check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise MetatlError(f"{what} {path} cannot be read ({error})") from error


def _digest(tensors: dict[str, Tensor]) -> str:
    sha = hashlib.sha256()
    for name in sorted(tensors):
        leaf = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name}{leaf.dtype}{tuple(leaf.shape)}".encode())
        sha.update(leaf.reshape(-1).view(torch.uint8).numpy().tobytes() if leaf.numel() else b"")
    return sha.hexdigest()


def _write_tensors(path: Path, kind: str, tensors: dict[str, Tensor], meta: dict[str, str]) -> None:
    # Clones: safetensors refuses tensors that share memory (an expanded guide, a tied weight).
    plain = {name: leaf.detach().cpu().contiguous().clone() for name, leaf in tensors.items()}
    header = {**meta, "format": f"metatl-{kind}", "version": str(VERSION), "sha256": _digest(plain)}
    write_atomic(path, save(plain, header))


def _read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise MetatlError(f"{path} is not there")
    try:
        with safe_open(path, "pt") as file:
            meta = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise MetatlError(f"{path} is damaged ({error}); restore it or run its config again") from error
    if meta.get("format") != f"metatl-{kind}":
        raise MetatlError(f"{path} is not a metatl {kind} but {meta.get('format', 'some other safetensors file')}")
    version = meta.get("version", "")
    if not version.isdigit() or int(version) > VERSION:
        raise MetatlError(f"{path} has format version {version}; this metatl reads up to {VERSION}: update metatl")
    if meta.get("sha256") != _digest(tensors):
        raise MetatlError(f"{path} is damaged (its checksum differs); restore it or run its config again")
    return tensors, meta


def _flat(transfer: Transfer) -> dict[str, Tensor]:
    groups = {"params": transfer.params, "guide": transfer.guide, "buffers": transfer.buffers}
    return {f"{group}{_SEP}{name}": leaf for group, tensors in groups.items() for name, leaf in tensors.items()}


def _group(tensors: dict[str, Tensor], group: str, order: list[str]) -> dict[str, Tensor]:
    return {name: tensors[f"{group}{_SEP}{name}"] for name in order}


def _orders(transfer: Transfer) -> dict[str, list[str]]:
    return {"params": list(transfer.params), "guide": list(transfer.guide), "buffers": list(transfer.buffers)}


def save_transfer(path: Path, transfer: Transfer, meta: dict[str, str] | None = None) -> None:
    """Write a transfer as safetensors."""
    header = {**(meta or {}), "names": json.dumps(_orders(transfer))}
    _write_tensors(path, "transfer", _flat(transfer), header)


def load_transfer(path: Path) -> Transfer:
    """Read a transfer; raises MetatlError for a missing, foreign, newer or damaged file."""
    tensors, meta = _read_tensors(path, "transfer")
    names = json.loads(meta["names"])
    return Transfer(*(_group(tensors, group, names[group]) for group in ("params", "guide", "buffers")))


def save_checkpoint(path: Path, state: State, seconds: float = 0.0) -> None:
    """Write a learner's state, and the seconds it took so far, as safetensors; the checkpoint before it stays as `<name>.previous`."""
    memory = {f"memory{_SEP}{role}{_SEP}{n}": t for role, ts in state.memory.items() for n, t in ts.items()}
    names = {**_orders(state.transfer), "memory": [[role, list(ts)] for role, ts in state.memory.items()]}
    meta = {"names": json.dumps(names), "step": str(state.step), "seconds": str(seconds)}
    if path.is_file():
        previous = path.with_name(path.name + ".previous")
        previous.unlink(missing_ok=True)
        os.link(path, previous)
    _write_tensors(path, "checkpoint", {**_flat(state.transfer), **memory}, meta)


def load_checkpoint(path: Path) -> tuple[State, float]:
    """Read a learner's state and its seconds; raises MetatlError for a missing, foreign, newer or damaged file."""
    tensors, meta = _read_tensors(path, "checkpoint")
    names = json.loads(meta["names"])
    carried = Transfer(*(_group(tensors, group, names[group]) for group in ("params", "guide", "buffers")))
    memory = {
        role: {name: tensors[f"memory{_SEP}{role}{_SEP}{name}"] for name in order}
        for role, order in names["memory"]
    }
    return State(carried, int(meta["step"]), memory), float(meta["seconds"])


def save_report(folder: Path, report: Report) -> None:
    """Write `episodes.npy` (scores in episode order) and `report.json`."""
    buffer = io.BytesIO()
    np.save(buffer, report.scores)
    write_atomic(folder / "episodes.npy", buffer.getvalue())
    write_json(
        folder / "report.json",
        {
            "version": VERSION,
            "method": report.method,
            "mean": report.mean,
            "ci95": report.ci95,
            "protocol": report.protocol,
            "facts": report.facts,
        },
    )


def load_report(folder: Path) -> Report:
    """Read what `save_report` wrote; raises MetatlError for a missing or damaged file."""
    value = read_json(folder / "report.json")
    try:
        scores: NDArray[np.float64] = np.load(folder / "episodes.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MetatlError(f"{folder / 'episodes.npy'} is missing or damaged ({error})") from error
    return Report(value["method"], scores, value["protocol"], value["facts"])

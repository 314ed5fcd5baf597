"""Transfers and checkpoints as safetensors with a format version and a checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from metatl import processes, tree
from metatl.lab.store.files import DamagedError, keep_previous, write_atomic, write_there
from metatl.lab.store.owner import OWNER, check_owner
from metatl.learners.learner import State
from metatl.opening import check_regular
from metatl.types import MetatlError, Transfer

VERSIONS = {"transfer": 2, "checkpoint": 2, "delta": 3, "model": 2}
"""The newest, by kind of file, and what is written where a transfer carries a rule's memory; the one before
where it does not. From 2 on, one checksum stands for the tensors and the header."""
SEP = "::"
_LONGEST_HEADER = 16 << 20
"""Bytes: a hundred thousand tensors."""
_MEMORY = "rule"
"""The group of a transfer's memory; a learner's own is `memory` in a checkpoint."""
_GROUPS = ("params", "guide", "buffers", _MEMORY)


def digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of tensors by name: names, types, shapes and bytes; the one in a transfer file's header."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        leaf = tensors[name].cpu()
        sha.update(f"{name}{leaf.dtype}{tuple(leaf.shape)}".encode())
        sha.update(tree.bits(leaf).numpy().tobytes())
    return sha.hexdigest()


def write_tensors(
    path: Path,
    kind: str,
    tensors: dict[str, Tensor],
    meta: dict[str, str],
    write: Callable[[Path, bytes], None] = write_atomic,
) -> None:
    """Write named tensors of this kind of file, with format, version and checksums in the header."""
    # Clones: safetensors refuses tensors that share memory (an expanded guide, a tied weight).
    plain = {name: leaf.detach().cpu().contiguous().clone() for name, leaf in tensors.items()}
    version = VERSIONS[kind] - (not any(name.startswith(_MEMORY + SEP) for name in tensors))
    header = {**meta, "format": f"metatl-{kind}", "version": str(version), "sha256": digest(plain)}
    write(path, _in_order(save(plain, _sealed(header))))


def _in_order(content: bytes) -> bytes:
    """The same file with its header sorted: safetensors writes notes in an order of chance."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[start:]


def _sealed(header: dict[str, str]) -> dict[str, str]:
    """The header, which holds its tensors' checksum, with its own: beside that one, or instead of it."""
    place = "sha256_header" if header["version"] == "1" else "sha256"
    return {**header, place: _header_digest(header)}


def _header_digest(header: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the header of such a file; raises MetatlError if it is not one, whole and not newer."""
    if not path.exists() or path.is_dir():
        raise MetatlError(f"{path} is not there")
    check_regular(path)
    try:
        _check_header(path)
        with safe_open(path, "pt") as file:
            meta = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise _damaged(path, " ".join(str(error).split())[:200]) from error
    if meta.get("format") != f"metatl-{kind}":
        raise MetatlError(
            f"{path} is not a metatl {kind} but {meta.get('format', 'some other safetensors file')}"
        )
    version, newest = meta.get("version", ""), VERSIONS[kind]
    if not version.isdecimal() or len(version) > 9 or int(version) > newest:
        raise MetatlError(
            f"{path} has format version {version[:9]}; this metatl reads up to {newest}: update metatl"
        )
    if not _whole(meta, digest(tensors)):
        raise _damaged(path, "its checksum differs")
    meta.pop("sha256_header", None)
    return tensors, meta


def _check_header(path: Path) -> None:
    """Raise ValueError for a header beyond all reason: it is read and understood before a tensor is."""
    with path.open("rb") as file:
        claimed = int.from_bytes(file.read(8), "little")
    if claimed > min(_LONGEST_HEADER, path.stat().st_size):
        raise ValueError(f"its header claims {claimed} bytes")


def _whole(meta: dict[str, str], found: str) -> bool:
    """Whether a header's checksums are those of the tensors, whose own is `found`, and of itself."""
    bare = {**{key: value for key, value in meta.items() if key != "sha256_header"}, "sha256": found}
    expected = _sealed(bare)
    # The first files had no checksum of their header.
    return meta == expected or (meta["version"] == "1" and meta == bare)


def _damaged(path: Path, why: str) -> DamagedError:
    return DamagedError(f"{path} is damaged ({why}); restore it, or delete it and run what made it again")


@contextmanager
def _as_written(path: Path) -> Generator[None]:
    """A header that no metatl wrote is one line too, whoever made its checksums fit."""
    try:
        yield
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, "its header says nonsense") from error


def flat(transfer: Transfer) -> dict[str, Tensor]:
    """All tensors of a transfer under names of their own."""
    groups = zip(_GROUPS, transfer.groups(), strict=True)
    return {f"{group}{SEP}{name}": leaf for group, tensors in groups for name, leaf in tensors.items()}


def _group(tensors: dict[str, Tensor], group: str, order: list[str]) -> dict[str, Tensor]:
    return {name: tensors[f"{group}{SEP}{name}"] for name in order}


def grouped(tensors: dict[str, Tensor], names: dict[str, list[str]]) -> Transfer:
    """The inverse of `flat`, with the names of every group in order."""
    order = {_MEMORY: [], **names}
    return Transfer(*(_group(tensors, group, order[group]) for group in _GROUPS))


def orders(transfer: Transfer) -> dict[str, list[str]]:
    """The names of every group, in order; the memory's only where there is one."""
    groups = zip(_GROUPS, transfer.groups(), strict=True)
    return {group: list(tensors) for group, tensors in groups if tensors or group != _MEMORY}


def save_transfer(path: Path, transfer: Transfer, meta: dict[str, str] | None = None) -> None:
    """Write a transfer as safetensors; meta: notes, {"digest": that of the run whose it is} say."""
    header = {**(meta or {}), "names": json.dumps(orders(transfer))}
    write_tensors(path, "transfer", flat(transfer), header)


def load_transfer(path: Path, digest: str | None = None, older: bool = False) -> Transfer:
    """Read a transfer; raises MetatlError for a missing, foreign, newer or damaged file.

    digest: of the run that it must belong to, None for any; further as `check_owner`.
    """
    tensors, meta = read_tensors(path, "transfer")
    if digest is not None:
        check_owner(path, meta, digest, older)
    with _as_written(path):
        return grouped(tensors, json.loads(meta["names"]))


def save_checkpoint(path: Path, state: State, seconds: float = 0.0, digest: str | None = None) -> None:
    """Write a learner's state and the seconds it took so far; the one before stays as `<name>.previous`.

    digest: of the run whose it is.
    """
    if not processes.writer():
        return
    memory = {f"memory{SEP}{role}{SEP}{n}": t for role, ts in state.memory.items() for n, t in ts.items()}
    names = {**orders(state.transfer), "memory": [[role, list(ts)] for role, ts in state.memory.items()]}
    meta = {"names": json.dumps(names), "step": str(state.step), "seconds": str(seconds)}
    meta |= {OWNER: digest} if digest is not None else {}
    keep_previous(path)
    # A run directory that has vanished is not made again.
    write_tensors(path, "checkpoint", {**flat(state.transfer), **memory}, meta, write_there)


def load_checkpoint(path: Path, digest: str | None = None) -> tuple[State, float]:
    """Read a state and its seconds; raises MetatlError as `load_transfer` does, whose digest it takes too."""
    tensors, meta = read_tensors(path, "checkpoint")
    if digest is not None:
        check_owner(path, meta, digest, older=True)
    with _as_written(path):
        names = json.loads(meta["names"])
        memory = {
            role: {name: tensors[f"memory{SEP}{role}{SEP}{name}"] for name in order}
            for role, order in names["memory"]
        }
        return State(grouped(tensors, names), int(meta["step"]), memory), float(meta["seconds"])

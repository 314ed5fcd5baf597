"""Whose a file of tensors is: the digest of its run, in the header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from metatl import processes
from metatl.types import MetatlError

OWNER = "digest"
"""The note of a header that names the run."""


def owner(path: Path) -> str | None:
    """The digest of the run that a file's header names, "" for none; None for a file that cannot be read."""
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get(OWNER, "")
    except (SafetensorError, OSError, ValueError, RuntimeError):
        return None


def rows_of(path: Path, weight: str) -> int | None:
    """Rows of this weight in a file of a transfer; None where there is no such file, or none in it."""
    try:
        with safe_open(path, "pt") as file:
            return int(file.get_slice(f"params::{weight}").get_shape()[0])
    except (SafetensorError, OSError, ValueError, RuntimeError, IndexError):
        return None


def check_owner(path: Path, meta: Mapping[str, str], digest: str, older: bool) -> None:
    """Raise MetatlError for a file of another run.

    digest: of the run that it must belong to; "" where nobody knows. older: whether the file may be of a
    metatl that named no run; then a line says that it could not be checked.
    """
    told = meta.get(OWNER, "")
    if told != digest and digest and not (older and not told):
        raise not_own(path, told, digest)
    if not told or not digest:
        processes.say(f"{path} is of an older metatl; that it belongs to its run could not be checked")


def not_own(path: Path, told: str, digest: str) -> MetatlError:
    """The line for a file that says that it is of the run `told` ("": of none) in the place of `digest`."""
    whose = f"another run ({told[:16]}, and this one is {digest})" if told else f"no run, and not {digest}"
    return MetatlError(
        f"{path} belongs to {whose}; put this run's own file back, or delete it to have it made again"
    )

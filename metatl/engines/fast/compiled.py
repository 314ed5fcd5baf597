"""Building the kernels of csrc/ on first use, where a C++ compiler is at hand, and keeping what was built.

What is kept ends in the SHA-256 of itself. It is read, checked, and then loaded as it was read: a file that
was cut, overwritten or put there by somebody else is never opened as a library, but built again.
METATL_NATIVE=0 switches the kernels off; METATL_CACHE names the folder of built libraries.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path

import torch

from metatl import opening
from metatl.types import MetatlError

_SOURCES = Path(__file__).resolve().parent / "csrc"
_FLAGS = ("-O2", "-march=native", "-std=c++20", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math")
_SCALARS = {torch.float32: "float", torch.float64: "double"}
_SUM = hashlib.sha256().digest_size


def _compilers() -> list[str]:
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    return [path for path in (shutil.which(name) for name in names if name) if path]


def _run(*command: str) -> bytes | None:
    try:
        done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("METATL_CACHE") or Path(home) / "metatl")


def _built(compiler: str, scalar: str) -> bytes | None:
    """The library for this source, compiler, processor and type: the one that is kept, else a new one."""
    macros = _run(compiler, "-march=native", "-dM", "-E", "-x", "c++", os.devnull)
    if macros is None:
        return None
    flags = (*_FLAGS, f"-DSCALAR={scalar}")
    text = b"".join(path.read_bytes() for path in sorted(_SOURCES.iterdir()))
    target = _cache() / f"ops-{hashlib.sha256(text + macros + repr(flags).encode()).hexdigest()[:16]}.so"
    kept = _checked(target)
    if kept is not None:
        return kept
    made = _compiled(compiler, flags)
    if made is not None:
        _keep(target, made)
    return made


def _checked(path: Path) -> bytes | None:
    """What is kept there, if it is whole, and nobody but this user and root could have written it."""
    try:
        with opening.reading(path) as file:
            seen, whole = os.fstat(file.fileno()), file.read()
    except (OSError, MetatlError):
        return None
    ours = seen.st_uid in (os.geteuid(), 0) and not seen.st_mode & 0o022
    content, told = whole[:-_SUM], whole[-_SUM:]
    return content if ours and told == hashlib.sha256(content).digest() else None


def _compiled(compiler: str, flags: tuple[str, ...]) -> bytes | None:
    opening.sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=".metatl-", suffix=opening.mark()) as folder:
        made = Path(folder) / "ops.so"
        for threads in (("-fopenmp",), ()):
            if _run(compiler, *flags, *threads, str(_SOURCES / "ops.cpp"), "-o", str(made)) is not None:
                return made.read_bytes()
    return None


def _keep(path: Path, content: bytes) -> None:
    beside = opening.beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with opening.writing(beside) as file:
                os.fchmod(file.fileno(), 0o644)
                file.write(content + hashlib.sha256(content).digest())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        _say(
            f"the compiled kernels cannot be kept in {path.parent} ({error.strerror}), so that every command "
            "builds them anew; let METATL_CACHE name a folder of your own"
        )


def _say(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)


def _loaded(content: bytes) -> ctypes.CDLL:
    """The library, from memory where the system can: what becomes of a file does not reach it then."""
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("metatl-ops")  # stays open: libraries are known by this name
        with open(number, "wb", closefd=False) as file:
            file.write(content)
        return ctypes.CDLL(f"/proc/self/fd/{number}")
    with tempfile.NamedTemporaryFile(suffix=".so") as file:
        file.write(content)
        file.flush()
        return ctypes.CDLL(file.name)


@lru_cache
def library(dtype: torch.dtype = torch.float32) -> ctypes.CDLL | None:
    """The compiled kernels for a type; None where they cannot be built, and, with a warning, not loaded."""
    if os.environ.get("METATL_NATIVE") == "0" or not _SOURCES.is_dir() or dtype not in _SCALARS:
        return None
    opening.sweep(_cache(), own=True)
    for compiler in _compilers():
        try:
            content = _built(compiler, _SCALARS[dtype])
            if content is not None:
                lib = _loaded(content)
                lib.metatl_keep_freed_memory()
                return lib
        except OSError as error:
            _say(f"the compiled kernels are left out, torch's operations run instead ({error})")
    return None

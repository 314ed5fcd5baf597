"""Where a run came from: code, versions, machine, command, times.

Nothing that is the user's own is copied: of the repository in which metatl's own files are tracked (a clone,
or a project that took them in) the commit and whether files were changed, of any other nothing; of the
command no password, token or key.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

_PACKAGES = (
    "metatl",
    "torch",
    "numpy",
    "tensorboard",
    "jsonargparse",
    "safetensors",
    "scipy",
    "pillow",
    "scikit-learn",
    "timm",
    "learn2learn",
    "higher",
)


_HIDDEN = "***"
_SECRET = (
    r"(?:token(?![is])|secret|passw|pwd|passphrase|credential|auth(?!or)|"
    r"(?:api|access|private)[-_]?key|[-_.]key(?![\w-]))"
)
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s,&}]+)"""
_NAMED = re.compile(rf"([\w.-]*{_SECRET}[\w.-]*['\"]?\s*[=:]\s*){_VALUE}", re.IGNORECASE)
_OPTION = re.compile(rf"--?[\w.-]*{_SECRET}[\w.-]*", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_with_diff: ContextVar[bool] = ContextVar("with_diff", default=False)


@contextmanager
def recording_diff(asked: bool) -> Generator[None]:
    """Inside, a provenance holds uncommitted changes too, if that is asked for (`--record-diff`)."""
    before = _with_diff.set(asked)
    try:
        yield
    finally:
        _with_diff.reset(before)


def _git(*words: str) -> str | None:
    """What git says of the repository around metatl's files; none of its hooks and filters is run for it."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            [
                "git",
                "--no-optional-locks",
                "-c",
                "core.fsmonitor=false",
                "-C",
                str(Path(__file__).parent),
                *words,
            ],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
            check=True,
            env=bare,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _code() -> dict[str, Any]:
    """The commit of metatl's files and whether tracked files were changed; nothing where none is tracked."""
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return {"commit": None, "dirty": None}
    plain = ("--no-ext-diff", "--no-textconv", "HEAD")
    names = _git("diff", "--name-only", *plain)
    found = {"commit": _git("rev-parse", "HEAD"), "dirty": None if names is None else bool(names)}
    return found | ({"uncommitted": _git("diff", *plain)} if _with_diff.get() else {})


def without_secrets(words: Sequence[str]) -> list[str]:
    """The words of a command; what stands for a password, a token or a key, and logins in URLs, as ***."""
    found, hidden = list[str](), False
    for word in words:
        shown = _LOGIN.sub(_HIDDEN, _NAMED.sub(rf"\1{_HIDDEN}", word))
        found.append(_HIDDEN if hidden and not word.startswith("-") else shown)
        hidden = _OPTION.fullmatch(word) is not None
    return found


def command() -> list[str]:
    """The words that this process was started with, without secrets."""
    return without_secrets(sys.orig_argv)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str | None]:
    """Of every package that numbers may depend on, None where it is not installed, and of Python."""
    return {name: _version(name) for name in _PACKAGES} | {"python": platform.python_version()}


def provenance(device: str) -> dict[str, Any]:
    """Plain values: commit, whether files were changed, versions, device, threads, command, start time."""
    card = torch.cuda.get_device_name() if device.startswith("cuda") and torch.cuda.is_available() else None
    return {
        **_code(),
        "versions": versions(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "device": card or device,
        "threads": torch.get_num_threads(),
        "command": command(),
        "started": now(),
        "interpreter": sys.implementation.name,
    }

"""Where a run came from: code, versions, machine, command, times."""

from __future__ import annotations

import platform
import subprocess
import sys
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


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *words],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


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
    """Plain values: git commit and uncommitted difference, versions, device, threads, command, start time."""
    card = torch.cuda.get_device_name() if device.startswith("cuda") and torch.cuda.is_available() else None
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted": _git("diff", "HEAD"),
        "versions": versions(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "device": card or device,
        "threads": torch.get_num_threads(),
        "command": sys.orig_argv,
        "started": now(),
        "interpreter": sys.implementation.name,
    }

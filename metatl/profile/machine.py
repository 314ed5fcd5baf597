"""The machine that figures come from, without its name."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from metatl.lab import store
from metatl.profile.timing import sgemm_gflops
from metatl.types import MetatlError


def machine(device: str) -> dict[str, Any]:
    """Processor or card, cores, threads, versions, and the rate of float32 products measured now."""
    card = torch.device(device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if card else "cpu",
        "cpu": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "matmul_precision": torch.get_float32_matmul_precision(),
        "sgemm_gflops": round(sgemm_gflops(device), 1),
    }


def _processor() -> str:
    try:
        lines = store.read_text(Path("/proc/cpuinfo"), "list").splitlines()
    except MetatlError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def busy() -> str:
    """A note when other work is going on here, which makes figures too small and ratios noisy."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        return ""
    most = 0.5 * (os.cpu_count() or 1)
    return f"note: the machine is busy (load {load:.1f}); figures will be too small" if load > most else ""

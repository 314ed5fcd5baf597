"""Peak memory of one engine in a fresh process: what other engines left behind does not count."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import torch

from metatl import importing
from metatl.lab import record
from metatl.profile.engines import AT_ONCE, engine_of
from metatl.profile.workloads import Variant, built, variants_of
from metatl.types import MetatlError


def estimate(one: float, two: float, tasks: int) -> float:
    """MiB for `tasks` tasks at once, from the peaks with one and with two."""
    return two + (tasks - 2) * max(two - one, 0.0) if tasks > 1 else one


def measured(
    variant: Variant, engine: str, tasks_per_chunk: int | None, device: str, say: Callable[[float], None]
) -> float:
    """Peak MiB above the idle process of two meta-iterations; `say` is told the estimate before they run."""
    order = {
        "variant": asdict(variant),
        "engine": engine,
        "tasks_per_chunk": tasks_per_chunk,
        "device": device,
    }
    peak = 0.0
    for found in in_fresh_process("from metatl.profile.memory import child; child()", order):
        if "estimate" in found:
            say(found["estimate"])
        peak = found.get("peak", peak)
    return peak


def in_fresh_process(code: str, order: dict[str, Any]) -> Iterator[dict[str, float]]:
    """What Python code, run in a process of its own, tells of an order; raises MetatlError when it fails."""
    order |= {"threads": torch.get_num_threads(), "precision": torch.get_float32_matmul_precision()}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-P", "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(json.dumps(order))
        process.stdin.close()
        for line in process.stdout:
            yield json.loads(line)
        trouble = process.stderr.read().strip().splitlines()
    if process.returncode:
        why = (
            trouble[-1] if trouble else f"it ended with code {process.returncode}, for want of memory perhaps"
        )
        raise MetatlError(f"measuring the memory of engine {order['engine']} failed: {why}")


def read_order() -> dict[str, Any]:
    """In the fresh process: the order, with torch set up as in the process that gave it."""
    order: dict[str, Any] = json.load(sys.stdin)
    torch.set_num_threads(order["threads"])
    torch.set_float32_matmul_precision(order["precision"])
    return order


def tell(**values: float) -> None:
    """In the fresh process: say what was found."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def child() -> None:
    """In the fresh process: the memory of meta-iterations with one task, with two, with all.

    A process is idle when it has its data and has run the engine once on next to nothing, which loads what
    torch loads late.
    """
    order = read_order()
    device, chunk, kept = order["device"], order["tasks_per_chunk"], order["variant"]
    variant = Variant(kept["workload"], kept["steps"], kept["queries"], tuple(kept["overrides"]))
    with importing.command():
        setting, engine = built(variant, device), engine_of(order["engine"], chunk)
    built(variants_of("W3")[0], device).first(1).step(engine)
    idle = record.held_mib(device)

    # Recording and compiling are once and small; a learner of one step has the tasks run as they stand.
    once = replace(setting, learner=replace(setting.learner, steps=1))
    plain = engine_of("batched" if order["engine"] in ("compiled", "captured") else order["engine"], chunk)

    def peak(tasks: int) -> float:
        once.first(tasks).step(plain)
        return record.peak_mib(device) - idle

    one, two = peak(1), peak(2)
    # Engines that run tasks one by one hold no more for many.
    at_once = min(chunk or setting.at_once(), setting.tasks) if order["engine"] in AT_ONCE else 1
    tell(estimate=estimate(one, two, at_once))
    for _ in range(2):
        setting.step(engine)
    tell(peak=record.peak_mib(device) - idle)

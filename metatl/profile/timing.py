"""Timing side by side in one process: contenders take turns, so what slows the machine slows them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Call = Callable[[], object]
TURN = 0.1
"""Seconds that a turn lasts at least, unless one call takes longer."""


def turns(contenders: int, repeats: int) -> int:
    """Turns that `interleaved` takes at least, the warm-ups included; its progress counts up to them."""
    return contenders * (repeats + 1)


def interleaved(
    calls: Mapping[str, Call],
    repeats: int,
    seconds: float,
    device: str,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, float]:
    """The median over turns of the seconds of one call, for every contender.

    Turns go round until each has had `repeats` of them and `seconds` are over in all.
    """
    counts: dict[str, int] = {}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    last, done = turns(len(calls), repeats), 0

    def tick() -> None:
        nonlocal done
        done += 1
        progress(min(done, last))

    for name, call in calls.items():
        _timed(call, 1, device)  # warms up; the next one says how many calls make a turn
        counts[name] = max(1, round(TURN / max(_timed(call, 1, device), 1e-6)))
        tick()
    begun, rounds = time.perf_counter(), 0
    while rounds < repeats or time.perf_counter() - begun < seconds:
        for name, call in calls.items():
            taken[name].append(_timed(call, counts[name], device))
            tick()
        rounds += 1
    return {name: statistics.median(values) for name, values in taken.items()}


def _timed(call: Call, count: int, device: str) -> float:
    _wait(device)
    begun = time.perf_counter()
    for _ in range(count):
        call()
    _wait(device)
    return (time.perf_counter() - begun) / count


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def sgemm_gflops(device: str, size: int = 2048, seconds: float = 1.0) -> float:
    """Peak rate of float32 matrix products here and now, in 10^9 operations a second; the best of many."""
    a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
    out, best = torch.empty(size, size, device=device), float("inf")
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        best = min(best, _timed(lambda: torch.mm(a, b, out=out), 1, device))
    return 2.0 * size**3 / best / 1e9

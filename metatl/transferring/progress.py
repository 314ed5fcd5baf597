"""Bars of `metatl transfer`: features, cells, the choice of what is saved."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from metatl.lab.record.console import Console
from metatl.transferring.budget import Budget
from metatl.transferring.features import Tick
from metatl.transferring.timed import Tell


@contextmanager
def reading(label: str, unit: str) -> Generator[Tick]:
    """A bar of rows, whose number is known with the first of them."""
    bars: list[Console] = []

    def tick(done: int, total: int) -> None:
        if not bars:
            bars.append(Console(total, label=label, unit=unit))
        bars[0].tick(done)

    try:
        yield tick
    finally:
        for bar in bars:
            bar.close()


@contextmanager
def working(budget: Budget, label: str, unit: str, total: int) -> Generator[Tell]:
    """A bar, and what moves it on: by the work that was done, or by the minutes where they end before it."""
    total, seconds = max(1, total), max(budget.left, 1e-9)
    bar, done, began = Console(total, label=label, unit=unit), 0, budget.gone

    def tell(work: int) -> None:
        nonlocal done
        done += work
        share = min(1.0, (budget.gone - began) / seconds)
        bar.tick(min(total, max(done, int(share * total))))

    try:
        yield tell
    finally:
        bar.close()

"""`metatl profile`: agreement, memory, time, a table and a JSON file."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from metatl.lab import record, store
from metatl.profile import additions, beside, domains, engines, imports, low_rank, memory, several, transfers
from metatl.profile.agreement import able, disagreement
from metatl.profile.machine import busy, machine
from metatl.profile.table import beside_text, rows_text
from metatl.profile.timing import interleaved, sgemm_gflops, turns
from metatl.profile.workloads import SHAPES, Setting, Variant, built, variants_of
from metatl.text import say, terminal
from metatl.types import MetatlError

Row = dict[str, Any]
TRANSFER = {
    **transfers.MEASURES,
    **low_rank.MEASURES,
    "T5": domains.two_domains,
    **several.MEASURES,
    **additions.MEASURES,
    "T9": imports.imported,
}
MEASURES = {**beside.MEASURES, **TRANSFER}
GROUPS = {"transfer": tuple(name for name in TRANSFER if low_rank.able() or name not in low_rank.MEASURES)}
"""Names that stand for several: of those that can be taken here."""


def command(words: argparse.Namespace, rest: Sequence[str]) -> str:
    """Profile what the words name, showing every finding at once; says where all were written.

    Raises MetatlError before any work for words that name nothing.
    """
    names, note = engines.chosen(words.engines)
    plan = _plan(words.workloads, rest)
    _check_device(words.device)
    for line in (note, busy()):
        _say(line)
    found = _begun(words.out, machine(words.device), plan)
    for item in plan:
        if isinstance(item, str):
            measures = MEASURES[item](names, words.device, words.repeats)
            found.setdefault("measures", []).extend(measures)
            _show(beside_text(measures))
        else:
            rows = _profiled(item, names, words, _limit(found, words.device))
            found["rows"].extend(rows)
            _show(rows_text(rows))
        if words.out:
            store.write_json(Path(words.out), found)
    return f"written: {words.out}" if words.out else ""


def _begun(out: str | None, here: dict[str, Any], plan: Sequence[Variant | str]) -> dict[str, Any]:
    """What `out` holds of other workloads taken on this very machine, for the new figures to join."""
    fresh: dict[str, Any] = {"machine": here, "rows": []}
    if out is None or not Path(out).is_file():
        return fresh
    before = store.read_json(Path(out))
    steady = {key: value for key, value in here.items() if key != "sgemm_gflops"}
    if {key: before.get("machine", {}).get(key) for key in steady} != steady:
        return fresh
    named = {item if isinstance(item, str) else item.workload for item in plan}
    fresh["rows"] = [row for row in before["rows"] if row["workload"] not in named]
    measures = [measure for measure in before.get("measures", []) if measure["name"] not in named]
    if measures:
        fresh["measures"] = measures
    now, here["sgemm_gflops"] = here["sgemm_gflops"], before["machine"]["sgemm_gflops"]
    _raise_limit(fresh, now)
    return fresh


def _limit(found: dict[str, Any], device: str) -> float:
    """The rate of float32 products, GFLOP/s: the best that was seen, measured once more."""
    _raise_limit(found, round(sgemm_gflops(device), 1))
    gflops = found["machine"]["sgemm_gflops"]
    _say(f"{gflops:.0f} GFLOP/s in float32 products, {torch.get_num_threads()} threads")
    return gflops


def _raise_limit(found: dict[str, Any], gflops: float) -> None:
    """A higher rate holds for the rows that are there too: the lower one was taken beside other work."""
    before = found["machine"]["sgemm_gflops"]
    if gflops > before:
        found["machine"]["sgemm_gflops"] = gflops
        for row in found["rows"]:
            row["share_of_limit"] = round(row["share_of_limit"] * before / gflops, 4)


def _plan(names: Sequence[str], rest: Sequence[str]) -> list[Variant | str]:
    plan: list[Variant | str] = []
    for name in names:
        for item in GROUPS.get(name, (name,)):
            plan += [item] if item in MEASURES else variants_of(item, rest)
    if rest and all(name in SHAPES or name in MEASURES or name in GROUPS for name in names):
        raise MetatlError(
            f"unknown argument {rest[0]}; see metatl profile --help (overrides belong to configs)"
        )
    return plan


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MetatlError(f"device '{device}' is not to be had here; use --device cpu") from error


def _profiled(variant: Variant, names: Sequence[str], words: argparse.Namespace, gflops: float) -> list[Row]:
    names = engines.for_workload(names, variant.workload, words.device)
    about = SHAPES[variant.workload].about if variant.workload in SHAPES else "meta-training of a config"
    _show(f"\n{terminal(variant.label)} ({about})")
    setting = built(variant, words.device)
    if words.engines is None:
        names, notes = able(setting, names)
        for note in notes:
            _say(note)
    off = disagreement(setting, names)
    _say(f"engines agree: in float64 no gradient is off by more than {off:.1e} of the largest")
    peaks = {name: _memory(variant, name, words) for name in names if words.memory and name != "captured"}
    seconds = _times(setting, variant, names, words)
    rates = {name: setting.tasks / value for name, value in seconds.items()}
    reference = rates.get("learn2learn")
    return [
        {
            "workload": variant.workload,
            "steps": variant.steps,
            "queries": variant.queries,
            "engine": "batched" if name in ("compiled", "captured") else name,
            "compiled": name == "compiled",
            **({"captured": name == "captured"} if words.device.startswith("cuda") else {}),
            "tasks_per_second": round(rate, 2),
            "ratio_to_learn2learn": None if reference is None else round(rate / reference, 3),
            "share_of_limit": round(rate * setting.operations() / (gflops * 1e9), 4),
            "peak_mib": round(peaks[name], 1) if name in peaks else None,
        }
        for name, rate in rates.items()
    ]


def _memory(variant: Variant, name: str, words: argparse.Namespace) -> float:
    def say(mib: float) -> None:
        _say(f"{name} will need about {mib:.0f} MiB above the idle process")

    return memory.measured(variant, name, words.tasks_per_chunk, words.device, say)


def _times(
    setting: Setting, variant: Variant, names: Sequence[str], words: argparse.Namespace
) -> dict[str, float]:
    made = {name: engines.engine_of(name, words.tasks_per_chunk) for name in names}
    calls: dict[str, Callable[[], object]] = {
        name: setting.captured(engine) if name == "captured" else functools.partial(setting.step, engine)
        for name, engine in made.items()
    }
    with record.bar(f"timing {variant.label}", turns(len(calls), words.repeats), "turn") as progress:
        return interleaved(calls, words.repeats, words.seconds, words.device, progress)


def _show(text: str) -> None:
    """A finding, on standard output as soon as it is there."""
    say(text)


def _say(text: str) -> None:
    """What goes on, on standard error."""
    if text:
        say(text, sys.stderr)

"""What is timed beside meta-training: evaluation, scouts, and the sampling of episodes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from metatl.adapt import Descent
from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.source import Tasks
from metatl.engines.engine import task
from metatl.evaluation.evaluate import Evaluation, evaluate
from metatl.heads import Zeros
from metatl.lab import record
from metatl.learners import Scout
from metatl.models import Conv4
from metatl.net import Net
from metatl.profile.engines import PEERS, engine_of
from metatl.profile.memory import in_fresh_process, read_order, tell
from metatl.profile.timing import interleaved, turns
from metatl.profile.workloads import built, variants_of
from metatl.rules import SGD

Measure = dict[str, Any]
CHUNK = 25
"""Tasks at once where there are many."""


def _noise(device: str, classes: int = 200, turned: bool = False) -> ClassData:
    """Omniglot-shaped noise: as many bytes to gather as the real thing, nothing to download."""
    torch.manual_seed(0)
    x = torch.randint(0, 256, (classes * 20, 1, 28, 28), dtype=torch.uint8)
    bank = Bank.sorted_by_class(x, [20] * classes, [str(i) for i in range(classes)], 1 / 255)
    bank = (bank.turned() if turned else bank).to(device)
    return ClassData("noise", {"meta_train": bank, "meta_test": bank}, recipe="noise")


def _conv4(outputs: int, device: str) -> Net:
    torch.manual_seed(0)
    return Net.of(Conv4((1, 28, 28), outputs, 64).to(device))


def _ours(names: Sequence[str]) -> list[str]:
    """The peers' engines evaluate and scout in a plain loop: there is nothing of theirs to time."""
    return [name for name in names if name not in (*PEERS, "compiled", "captured")]


def _evaluated(name: str, device: str, episodes: int) -> Callable[[], object]:
    net, data = _conv4(5, device), _noise(device)
    shape = Evaluation(Tasks(5, 1, 15), episodes, chunk=CHUNK)
    return functools.partial(evaluate, net, net.start(), Descent(SGD(0.1), 3), data, shape, engine_of(name))


def evaluation(names: Sequence[str], device: str, repeats: int, episodes: int = 600) -> list[Measure]:
    """600 5-way 1-shot episodes of 15 queries a class, 3 inner steps, on a Conv4 of 64 filters."""
    ours, repeats = _ours(names), min(repeats, 2)
    peaks: dict[str, float] = {}
    for name in ours:
        order = {"engine": name, "device": device}
        for found in in_fresh_process("from metatl.profile.beside import child; child()", order):
            peaks[name] = found["peak"]
    calls = {name: _evaluated(name, device, episodes) for name in ours}
    with record.bar("timing evaluation", turns(len(calls), repeats), "turn") as progress:
        seconds = interleaved(calls, repeats, 0.0, device, progress)
    return [
        {
            "name": "evaluation",
            "engine": name,
            "episodes": episodes,
            "seconds": round(seconds[name], 2),
            "episodes_per_second": round(episodes / seconds[name], 1),
            "peak_mib": round(peaks[name], 1),
        }
        for name in ours
    ]


def child() -> None:
    """In a fresh process: the memory of an evaluation, above that of the data and the net."""
    order = read_order()
    run = _evaluated(order["engine"], order["device"], 2 * CHUNK)
    idle = record.held_mib(order["device"])
    run()
    tell(peak=record.peak_mib(order["device"]) - idle)


def scouts(
    names: Sequence[str], device: str, repeats: int, count: int = 100, steps: int = 100
) -> list[Measure]:
    """Scouts of a Conv4 on 4-class subsets, 100 steps of 20 images; the loop runs a few, the others all."""
    net, data = _conv4(4, device), _noise(device)
    adaptation = Descent(SGD(0.1, momentum=0.9), steps, Zeros(), batch_size=20, moments="batch")
    learner = Scout(1, count, Tasks(4, 20, 0), adaptation)
    state = learner.init(net, net.start())
    drawn = learner.draw(data, 0, 0)
    calls: dict[str, Callable[[], object]] = {}
    counts: dict[str, int] = {}
    for name in _ours(names):
        counts[name] = min(count, 5) if name == "loop" else count
        part = task(drawn, slice(0, counts[name]))
        calls[name] = functools.partial(learner.step, net, engine_of(name, CHUNK), state, part)
    with record.bar("timing scouts", turns(len(calls), min(repeats, 2)), "turn") as progress:
        seconds = interleaved(calls, min(repeats, 2), 0.0, device, progress)
    rates = {name: counts[name] / value for name, value in seconds.items()}
    return [
        {
            "name": "scouts",
            "engine": name,
            "scouts_per_second": round(rate, 3),
            "ratio_to_loop": round(rate / rates["loop"], 2) if "loop" in rates else None,
        }
        for name, rate in rates.items()
    ]


def sampling(names: Sequence[str], device: str, repeats: int) -> list[Measure]:
    """A W1 meta-batch from seed and step (indices, gather, rotation) beside the meta-step that uses it."""
    setting, data = built(variants_of("W1")[0], device), _noise(device, 1000, turned=True)
    ours = _ours(names) or ["batched"]

    def drawn() -> object:
        return data.draw("meta_train", setting.learner.tasks, 0, 0, setting.learner.meta_batch)

    calls: dict[str, Callable[[], object]] = {"sampling": drawn}
    calls |= {name: functools.partial(setting.step, engine_of(name)) for name in ours}
    with record.bar("timing sampling", turns(len(calls), repeats), "turn") as progress:
        seconds = interleaved(calls, repeats, 0.0, device, progress)
    return [
        {
            "name": "sampling",
            "engine": name,
            "milliseconds": round(1000.0 * seconds["sampling"], 3),
            "step_milliseconds": round(1000.0 * seconds[name], 3),
            "share_of_step": round(seconds["sampling"] / seconds[name], 4),
        }
        for name in ours
    ]


MEASURES: Mapping[str, Callable[[Sequence[str], str, int], list[Measure]]] = {
    "evaluation": evaluation,
    "scouts": scouts,
    "sampling": sampling,
}

"""What there is to say about a guide: share frozen, means by tensor and by depth, overlap, pictures."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metatl.lab.record.recorder import Recorder
from metatl.lab.render import depth_profile, filter_map, guide_histogram
from metatl.types import Guide, MetatlError, Params, Transfer


class _Said(NamedTuple):
    """Of one tensor: number of weights, mean guide, share frozen."""

    size: int
    mean: float
    frozen: float


def describe(transfer: Transfer, prefix: str = "guide") -> dict[str, float]:
    """Share frozen (guide 0 at every inner step) and mean guide: by tensor, by depth, of all weights.

    Tags: `<prefix>/frozen/<name>`, `<prefix>/mean/<name>`, `<prefix>/depth_mean/<depth>_<module>`,
    `<prefix>/depth_frozen/<depth>_<module>`, `<prefix>/all/mean`, `<prefix>/all/frozen`. Depth is the
    place of a module among the weights; every weight counts once. Empty for a transfer without a guide.
    Raises MetatlError for a guide that is not finite.
    """
    tensors = _tensors(transfer)
    if not tensors:
        return {}
    found = {f"{prefix}/frozen/{name}": said.frozen for name, said in tensors.items()}
    found |= {f"{prefix}/mean/{name}": said.mean for name, said in tensors.items()}
    for depth, (module, said) in enumerate(_by_depth(tensors).items()):
        found[f"{prefix}/depth_mean/{depth:02d}_{module}"] = said.mean
        found[f"{prefix}/depth_frozen/{depth:02d}_{module}"] = said.frozen
    every = _pooled(list(tensors.values()))
    return found | {f"{prefix}/all/mean": every.mean, f"{prefix}/all/frozen": every.frozen}


def _tensors(transfer: Transfer) -> dict[str, _Said]:
    found: dict[str, _Said] = {}
    for name, entry in transfer.guide.items():
        weight, scale = transfer.params[name], entry.detach().to("cpu", torch.float64)
        if not bool(torch.isfinite(scale).all()):
            raise MetatlError(
                f"guide of '{name}' is not finite; robust scouts or a lower scouting rate may help"
            )
        frozen = (
            (scale == 0).all(0) if scale.dim() > weight.dim() else scale == 0
        )  # a leading inner-step axis
        found[name] = _Said(weight.numel(), float(scale.mean()), float(frozen.double().mean()))
    return found


def _by_depth(tensors: dict[str, _Said]) -> dict[str, _Said]:
    modules: dict[str, list[_Said]] = {}
    for name, said in tensors.items():
        modules.setdefault(name.rpartition(".")[0] or name, []).append(said)
    return {module: _pooled(said) for module, said in modules.items()}


def _pooled(said: list[_Said]) -> _Said:
    size = max(sum(one.size for one in said), 1)
    mean = sum(one.size * one.mean for one in said) / size
    return _Said(size, mean, sum(one.size * one.frozen for one in said) / size)


def overlap(guide_a: Guide, guide_b: Guide, params: Params | None = None) -> float:
    """Weighted Jaccard index over all weights, sum min(a, b) / sum max(a, b); 1 for equal guides.

    For masks it is the weights in both over those in either. `params` tells how many weights an entry stands
    for where both guides only broadcast to it. Chance gives more than 0: compare with a permuted control.
    Raises MetatlError for guides of other weights. Source: Ruzicka (1958).
    """
    if guide_a.keys() != guide_b.keys():
        odd = sorted(guide_a.keys() ^ guide_b.keys())
        raise MetatlError(f"guides of other weights: '{odd[0]}' is in one of the two only")
    shared, either = 0.0, 0.0
    for name, a in guide_a.items():
        a, b = torch.broadcast_tensors(a.detach().double(), guide_b[name].detach().double())
        times = 1.0 if params is None else params[name].numel() / a.numel()
        shared += times * float(torch.minimum(a, b).sum())
        either += times * float(torch.maximum(a, b).sum())
    return shared / either if either else 1.0


def record_guide(recorder: Recorder, transfer: Transfer, step: int, prefix: str = "guide") -> None:
    """Record `describe`, a histogram a tensor, and three pictures: histograms, means by depth, filters."""
    said = describe(transfer, prefix)
    if not said:
        return
    recorder.scalars(step, said)
    guide = {name: _mean_over_steps(entry, transfer.params[name]) for name, entry in transfer.guide.items()}
    for name, entry in guide.items():
        recorder.histogram(f"{prefix}/{name}", entry, step)
    depths = _by_depth(_tensors(transfer))
    profile = depth_profile({m: s.mean for m, s in depths.items()}, {m: s.frozen for m, s in depths.items()})
    recorder.figure(f"{prefix}/by_depth", profile, step)
    recorder.figure(f"{prefix}/histograms", guide_histogram(guide), step)
    if any(entry.dim() > 1 for entry in guide.values()):
        recorder.figure(f"{prefix}/filters", filter_map(guide), step)


def _mean_over_steps(entry: Tensor, weight: Tensor) -> Tensor:
    entry = entry.detach().to("cpu", torch.float32)
    return entry.mean(0) if entry.dim() > weight.dim() else entry

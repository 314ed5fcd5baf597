"""What one gradient of many tasks on one trunk costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.aggregates import PCGrad
from metatl.lab import record
from metatl.models import SharedTrunk
from metatl.profile.timing import interleaved, turns
from metatl.types import Params

TASKS, ROWS, INPUTS, HIDDEN = 10, 256, 256, (512, 512, 512)


def several(names: Sequence[str], device: str, repeats: int) -> list[dict[str, Any]]:
    """T6: PCGrad over ten tasks with one trunk, beside torchjd where it is installed.

    And beside plain backward passes, one a task, of the same pass: what nobody can do without.
    """
    torch.manual_seed(0)
    net = SharedTrunk((INPUTS,), 1, {str(i): 1 for i in range(TASKS)}, hidden=HIDDEN).to(device)
    x, y = torch.randn(ROWS, INPUTS, device=device), torch.randn(TASKS, ROWS, 1, device=device)
    variables: Params = {name: p for name, p in net.named_parameters()}  # noqa: C416 - of tensors
    rule = PCGrad()

    def losses() -> list[Tensor]:
        return [F.mse_loss(out, own) for out, own in zip(net(x).values(), y, strict=True)]

    def plain() -> object:
        each = losses()
        leaves = list(variables.values())
        return [torch.autograd.grad(one, leaves, retain_graph=True, allow_unused=True) for one in each]

    calls: dict[str, Callable[[], object]] = {
        "ours": lambda: rule.over_losses(losses(), variables, rule.init(0)),
        "plain": plain,
    }
    if find_spec("torchjd") is not None:
        calls["torchjd"] = _torchjd(net, losses)
    with record.bar("timing T6", turns(len(calls), repeats), "turn") as progress:
        seconds = interleaved(calls, repeats, 0.0, device, progress)
    found = {"name": "T6", "tasks": TASKS, **{f"{name}_seconds": round(s, 4) for name, s in seconds.items()}}
    found["plain_ratio"] = round(seconds["ours"] / seconds["plain"], 3)
    if "torchjd" in seconds:
        found["ratio"] = round(seconds["ours"] / seconds["torchjd"], 3)
    return [found]


MEASURES: Mapping[str, Callable[[Sequence[str], str, int], list[dict[str, Any]]]] = {"T6": several}


def _torchjd(net: Any, losses: Callable[[], list[Tensor]]) -> Callable[[], object]:
    autojac, rule = import_module("torchjd.autojac"), import_module("torchjd.aggregation").PCGrad()
    trunk = list(net.trunk.parameters())
    heads = [list(net.heads[str(i)].parameters()) for i in range(TASKS)]

    def call() -> object:
        held: list[Tensor] = []
        hook = net.trunk.register_forward_hook(lambda _module, _given, out: held.append(out))
        each = losses()
        hook.remove()
        autojac.mtl_backward(each, features=held[0], tasks_params=heads, shared_params=trunk)
        autojac.jac_to_grad(trunk, rule)
        return net.zero_grad(set_to_none=True)

    return call

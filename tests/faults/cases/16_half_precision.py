"""Half precision: Adam moves weights as in float32, masks have the weights' type, Ridge runs or says why not."""

from dataclasses import replace

import torch
from torch import nn

from metatl import Descent, Batch, MetatlError, Net
from metatl.guides import RandomMask
from metatl.heads import Ridge
from metatl.rules import SGD, Adam, AdamW, CarriedAdam

torch.set_num_threads(1)


def moves(kind, rule, mask=None, **more):
    """Largest move of each weight behind two steps, or the raw error."""
    torch.manual_seed(0)
    net = Net.of(nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).to(kind))
    start, rows = net.start(), Batch(torch.randn(6, 4).to(kind), torch.arange(3).repeat(2))
    try:
        new = Descent(rule, 2, **more)(net, replace(start, guide=mask(net, start)) if mask else start, rows)
        return {n: round(float((new[n] - start.params[n]).abs().max()), 3) for n in new}
    except MetatlError:
        return None
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:70]}"


ways = {kind.__name__: (kind(1e-2),) for kind in (Adam, AdamW, CarriedAdam)}
ways["RandomMask"] = (SGD(0.1), RandomMask(0.9, way=3))
wrong = {}
for kind in (torch.float16, torch.bfloat16):
    for name, way in ways.items():
        got, right = moves(kind, *way), moves(torch.float32, *way)
        if not isinstance(got, dict) or not all(abs(got[n] - right[n]) < 0.006 for n in right):
            wrong[name, str(kind)] = got
    if isinstance(ridge := moves(kind, SGD(0.1), head=Ridge()), str):
        wrong["Ridge", str(kind)] = ridge
assert not wrong, f"{wrong}; right: moves of float32, with Adam(0.01) {moves(torch.float32, Adam(1e-2))}"

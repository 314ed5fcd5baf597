"""Weights that a forward pre-hook computes (old weight and spectral norm, pruning): exact, or refused in one line."""

import warnings

import torch
from torch import nn
from torch.nn.utils import prune, spectral_norm, weight_norm

from metatl import Descent, MetatlError, Net, Personaliser
from metatl.rules import SGD

torch.set_num_threads(1)
warnings.simplefilter("ignore")
torch.manual_seed(0)
x, y = torch.randn(6, 4), [0, 1, 2, 0, 1, 2]


def outcome(wrap):
    """ "exact", "refused", or what is wrong."""
    body = nn.Linear(4, 8)
    module = nn.Sequential(wrap(body) or body, nn.Tanh(), nn.Linear(8, 3)).eval()
    right = module(x).detach()
    try:
        net = Net.of(module)
        start = net.start()
        off = (Personaliser(net, start, Descent(steps=0)).adapt(x, y).outputs(x) - right).abs().max()
        fitted = Personaliser(net, start, Descent(SGD(0.1), 3)).adapt(x, y).transfer.params
        still = [name for name in start.params if torch.equal(fitted[name], start.params[name])]
        return "exact" if off < 1e-5 and not still else f"off by {float(off):.2g}, does not move: {still}"
    except MetatlError as error:
        return "refused" if "\n" not in str(error) else "refused in several lines"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:70]}"


found = {
    "weight_norm": outcome(weight_norm),
    "spectral_norm": outcome(spectral_norm),
    "prune": outcome(lambda layer: prune.random_unstructured(layer, "weight", 0.5)),
}
assert set(found.values()) <= {"exact", "refused"}, found

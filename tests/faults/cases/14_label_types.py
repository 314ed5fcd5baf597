"""Labels of any whole-number type count as int64 for every head; labels that are none are refused in one line."""

import torch
from torch import nn

from metatl import Descent, Batch, MetatlError, Net
from metatl.heads import Learned, Prototypes, Ridge, Zeros
from metatl.rules import SGD

torch.set_num_threads(1)
torch.manual_seed(0)
net = Net.of(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)))
start, x, y = net.start(), torch.randn(6, 4), torch.arange(6) % 2


def fitted(head, labels):
    """The weights behind two steps, "refused", or the raw error."""
    try:
        return Descent(SGD(0.1), 2, head)(net, start, Batch(x, labels))
    except MetatlError as error:
        return "refused" if "\n" not in str(error) else "refused in several lines"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:50]}"


wrong = {}
for head in (Learned(), Zeros(), Prototypes(), Ridge()):
    name, right = type(head).__name__, fitted(head, y)
    for kind in (torch.int32, torch.int16, torch.uint8, torch.bool):
        got = fitted(head, y.to(kind))
        if isinstance(got, str) or any(not torch.equal(got[n], right[n]) for n in right):
            wrong[name, str(kind)] = got if isinstance(got, str) else "other weights"
    for bad in ([0, 1, 0, 1, 0, 2], [0, 1, 0, 1, 0, -1], [0, 1, 0, 1, 0, -100]):
        if fitted(head, torch.tensor(bad)) != "refused":
            wrong[name, f"label {bad[-1]}"] = fitted(head, torch.tensor(bad))
assert not wrong, f"right: the weights of int64, and a refusal in one line. {len(wrong)} differ: {wrong}"

"""A forward hook acts in learning and in prediction on every engine, whatever layer it hangs on."""

import torch
from torch import nn
from torch.nn import functional as F

import metatl
from metatl import Descent, Bank, ClassData, MetatlError, Net, Tasks
from metatl.engines import Batched, Loop
from metatl.learners import Episodic
from metatl.rules import SGD

torch.set_num_threads(1)
torch.manual_seed(0)
data = ClassData("toy", {"meta_train": Bank.from_arrays(torch.randn(12, 1, 8, 8), torch.arange(12) % 3)})
LAYERS = ("conv", "norm", "relu", "pool", "flatten", "head")
# One step of SGD(1) on the query loss of the start itself: what it moves is minus the gradient.
learner = Episodic(1, 1, Tasks(3, 1, 3), Descent(steps=0, moments="batch"), rule=SGD(1.0))
episode = learner.draw(data, 0, 0).query


def off(layer, engine):
    """Largest error of the outer gradient, as a share of its largest entry; 0 for a refusal in one line."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    module = nn.Sequential(*layers, nn.Linear(64, 3))
    module[LAYERS.index(layer)].register_forward_hook(lambda module, given, out: out + 0.5 * torch.tanh(out))
    try:
        start = (net := Net.of(module)).start()
        new = metatl.train(learner, net, engine, learner.init(net, start), data, 0).transfer.params
    except MetatlError:
        return 0.0
    F.cross_entropy(module.train()(episode.x[0]), episode.y[0]).backward()
    right = {name: p.grad for name, p in module.named_parameters() if name != "0.bias"}  # of 0, under a norm
    worst = [(start.params[n] - new[n] - g).abs().max() / g.abs().max() for n, g in right.items()]
    return round(float(max(worst)), 4)


found = {(layer, type(e).__name__): off(layer, e) for layer in LAYERS for e in (Loop(), Batched())}
assert max(found.values()) < 1e-3, f"outer gradients off by {found} of their size; right is 0"

"""A step leaves the state it starts from alone, also where a forward writes into its own buffers."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

import metatl
from metatl import Descent, Bank, Batch, ClassData, MetatlError, Net
from metatl.engines import Loop
from metatl.learners import Supervised
from metatl.rules import SGD

torch.set_num_threads(1)
torch.manual_seed(0)
x, y = torch.randn(15, 20), torch.arange(15) % 3
data = ClassData("toy", {"meta_train": Bank.from_arrays(x, y)})
net = Net.of(nn.Sequential(spectral_norm(nn.Linear(20, 30)), nn.ReLU(), nn.Linear(30, 3)))
start, learner = net.start(), Supervised(1, 8, SGD(0.1))
before = {name: value.clone() for name, value in start.buffers.items()}
state = learner.init(net, start)
first, second = (metatl.train(learner, net, Loop(), state, data, 0).transfer.params for _ in range(2))
changed = [name for name in before if not torch.equal(before[name], start.buffers[name])]
apart = max(float((first[name] - second[name]).abs().max()) for name in first)
assert not changed, f"the start's own buffers were written: {changed}"
assert apart == 0, f"the same step from the same state twice differs by {apart:.2g}; right is 0"


class Counting(nn.Sequential):
    def forward(self, x):
        self.seen.add_(1)
        return super().forward(x)


try:
    module = Counting(nn.Linear(20, 3))
    module.register_buffer("seen", torch.zeros(()))
    said = "fine" if Descent(steps=2)(mine := Net.of(module), mine.start(), Batch(x, y)) else ""
except Exception as error:
    said = "refused" if isinstance(error, MetatlError) else f"{type(error).__name__}: {str(error)[:90]}"
assert said in ("fine", "refused"), said

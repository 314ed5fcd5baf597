"""A weight with requires_grad=False stays as it is, whoever learns: its guide is 0."""

import torch
from torch import nn

import metatl
from metatl import Descent, Bank, Batch, ClassData, Evaluation, Net, Tasks
from metatl.engines import Batched
from metatl.learners import Episodic, Reptile, Supervised
from metatl.rules import SGD

torch.set_num_threads(1)
torch.manual_seed(0)
splits = ("meta_train", "meta_val", "meta_test")
x, y = torch.randn(15, 4), torch.arange(15) % 3
data = ClassData("toy", {split: Bank.from_arrays(x, y) for split in splits})
module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
module[0].requires_grad_(False)
net, adaptation = Net.of(module), Descent(SGD(0.1), 3)
start = net.start()


def moved(params):
    return round(max(float((params[n] - start.params[n]).abs().max()) for n in ("0.weight", "0.bias")), 4)


found = {"adapt": moved(adaptation(net, start, Batch(x, y)))}
for learner in (
    Supervised(steps=3, batch_size=8),
    Episodic(steps=3, meta_batch=2, tasks=Tasks(3, 2, 2), adaptation=adaptation),
    Reptile(steps=3, meta_batch=2, tasks=Tasks(3, 2, 0), adaptation=adaptation),
):
    state = metatl.train(learner, net, Batched(), learner.init(net, start), data, 0)
    found[type(learner).__name__] = moved(state.transfer.params)
assert not any(found.values()), f"the frozen layer moves by {found}; right is 0 everywhere"
assert not start.guide["0.weight"].any(), "the frozen layer's guide is 1; right is 0"
facts = metatl.evaluate(net, start, adaptation, data, Evaluation(Tasks(3, 2, 2), 2), Batched()).facts
assert facts["trainable"] == 27, f"{facts['trainable']} weights said to be trainable; right is 8 * 3 + 3 = 27"

"""Learning inside torch.no_grad() learns what it learns outside, or is refused in one line."""

import torch
from torch import nn

import metatl
from metatl import Descent, Bank, ClassData, MetatlError, Net, Tasks
from metatl.engines import Batched, Loop
from metatl.learners import Episodic, Supervised
from metatl.rules import SGD

torch.set_num_threads(1)
torch.manual_seed(0)
data = ClassData("toy", {"meta_train": Bank.from_arrays(torch.randn(15, 4), torch.arange(15) % 3)})
net = Net.of(nn.Linear(4, 3))
start = net.start()
meta = Episodic(steps=3, meta_batch=2, tasks=Tasks(3, 2, 2), adaptation=Descent(SGD(0.1), 1))
plain = Supervised(steps=3, batch_size=8)


def learned(learner, engine):
    state = metatl.train(learner, net, engine, learner.init(net, start), data, 0)
    return state.transfer.params["weight"] - start.params["weight"]


def inside(context, learner, engine):
    """ "same" as outside, "refused", or how far a weight moves in there."""
    outside = learned(learner, engine)
    try:
        with context():
            there = learned(learner, engine)
    except MetatlError:
        return "refused"
    return (
        "same"
        if torch.allclose(there, outside)
        else f"moves {there.abs().max():.4f} for {outside.abs().max():.4f}"
    )


ways = {
    "Episodic, Loop": (meta, Loop()),
    "Episodic, Batched": (meta, Batched()),
    "Supervised": (plain, Loop()),
}
found = {
    (name, context.__name__): inside(context, *way)
    for name, way in ways.items()
    for context in (torch.no_grad, torch.inference_mode)
}
assert set(found.values()) <= {"same", "refused"}, found

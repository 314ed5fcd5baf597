"""Batch norm over a single value has no moments: one and the same clear line on every engine and way in."""

import torch
from torch import nn

import metatl
from metatl import Descent, Bank, ClassData, MetatlError, Net, Personaliser, Tasks
from metatl.engines import Batched, Loop
from metatl.heads import Zeros
from metatl.learners import Episodic
from metatl.rules import SGD

torch.set_num_threads(1)
torch.manual_seed(0)
data = ClassData("toy", {"meta_train": Bank.from_arrays(x := torch.randn(8, 4), torch.arange(8) % 2)})
start = (net := Net.of(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)))).start()


def outcome(act):
    """The refusal, or what happened instead."""
    try:
        act()
    except MetatlError as error:
        return str(error)
    except Exception as error:
        return f"raw {type(error).__name__}"
    return "went on without a word"


def learn(engine):
    row_by_row = Descent(SGD(0.1), 2, Zeros(), batch_size=1, moments="batch")
    learner = Episodic(steps=1, meta_batch=2, tasks=Tasks(2, 1, 1), adaptation=row_by_row)
    metatl.train(learner, net, engine, learner.init(net, start), data, 0)


adapt = Personaliser(net, start, Descent(SGD(0.1), 2)).adapt
ways = {
    "Loop": lambda: learn(Loop()),
    "Batched": lambda: learn(Batched()),
    "Personaliser": lambda: adapt(x[:1], [0]),
}
found = {name: outcome(act) for name, act in ways.items()}
bad = {key: said for key, said in found.items() if said.startswith(("raw", "went on")) or "\n" in said}
assert not bad, f"{bad}; right is a MetatlError in one line"

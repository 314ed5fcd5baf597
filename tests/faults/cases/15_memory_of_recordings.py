"""What an engine keeps is bounded: a sweep over rates, or over nets, on one engine does not add memory for ever."""

import gc
import warnings

import torch
from torch import nn

import metatl
from metatl import Descent, Bank, ClassData, Net, Tasks
from metatl.engines import Batched
from metatl.learners import Episodic
from metatl.rules import SGD

torch.set_num_threads(1)
warnings.simplefilter("ignore")
data = ClassData("toy", {"meta_train": Bank.from_arrays(torch.randn(12, 4), torch.arange(12) % 3)})


def net_of():
    return Net.of(nn.Linear(4, 3))


def grown(net=None, before=8, calls=3):
    """Live tensors more after `calls` further trainings, each at a rate (on a net) of its own."""
    engine, counts = Batched(record=True), []
    for call in range(before + calls):
        learner = Episodic(1, 2, Tasks(3, 1, 1), Descent(SGD(0.1 + call / 100), 1))
        mine = net or net_of()
        metatl.train(learner, mine, engine, learner.init(mine, mine.start()), data, 0)
        del learner, mine
        gc.collect()
        counts.append(sum(issubclass(type(item), torch.Tensor) for item in gc.get_objects()))
    return counts[-1] - counts[before - 1]


found = {"one net, new rates": grown(net_of()), "new nets, new rates": grown()}
assert max(found.values()) < 30, f"live tensors more after 3 further calls: {found}; right is about 0"

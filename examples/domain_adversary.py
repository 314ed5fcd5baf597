"""DANN: a term with weights of its own over two streams; the target's labels are never read."""

import torch
from torch import nn

import metatl
from metatl.data import Bank, ClassData, Unlabelled
from metatl.engines import Loop
from metatl.learners import Supervised
from metatl.objectives import DANN, TaskLoss
from metatl.rules import Adam


def domains(seed: int = 0) -> ClassData:
    """Two classes that differ along one axis; the target domain is shifted along another."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(400) % 2
    source = torch.randn(400, 4, generator=generator) + torch.stack([2.0 * y, *[0.0 * y] * 3], 1)
    target = source.flip(0) + torch.tensor([0.0, 3.0, 3.0, 0.0])
    banks = {"meta_train": Bank.from_arrays(source, y), "meta_val": Bank.from_arrays(target, y.flip(0))}
    return ClassData("two domains", banks)


def learned(data: metatl.data.Data, terms: tuple[metatl.objectives.Term, ...]) -> metatl.Transfer:
    """What 200 steps with these terms carry."""
    torch.manual_seed(0)
    net = metatl.Net.of(nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)))
    learner = Supervised(200, 64, Adam(1e-2), terms, streams={"target": Unlabelled("meta_val", 64)})
    learner.check(net, net.start(), data)
    return metatl.train(learner, net, Loop(), learner.init(net, net.start()), data, seed=0).transfer


if __name__ == "__main__":
    carried = learned(domains(), (TaskLoss(), DANN()))
    print({name: tuple(leaf.shape) for name, leaf in carried.params.items()})

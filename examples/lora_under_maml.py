"""LoRA as a transform of (net, transfer), learned by MAML: only the low-rank weights and the head adapt."""

import torch

import metatl
from metatl import Descent, Net, Tasks
from metatl.data import Glyphs
from metatl.engines import Batched
from metatl.learners import Episodic
from metatl.models import MLP
from metatl.rules import SGD
from metatl.transforms import LoRA, transformed


def main() -> dict[str, float]:
    """Share of the body's weights that a task moves, and the query loss at the first and the last step."""
    torch.manual_seed(0)
    net = Net.of(MLP((1, 28, 28), 5, (64, 64)))
    net, start = transformed([LoRA(r=4)], net, net.start())
    data = Glyphs(train_classes=20, val_classes=5, test_classes=5).load()
    learner = Episodic(40, 8, Tasks(5, 1, 5), Descent(SGD(0.3), steps=2))
    losses: list[float] = []

    def note(_: object, metrics: dict[str, torch.Tensor]) -> None:
        losses.append(float(metrics["query_loss"]))

    state = metatl.train(learner, net, Batched(), learner.init(net, start), data, 0, [note])
    episode = metatl.tree.at(data.draw("meta_test", Tasks(5, 1, 5), 0, 0, 1), 0)
    fitted = learner.adaptation(net, state.transfer, episode.support)
    moved = sum(int((fitted[n] != p).sum()) for n, p in state.transfer.params.items() if not net.is_head(n))
    body = sum(p.numel() for n, p in net.module.named_parameters() if not net.is_head(n))
    return {"share": moved / body, "first": sum(losses[:5]) / 5, "last": sum(losses[-5:]) / 5}


if __name__ == "__main__":
    print(main())

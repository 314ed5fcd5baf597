"""MAML on a mapping of token ids and a mask: second order, all tasks at once and one after another."""

import torch
from torch import Tensor, nn

from metatl import Batch, Descent, Episode, Net, QueryLoss
from metatl.engines import Batched, Loop
from metatl.rules import SGD


class Sentences(nn.Module):
    """Mean of the words that the mask keeps, normalised, then a linear layer."""

    def __init__(self, words: int = 50, classes: int = 3) -> None:
        super().__init__()
        self.words, self.norm, self.head = nn.Embedding(words, 8), nn.LayerNorm(8), nn.Linear(8, classes)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        seen = (self.words(ids) * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        return self.head(torch.tanh(self.norm(seen)))


def rows(tasks: int, n: int) -> Batch:
    """Sentences of five words, [tasks, n, 5] ids and mask, with labels [tasks, n]."""
    mask = (torch.rand(tasks, n, 5) > 0.3).double()
    mask[..., 0] = 1.0
    return Batch({"ids": torch.randint(0, 50, (tasks, n, 5)), "mask": mask}, torch.randint(0, 3, (tasks, n)))


def main() -> float:
    """The largest difference between the two engines' meta-gradients."""
    torch.manual_seed(0)
    net = Net.of(Sentences().double())
    loss, tasks = QueryLoss(net, Descent(SGD(0.5), 3), net.start()), Episode(rows(4, 6), rows(4, 6))
    (one, _), (two, _) = (engine.grad(loss, loss.variables, tasks) for engine in (Batched(), Loop()))
    return max(float((one[name] - two[name]).abs().max()) for name in one)


if __name__ == "__main__":
    print(f"batched and loop differ by {main():.1e}")

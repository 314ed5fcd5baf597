"""A fresh output layer on a bare nn.Linear works; on one that shares its weight it works or is refused in one line."""

import torch
from torch import nn

from metatl import Descent, MetatlError, Net, Personaliser
from metatl.heads import Prototypes, Ridge, Zeros

torch.set_num_threads(1)
torch.manual_seed(0)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(7, 6), nn.Linear(6, 7, bias=True)
        self.head.weight = self.words.weight  # 7 rows, as many as words

    def forward(self, x):
        return self.head(self.words(x.long()).mean(1))


def outcome(module, head, x):
    """Shape of the outputs of a 3-class task, "refused", or the raw error."""
    try:
        net = Net.of(module)
        mine = Personaliser(net, net.start(), Descent(steps=2, head=head)).adapt(x, [0, 1, 2, 0, 1, 2])
        return tuple(mine.outputs(x).shape)
    except MetatlError as error:
        return f"refused: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


heads = (Zeros(), Prototypes(), Ridge())
bare = {type(head).__name__: outcome(nn.Linear(4, 9), head, torch.randn(6, 4)) for head in heads}
tied = {type(head).__name__: outcome(Tied(), head, torch.randint(0, 7, (6, 5))) for head in heads}
assert set(bare.values()) == {(6, 3)}, f"a bare nn.Linear: {bare}; right is (6, 3)"
wrong = [said for said in tied.values() if said != (6, 3) and not said.startswith("refused")]
assert not wrong, f"an output layer tied to the embedding: {tied}; right is (6, 3), or one line"

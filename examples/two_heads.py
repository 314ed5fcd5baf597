"""One trunk with two heads: a class and two real values of every row, fitted together; rows that count."""

import torch
from torch import Tensor, nn

from metatl import Batch, Descent, Net
from metatl.rules import Adam


class TwoHeads(nn.Module):
    """A class out of three, and a point in the plane."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.kind, self.place = nn.Linear(4, 32), nn.Linear(32, 3), nn.Linear(32, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = torch.tanh(self.trunk(x))
        return {"kind": self.kind(hidden), "place": self.place(hidden)}


def main() -> dict[str, float]:
    """Share of classes right, and mean squared error of the points, after adapting to 60 rows."""
    torch.manual_seed(0)
    x = torch.randn(120, 4)
    y = {"kind": x[:, :3].argmax(1), "place": torch.stack([x[:, 0] + x[:, 1], x[:, 2] * 0.5], 1)}
    weight = torch.where(torch.arange(60) < 20, 2.0, 1.0)  # the first rows count twice
    support = Batch(x[:60], {name: part[:60] for name, part in y.items()}, weight)
    net = Net.of(TwoHeads())
    adaptation = Descent(Adam(1e-2), steps=200)
    fitted = adaptation.fit(net, net.start(), support)
    said = adaptation.predict(net, net.start(), fitted, support, x[60:])
    return {
        "right": float((said["kind"].argmax(1) == y["kind"][60:]).float().mean()),
        "squared error": float((said["place"] - y["place"][60:]).square().mean()),
    }


if __name__ == "__main__":
    print(main())

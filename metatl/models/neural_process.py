"""Neural processes: support rows are summed up, or attended to, and decoded at each query row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metatl.types import MetatlError


class NeuralProcess(nn.Module):
    """f(x, r) with r the mean over support rows of h(x_i, y_i), or what x attends to among them.

    Conditional (Garnelo et al. 2018, arXiv 1807.01613), and attentive (Kim et al. 2019, arXiv 1901.05761, its
    deterministic path): keys and queries are e(x_i) and e(x), values h(x_i, y_i). A row that is always there,
    and learned, stands beside the support rows and counts as one, so that without any the answer is what was
    learned of tasks as such. A row of weight k counts as k; order does not matter, and a query sees no other.

    Args:
        shape: of one example, flattened.
        outputs: values of a real target, or classes.
        width: of every hidden layer.
        heads: of the attention; 0 for the mean.
        classes: whether targets are class indices; else real values.
        bars: outputs for a real target, if these are the weights of a `BarDistribution`; 0 for the value.

    Raises MetatlError for a width that the heads do not divide.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        width: int = 64,
        heads: int = 0,
        classes: bool = False,
        bars: int = 0,
    ) -> None:
        super().__init__()
        if (heads and width % heads) or (classes and bars):
            said = "bars are for real targets" if classes and bars else f"{heads} heads, width {width}"
            raise MetatlError(f"NeuralProcess: {said}; let the heads divide the width, bars be 0")
        columns = torch.Size(shape).numel()
        self.outputs, self.heads, self.classes = outputs, heads, classes
        self.encoder = _layers(columns + outputs, width, width)
        self.places = _layers(columns, width, width)
        self.always_value, self.always_key = (nn.Parameter(torch.randn(1, width) * 0.02) for _ in range(2))
        self.decoder = nn.Sequential(_layers(columns + width, width, width), nn.ReLU())
        self.head = nn.Linear(width, bars or outputs)

    def forward(
        self, support_x: Tensor, support_y: Tensor, x: Tensor, support_weight: Tensor | None = None
    ) -> Tensor:
        """Outputs [n, outputs or bars] for the rows x [n, ...] beside m support rows."""
        near, far = support_x.flatten(1), x.flatten(1)
        weight = near.new_ones(near.shape[0]) if support_weight is None else support_weight.to(near.dtype)
        value = torch.cat(
            [self.always_value, self.encoder(torch.cat([near, self._targets(support_y, near)], 1))]
        )
        weight = torch.cat([weight.new_ones(1), weight])
        if self.heads:
            key = torch.cat([self.always_key, self.places(near)])
            query, key, value = (self._apart(part) for part in (self.places(far), key, value))
            bias = weight.clamp_min(1e-30).log()
            seen = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + bias).softmax(-1) @ value
            seen = seen.transpose(0, 1).flatten(1)
        else:
            seen = (weight @ value / weight.sum()).expand(far.shape[0], -1)
        return self.head(self.decoder(torch.cat([far, seen], 1)))

    def _targets(self, y: Tensor, like: Tensor) -> Tensor:
        if not self.classes:
            return y.reshape(-1, self.outputs).to(like.dtype)
        return (y.unsqueeze(-1) == torch.arange(self.outputs, device=y.device)).to(like.dtype)

    def _apart(self, x: Tensor) -> Tensor:
        """[n, width] -> [heads, n, width / heads]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(0, 1)


def _layers(into: int, width: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(into, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out)
    )

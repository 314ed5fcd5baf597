"""Recurrent cells and layers written out: torch's own write in place into what tasks may share.

The formulas, the order of the gates and the order of the weights are those of torch's documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.types import MetatlError

Maybe = Tensor | None
Step = Callable[[Tensor, tuple[Tensor, ...], Sequence[Tensor]], tuple[Tensor, ...]]
"""One step of a layer: input, states, weights -> new states, of which the first is the output."""


def lstm_cell(
    x: Tensor, hx: tuple[Tensor, Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Maybe = None, b_hh: Maybe = None
) -> tuple[Tensor, Tensor]:
    """torch.lstm_cell: x [n, inputs], states [n, hidden]."""
    h, c = hx
    i, f, g, o = (F.linear(x, w_ih, b_ih) + F.linear(h, w_hh, b_hh)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru_cell(
    x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Maybe = None, b_hh: Maybe = None
) -> Tensor:
    """torch.gru_cell: x [n, inputs], h [n, hidden]."""
    r, z, n = F.linear(x, w_ih, b_ih).chunk(3, -1)
    r_h, z_h, n_h = F.linear(h, w_hh, b_hh).chunk(3, -1)
    z = (z + z_h).sigmoid()
    n = (n + (r + r_h).sigmoid() * n_h).tanh()
    return n + z * (h - n)


def plain_cell(activation: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """torch.rnn_tanh_cell, torch.rnn_relu_cell."""

    def cell(
        x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Maybe = None, b_hh: Maybe = None
    ) -> Tensor:
        return activation(F.linear(x, w_ih, b_ih) + F.linear(h, w_hh, b_hh))

    return cell


def _lstm_step(x: Tensor, states: tuple[Tensor, ...], weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
    h, c = states
    projection = weights[-1] if len(weights) % 2 else None
    h, c = lstm_cell(x, (h, c), *weights[: len(weights) // 2 * 2])
    return (h if projection is None else F.linear(h, projection)), c


def _step_of(cell: Callable[..., Tensor]) -> Step:
    def step(x: Tensor, states: tuple[Tensor, ...], weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return (cell(x, states[0], *weights),)

    return step


def _run(
    step: Step, x: Tensor, states: tuple[Tensor, ...], weights: Sequence[Tensor], back: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One layer in one direction over x [time, n, inputs]: outputs [time, n, hidden] and the last states."""
    seen: list[Tensor] = []
    for row in reversed(x.unbind(0)) if back else x.unbind(0):
        states = step(row, states, weights)
        seen.append(states[0])
    return torch.stack(seen[::-1] if back else seen), states


def _layers(step: Step, states: int) -> Callable[..., tuple[Tensor, ...]]:
    """torch.lstm, torch.gru, ...: all layers and directions."""

    def run(x: Tensor, first: Any, weights: Any, *options: Any) -> tuple[Tensor, ...]:
        if isinstance(weights, Tensor) or (states > 1 and isinstance(first, Tensor)):
            raise MetatlError(
                "packed sequences cannot be run for many tasks at once; pad them, or use "
                "engine: {class_path: Loop}"
            )
        _, layers, dropout, training, both, batch_first = options
        x = x.transpose(0, 1) if batch_first else x
        begun = list(zip(*(first if states > 1 else (first,)), strict=True))
        ways, each = 2 if both else 1, len(weights) // len(begun)
        last: list[tuple[Tensor, ...]] = []
        for layer in range(layers):
            if layer and dropout:
                x = F.dropout(x, dropout, training)
            sides: list[Tensor] = []
            for at in range(layer * ways, (layer + 1) * ways):
                own = weights[at * each : (at + 1) * each]
                side, ended = _run(step, x, begun[at], own, back=at % ways == 1)
                sides.append(side)
                last.append(ended)
            x = torch.cat(sides, -1)
        x = x.transpose(0, 1) if batch_first else x
        return x, *(torch.stack(kind) for kind in zip(*last, strict=True))

    return run


RECURRENT: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.lstm_cell: lstm_cell,
    torch.gru_cell: gru_cell,
    torch.rnn_tanh_cell: plain_cell(torch.tanh),
    torch.rnn_relu_cell: plain_cell(torch.relu),
    torch.lstm: _layers(_lstm_step, 2),
    torch.gru: _layers(_step_of(gru_cell), 1),
    torch.rnn_tanh: _layers(_step_of(plain_cell(torch.tanh)), 1),
    torch.rnn_relu: _layers(_step_of(plain_cell(torch.relu)), 1),
}
"""What torch calls for cells and layers -> the same written out."""

"""What one forward pass shows of a net: whether it reads pictures of a size, its first and last layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from metatl.norm import Rows, moments_from
from metatl.types import MetatlError

_CONVOLUTIONS = (nn.Conv2d, nn.LazyConv2d)


@dataclass(frozen=True)
class Trace:
    """first: name of the convolution called first; head: of the linear layer called last; None for none."""

    first: str | None
    head: str | None


def traced(module: nn.Module, shape: tuple[int, ...], what: str) -> Trace:
    """One pass over zeros of this shape [channels, height, width]; order of use, not of registration.

    Raises MetatlError where the net cannot read such pictures, or keeps more than tensors; what: the net's
    name in that line.
    """
    called: list[tuple[str, nn.Module]] = []

    def noting(name: str) -> Callable[..., None]:
        def note(layer: nn.Module, *_: Any) -> None:
            called.append((name, layer))

        return note

    handles = [layer.register_forward_hook(noting(name)) for name, layer in module.named_modules()]
    try:
        with torch.no_grad(), moments_from(Rows(frozen=True)):  # one picture has no moments to speak of
            output = module(torch.zeros(1, *shape, dtype=_type(module)))
    except Exception as error:  # whatever a module raises: it does not read such pictures
        said = next(iter(str(error).splitlines()), type(error).__name__)
        side = " x ".join(str(n) for n in shape)
        reads = channels_of(module, shape[0])
        advice = "give it another size"
        if reads != shape[0]:
            advice = f"its first convolution reads {reads} channels, and pictures have 3, or 1 (grey)"
        raise MetatlError(f"{what} does not read inputs of {side} ({said[:200]}); {advice}") from error
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(output, Tensor):
        raise MetatlError(f"{what} gives a {type(output).__name__}; it has to give one tensor of outputs")
    more = next((name for name, leaf in module.state_dict().items() if not isinstance(leaf, Tensor)), None)
    if more is not None:
        raise MetatlError(
            f"{what} keeps state that is no tensor ({more}), which no file of weights here holds; leave "
            "get_extra_state out, or let it be a buffer"
        )
    convolutions = [name for name, layer in called if isinstance(layer, _CONVOLUTIONS)]
    linear = [name for name, layer in called if isinstance(layer, nn.Linear)]
    return Trace(next(iter(convolutions), None), linear[-1] if linear else None)


def channels_of(module: nn.Module, otherwise: int = 3) -> int:
    """Input channels of the net's first convolution by registration; `otherwise` where it has none."""
    found = (child.in_channels for child in module.modules() if isinstance(child, nn.Conv2d))
    return next(found, otherwise)


def _type(module: nn.Module) -> torch.dtype:
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)

"""Which layers of a net a transform acts on."""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from metatl.net import Net
from metatl.transforms.quantised_linear import QuantisedLinear
from metatl.types import MetatlError, Params


def check_pattern(who: str, pattern: str) -> None:
    """Raise MetatlError for a broken regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise MetatlError(f"{who}: '{pattern}' is not a regular expression ({error})") from error


def check_rank(who: str, rank: int) -> None:
    """Raise MetatlError for a rank below 1."""
    if rank < 1:
        raise MetatlError(f"{who}: r is {rank}; give a rank of 1 or more")


def check_share(who: str, dropout: float) -> None:
    """Raise MetatlError for a dropout outside [0, 1)."""
    if not 0 <= dropout < 1:
        raise MetatlError(f"{who}: dropout is {dropout}; give a share from 0 to below 1")


def meant(net: Net, takes: Callable[[nn.Module], bool], pattern: str, every: str = "") -> list[str]:
    """Names of the layers but the output layer that a transform can act on and a pattern is found in.

    every: the word that means all of them. Raises MetatlError for a layer whose weight is another's too (what
    is merged into it would act in both), and for one whose weight is computed (a weight norm).
    """
    found = [
        name
        for name, layer in net.module.named_modules()
        if takes(layer) and name != net.head and (pattern == every or re.search(pattern, name))
    ]
    homes = dict[int, list[str]]()
    for name, leaf in net.module.named_parameters(remove_duplicate=False):
        homes.setdefault(id(leaf), []).append(name)
    for name in found:
        layer = net.module.get_submodule(name)
        weight = layer.weight
        if not isinstance(layer, QuantisedLinear) and id(weight) not in homes:
            raise MetatlError(
                f"layer '{name}' computes its weight of others (a parametrisation), which takes no addition; "
                "remove that (torch's remove_parametrizations), or name other layers (targets)"
            )
        others = [own for own in homes.get(id(weight), []) if own != f"{name}.weight"]
        if others:
            other = others[0].rpartition(".")[0]
            raise MetatlError(
                f"layer '{name}' has its weight in common with '{other}', so that what is added to one would "
                "be added to both; name layers with weights of their own (targets)"
            )
    return found


def nothing_meant(who: str, net: Net, takes: Callable[[nn.Module], bool], pattern: str) -> MetatlError:
    """What is said where no layer is meant."""
    known = [name for name, layer in net.module.named_modules() if takes(layer)]
    kind = "convolutions that it takes" if takes is spatial else "linear layers"
    shown = ", ".join(name for name in known[:8] if name != net.head) or "none"
    but = f"; '{net.head}' gives the output and is never meant" if net.head in known else ""
    return MetatlError(f"{who}: no layer is meant by targets '{pattern}'; {kind} are {shown}{but}")


def dense(layer: nn.Module) -> bool:
    """Whether a layer is nn.Linear, called as a module, with a weight of its own."""
    return isinstance(layer, nn.Linear) and not isinstance(
        layer, NonDynamicallyQuantizableLinear | QuantisedLinear
    )


def adaptable(layer: nn.Module) -> bool:
    """Whether a layer is `linear`, or a linear one whose weight is held as codes."""
    return linear(layer) or isinstance(layer, QuantisedLinear)


def weight_of(net: Net, params: Params, layer: str) -> Tensor:
    """The weight [out, in] of a linear layer: the carried one, or what its codes say."""
    held = params.get(f"{layer}.weight")
    return net.module.get_submodule(layer).weight if held is None else held  # pyright: ignore[reportReturnType]


def linear(layer: nn.Module) -> bool:
    """Whether a layer is linear in its input and called as a module: nn.Linear, or a 1x1 convolution."""
    return dense(layer) or (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and layer.groups == 1
        and not any([layer.stride != (1, 1), layer.padding != (0, 0)])
    )


def spatial(layer: nn.Module) -> bool:
    """Whether a layer is a full convolution of odd width above 1, padded so that its centre lies on x."""
    return (
        isinstance(layer, nn.Conv1d | nn.Conv2d)
        and layer.groups == 1
        and not isinstance(layer.padding, str)
        and max(layer.kernel_size) > 1
        and all(
            k % 2 == 1 and p == d * (k // 2)
            for k, p, d in zip(layer.kernel_size, layer.padding, layer.dilation, strict=True)
        )
    )

"""A base whose weights are held in 4 or 8 bits."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

from torch import nn

from metatl.net import Net
from metatl.transforms.quantised_linear import Kind, QuantisedLinear
from metatl.transforms.targets import check_pattern, dense, meant, nothing_meant
from metatl.transforms.transform import Transform
from metatl.types import MetatlError, Transfer


@dataclass(frozen=True)
class Quantised(Transform):
    """Weights of linear layers as codes in buffers, which no learner moves; `LoRA` on top makes it QLoRA.

    w is the nearest table value times the largest magnitude of its block of the flat weight: |error| <=
    .152 of that magnitude for nf4, 1 / 254 for int8, and the rounding of w's own type. With `double` the
    magnitudes are 8-bit codes themselves, whose error comes on top: 4 + 8 / block + 32 / (256 * block) bits a
    weight for nf4, 4.127 at 64. Biases, norms, other layers and the output layer stay as they are. Merged the
    weights are floating-point numbers again, those that the codes say. Sources: Dettmers et al. 2023, arXiv
    2305.14314 (QLoRA); int8 by blocks: Dettmers et al. 2022, arXiv 2110.02861.

    Args:
        kind: `nf4` or `int8`.
        block: weights that share a scale.
        double: whether scales are quantised too.
        targets: `all-linear` (every nn.Linear but the output layer), or a regular expression that is found
            in the names of the layers meant.

    Calling it raises MetatlError where no layer is meant, and where one has an addition: quantise first.
    """

    kind: Kind = "nf4"
    block: int = 64
    double: bool = True
    targets: str = "all-linear"

    def __post_init__(self) -> None:
        """Refuse blocks that are empty or odd, and a broken regular expression."""
        if self.block < 2 or self.block % 2:
            raise MetatlError(f"Quantised: block is {self.block}; give an even number, as 64")
        check_pattern("Quantised", self.targets)

    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The net with coded layers; their weights are buffers of the transfer, and no params of it."""
        layers = meant(net, dense, self.targets, "all-linear")
        if not layers:
            raise nothing_meant("Quantised", net, dense, self.targets)
        twice = next((one.layer for one in net.additions if one.layer in layers), None)
        if twice is not None:
            raise MetatlError(f"Quantised: layer '{twice}' has an addition already; quantise before adding")
        module, buffers = copy.deepcopy(net.module), dict(transfer.buffers)
        for name in layers:
            layer = module.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            layer.weight.data = transfer.params[f"{name}.weight"]
            made = QuantisedLinear(layer, self.kind, self.block, self.double)
            module.set_submodule(name, made)
            buffers |= {f"{name}.{own}": leaf.clone() for own, leaf in made.named_buffers()}
        gone = {f"{name}.weight" for name in layers}
        params = {name: leaf for name, leaf in transfer.params.items() if name not in gone}
        guide = {name: leaf for name, leaf in transfer.guide.items() if name not in gone}
        new = replace(net, module=module, plain=False, frozen=net.frozen - gone)
        return new, replace(transfer, params=params, guide=guide, buffers=buffers)

"""A body that moves along a few directions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from metatl import tree
from metatl.additions import Through
from metatl.net import Net
from metatl.transforms.scouted import Scouted, role_in
from metatl.transforms.transform import extended
from metatl.types import Buffers, MetatlError, Params, Transfer

Z = "subspace.z"
"""The name of the numbers that move."""
_FRONT = "subspace."
Along = Literal["scouts", "permuted", "random"]


@dataclass(frozen=True)
class Directions(Through):
    """theta + sum_i z_i v_i, with directions v_i [k, ...] held as buffers of the weights that they move."""

    def __call__(self, params: Params, buffers: Buffers) -> tuple[Params, Buffers]:
        """The module's own weights and buffers."""
        z = params[Z]
        new = {name: leaf for name, leaf in params.items() if name != Z}
        theirs = {name: key for name in new if (key := _FRONT + name) in buffers}
        for name, key in theirs.items():
            held = buffers[key]
            new[name] = params[name] + (z.to(held) @ tree.lines(held)).view(held.shape[1:])
        return new, {name: leaf for name, leaf in buffers.items() if name not in theirs.values()}


@dataclass(frozen=True)
class Subspace(Scouted):
    """theta = theta_0 + E[d] + U S z: z [k], at first 0, and the output layer move, all else stays.

    U S are the principal directions of scouts' displacements (`Scout(directions=...)`), the i-th as long as
    the displacements' deviation along it. Merged it is theta. Compare Li et al. 2018, arXiv 1804.08838
    (random directions); Tegner et al. 2022, arXiv 2207.03804.

    Args:
        k: how many directions; where scouts span fewer, the last ones are 0.
        explained: share of the variance, that of the carried directions and no other included, after which
            further directions are left out (their z moves nothing); 1 for none.
        along: the scouts' directions, or a control of the same spectrum: theirs with the entries of each
            tensor `permuted` alike, or `random` ones.
        mean: whether E[d] is added.
        seed: of the controls.

    Calling it raises MetatlError where the start carries no directions, or fewer than k.
    """

    k: int = 16
    explained: float = 1.0
    along: Along = "scouts"
    mean: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.k < 1 or not 0 < self.explained <= 1:
            raise MetatlError(
                f"Subspace: k is 1 or more, explained a share above 0; they are {self.k} and {self.explained}"
            )

    def outline(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The pair with directions of zeros, before scouts have learned any."""
        body = self.body(net, transfer)
        return self._along(net, transfer, {n: p.new_zeros(self.k, *p.shape) for n, p in body.items()})

    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The net that moves along the directions, from theta_0 + E[d]."""
        found = role_in(type(self).__name__, transfer, "directions")
        have = len(tree.first(found))
        if have < self.k:
            raise MetatlError(
                f"Subspace: k is {self.k}, and the start carries {have} directions; raise Scout's directions"
            )
        moved = tree.add(transfer.params, self.mean_of(transfer)) if self.mean else transfer.params
        return self._along(net, replace(transfer, params=moved), self._directions(found, transfer))

    def _directions(self, found: Params, transfer: Transfer) -> Params:
        rows = torch.cat([tree.lines(leaf) for leaf in found.values()], 1)
        power = rows.double().square().sum(1)
        total = sum(float(leaf.sum()) for leaf in role_in("Subspace", transfer, "variance").values())
        before = (power.cumsum(0) - power) / max(total, 1e-30)
        counts = before < (self.explained if self.explained < 1 else 2.0)
        rows = torch.where(counts[:, None], self._turned(rows, found), 0.0)[: self.k]
        parts = rows.split([leaf[0].numel() for leaf in found.values()], 1)
        return {
            name: part.reshape(self.k, *leaf.shape[1:])
            for (name, leaf), part in zip(found.items(), parts, strict=True)
        }

    def _turned(self, rows: Tensor, found: Params) -> Tensor:
        """The directions, or their control, [k, numbers]."""
        if self.along == "scouts":
            return rows
        generator = torch.Generator().manual_seed(self.seed)
        if self.along == "permuted":
            sizes, begin, places = [leaf[0].numel() for leaf in found.values()], 0, list[Tensor]()
            for size in sizes:
                places.append(begin + torch.randperm(size, generator=generator))
                begin += size
            return rows[:, torch.cat(places).to(rows.device)]
        drawn = torch.randn(rows.shape[::-1], generator=generator, dtype=torch.float64)
        turned = torch.linalg.qr(drawn)[0].T.to(rows)
        return turned * rows.norm(dim=1)[: len(turned), None]

    def _along(self, net: Net, transfer: Transfer, rows: Params) -> tuple[Net, Transfer]:
        if net.through:
            raise MetatlError("Subspace: the net moves along directions already, from a start or another one")
        z = {Z: tree.first(rows).new_zeros(self.k)}
        held = {_FRONT + name: leaf for name, leaf in rows.items()}
        net, transfer = extended(net, transfer, [], z, held)
        return replace(net, through=(Directions(),)), transfer

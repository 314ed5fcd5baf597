"""A body that moves along a few directions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from metatl import tree
from metatl.net import Net
from metatl.transforms.along_directions import FRONT, Directions, Z
from metatl.transforms.scouted import Scouted, role_in
from metatl.transforms.spectrum import Along, explained, parts_of, turned
from metatl.transforms.transform import extended
from metatl.types import MetatlError, Params, Transfer


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
        return self._along(net, replace(transfer, params=moved), self._kept(found, transfer))

    def _along(self, net: Net, transfer: Transfer, rows: Params) -> tuple[Net, Transfer]:
        if net.through:
            raise MetatlError("Subspace: the net moves along directions already, from a start or another one")
        z = {Z: tree.first(rows).new_zeros(self.k)}
        held = {FRONT + name: leaf for name, leaf in rows.items()}
        net, transfer = extended(net, transfer, [], z, held)
        return replace(net, through=(Directions(),)), transfer

    def _kept(self, found: Params, transfer: Transfer) -> Params:
        """k directions or their control, 0 after the share of the variance that is to be explained."""
        total = sum(float(leaf.sum()) for leaf in role_in("Subspace", transfer, "variance").values())
        rows = turned(found, self.along, self.seed)
        counts = explained(found, total, self.explained)
        return parts_of(torch.where(counts[:, None], rows, 0.0)[: self.k], found)

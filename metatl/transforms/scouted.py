"""What transforms that use scouts' displacements have in common."""

from __future__ import annotations

from metatl.net import Net
from metatl.transforms.transform import Transform
from metatl.types import MetatlError, Params, Transfer


def role_in(who: str, transfer: Transfer, role: str) -> Params:
    """By weight, what scouts left under a role; MetatlError where the start carries nothing of the kind."""
    front = f"{role}."
    found = {key.removeprefix(front): leaf for key, leaf in transfer.memory.items() if key.startswith(front)}
    if not found:
        raise MetatlError(
            f"{who}: the start carries no {role} of displacements; let it be a run of the learner Scout with "
            "directions of 1 or more"
        )
    return found


class Scouted(Transform):
    """A transform of a start that scouts have left their displacements' mean and directions in."""

    def body(self, net: Net, transfer: Transfer) -> Params:
        """What scouts displace: all that may move but the output layer."""
        return {
            name: leaf
            for name, leaf in transfer.params.items()
            if not net.is_head(name) and name not in net.frozen
        }

    def mean_of(self, transfer: Transfer) -> Params:
        """E[d] for every weight, 0 for those that scouts did not displace."""
        found = role_in(type(self).__name__, transfer, "mean")
        return {name: found.get(name, leaf.new_zeros(())) for name, leaf in transfer.params.items()}

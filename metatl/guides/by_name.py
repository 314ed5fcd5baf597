"""Guides by the name of the weight."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from metatl.guides.guide import TransferGuide, filled
from metatl.net import Net
from metatl.types import Guide, MetatlError, Transfer


@dataclass(frozen=True)
class ByName(TransferGuide):
    r"""The value of the first rule whose regular expression is found in the weight's name.

    Freezing, feature extraction, surgical fine-tuning, bias-only tuning, ANIL and BOIL are such lists, e.g.
    [["^head\\.", 1], ["", 0]]. Raises MetatlError for a weight that no rule covers and for a broken
    expression.

    Args:
        rules: pairs (regular expression, guide).
    """

    rules: tuple[tuple[str, float], ...] = (("", 1.0),)

    def __post_init__(self) -> None:
        """Refuse a broken regular expression, and a value that would let a weight climb."""
        for pattern, value in self.rules:
            if not 0 <= value < math.inf:
                raise MetatlError(f"ByName: '{pattern}' has {value}; give a finite number, 0 or more")
            try:
                re.compile(pattern)
            except re.error as error:
                raise MetatlError(f"ByName: '{pattern}' is not a regular expression ({error})") from error

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """One 0-d entry a weight."""
        values: dict[str, float] = {}
        for name in transfer.params:
            for pattern, value in self.rules:
                if re.search(pattern, name):
                    values[name] = value
                    break
        return filled(transfer.params, values)

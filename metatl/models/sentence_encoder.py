"""A pre-trained language model with a new output layer."""

from __future__ import annotations

from typing import final

from torch import nn

from metatl.language import text_net
from metatl.types import MetatlError


@final
class SentenceEncoder(nn.Module):
    """A net for texts with its weights, and an output layer of zeros: token ids [n, t] -> [n, outputs].

    Args:
        shape: of one example: (t,), as `data.Sentences` has it with the same net.
        outputs: units of the output layer.
        net: minilm, or the folder of an encoder or decoder.

    Raises MetatlError for a folder that holds no such net, and where the extra `text` is missing.
    """

    def __new__(cls, shape: tuple[int, ...], outputs: int, net: str = "minilm") -> nn.Module:  # pyright: ignore[reportInconsistentConstructor]
        """The net itself: nothing is wrapped around it."""
        if len(shape) != 1:
            raise MetatlError(f"SentenceEncoder reads token ids [t]; examples have shape {shape}")
        module = text_net(net).module
        module.head = nn.Linear(module.head.in_features, outputs)
        nn.init.zeros_(module.head.weight)
        nn.init.zeros_(module.head.bias)
        return module

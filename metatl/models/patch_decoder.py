"""A vision transformer that fills in the patches of a picture: what masked patches are learned with."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from metatl import importing
from metatl.types import MetatlError


class PatchDecoder(nn.Module):
    """One of timm's vision transformers, and a linear layer from every patch's token to its pixels.

    What pre-training leaves is `body`, the transformer: its weights fit the net of the same name
    (`--net timm:NAME@RUN/transfer.safetensors`). Source: Xie et al. 2022 (SimMIM), arXiv 2111.09886: masked
    patches stay in the sequence, and a linear layer is the decoder. A task's output layer in its place, with
    another number of outputs, reads the mean of the patches' tokens; a config names it (`head: head`).

    Args:
        shape: of a picture, [channels, side, side].
        outputs: values of a picture; a linear layer per patch gives them all, whatever is said.
        name: of the transformer.
        arguments: further ones of timm.create_model.

    Raises MetatlError for a net without patches, and for sides that they do not divide.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        name: str = "vit_tiny_patch16_224",
        arguments: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        channels, side, _ = shape
        given = {"num_classes": 0, "img_size": side, "in_chans": channels, **(arguments or {})}
        self.body: Any = importing.found("timm.create_model")(name, **given)
        embed = getattr(self.body, "patch_embed", None)
        if embed is None or not hasattr(self.body, "num_prefix_tokens"):
            raise MetatlError(
                f"PatchDecoder: {name} has no tokens of patches; take a vit_ or deit_ of timm's"
            )
        self.patch, self.side = int(embed.patch_size[0]), side
        if side % self.patch:
            raise MetatlError(
                f"PatchDecoder: pictures of {side} pixels have no whole patches of {self.patch}"
            )
        self.values = channels * self.patch**2
        self.head = nn.Linear(self.body.num_features, self.values)

    def forward(self, x: Tensor) -> Tensor:
        """x [n, channels, side, side] -> its values [n, channels * side * side], or a task's outputs."""
        said: Tensor = self.head(self.body.forward_features(x)[:, self.body.num_prefix_tokens :])
        if said.shape[-1] != self.values:
            return said.mean(1)
        return F.fold(said.transpose(1, 2), self.side, self.patch, stride=self.patch).flatten(1)

"""What lies in `from_peft/`, and the program that wrote it with peft itself.

    python tests/golden/make_peft.py

needs peft (extra `oracles`). For every kind: the adapter before and after three steps of SGD (rate 0.5, mean
cross-entropy), as peft saves them, and the outputs of both; base, inputs and labels are in `base`, float64.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

FOLDER = Path(__file__).with_name("from_peft")
LAYERS, STEPS, RATE = ["qkv", "out", "mix"], 3, 0.5
LOW: dict[str, Any] = {"r": 2, "lora_alpha": 3, "init_lora_weights": False}


class Block(nn.Module):
    """A pre-norm attention block with a 1x1 convolution, on [n, 4, 6]."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(6), nn.Linear(6, 18), nn.Linear(6, 6, bias=False)
        self.mix = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        """[n, 3]."""
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v))
        return self.head(self.mix(x.unsqueeze(-1)).squeeze(-1).mean(1))


def configs() -> dict[str, Any]:
    """One a kind; layers as a list, as a pattern, and with patterns of rank and alpha."""
    from peft import IA3Config, LoraConfig  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]

    shared: dict[str, Any] = {"modules_to_save": ["head"]}
    patterns = {"rank_pattern": {"out": 3}, "alpha_pattern": {"out": 5}}
    return {
        "lora": LoraConfig(target_modules=LAYERS, **LOW, **patterns, **shared),
        "rslora": LoraConfig(target_modules="(qkv|mix)", use_rslora=True, **LOW, **shared),
        "dora": LoraConfig(target_modules=LAYERS, use_dora=True, **LOW, **shared),
        "ia3": IA3Config(
            target_modules=LAYERS, feedforward_modules=["out"], init_ia3_weights=False, **shared
        ),
    }


def main() -> None:
    """Write the folder anew."""
    from peft import get_peft_model  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]

    torch.manual_seed(0)
    base = Block().double().eval()
    x, y = torch.randn(7, 4, 6, dtype=torch.float64), torch.arange(7) % 3
    FOLDER.mkdir(exist_ok=True)
    save_file({**base.state_dict(), "x": x, "y": y}, FOLDER / "base.safetensors")
    outputs: dict[str, Tensor] = {}
    for kind, config in configs().items():
        net: Any = get_peft_model(copy.deepcopy(base), config).double().eval()
        net.save_pretrained(FOLDER / kind / "before")
        outputs[f"{kind}.before"] = net(x).detach()
        moved = [p for p in net.parameters() if p.requires_grad]
        optimiser = torch.optim.SGD(moved, RATE)
        for _ in range(STEPS):
            optimiser.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimiser.step()
        net.save_pretrained(FOLDER / kind / "after")
        outputs[f"{kind}.after"] = net(x).detach()
    save_file(outputs, FOLDER / "outputs.safetensors")
    for extra in FOLDER.rglob("README.md"):
        extra.unlink()


if __name__ == "__main__":
    sys.exit(main())

"""What lies in `quantised.safetensors`, and the program that wrote it with bitsandbytes.

    python tests/golden/make_quantised.py

needs bitsandbytes (extra `oracles`). NF4 in blocks of 64 with double quantisation, of a [60, 330] weight.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

FILE = Path(__file__).with_name("quantised.safetensors")


def main() -> None:
    """Write the file anew."""
    import bitsandbytes.functional as theirs  # pyright: ignore[reportMissingImports]

    weight = torch.randn(60, 330, generator=torch.Generator().manual_seed(0)).half().float()
    made: Any = theirs.quantize_4bit(weight, quant_type="nf4", compress_statistics=True, blocksize=64)
    codes, state = made
    found = {
        "weight": weight.half(),
        "table": theirs.get_4bit_type("nf4", device="cpu"),
        "dynamic": theirs.create_dynamic_map(),
        "codes": codes.flatten(),
        "scale": state.absmax,
        "scale_scale": state.state2.absmax,
        "scale_offset": state.offset.view(()),
        "decoded": theirs.dequantize_4bit(codes, state),
    }
    save_file({name: leaf.contiguous() for name, leaf in found.items()}, FILE)


if __name__ == "__main__":
    main()

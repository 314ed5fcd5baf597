"""What low-rank additions to pre-trained nets cost, beside peft in a plain loop."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metatl import tree
from metatl.adapt import Descent
from metatl.heads import Learned
from metatl.lab import record
from metatl.net import Net
from metatl.pretrained import pretrained, vision
from metatl.profile.memory import in_fresh_process, read_order, tell
from metatl.profile.timing import interleaved, turns
from metatl.rules import Adam
from metatl.transferring.fit import descended
from metatl.transforms import LoRA
from metatl.transforms.low_rank import LowRank
from metatl.types import Batch, MetatlError, Params, Transfer

NETS = {"minilm": (32, 32), "timm:vit_tiny_patch16_224": (8, 224)}
"""By net: rows of a batch, and tokens or pixels."""
RANK, STEPS, LR = 8, 5, 1e-3
CLOSE = 1e-3
"""Distance of the two ends, as a share of the way."""
_CHILD = "from metatl.profile.low_rank import child; child()"


def beside_peft(names: Sequence[str], device: str, repeats: int) -> list[dict[str, Any]]:
    """T3: LoRA (r 8) on all linear layers of MiniLM and ViT-tiny, beside peft in a plain loop.

    From the same A, checked to end at the same weights. Seconds, and the memory above a fresh process
    with its net. Raises MetatlError without peft.
    """
    found: list[dict[str, Any]] = []
    for name in NETS:
        calls = _calls(name)
        _check(name, *(call() for call in calls.values()))
        with record.bar(f"timing T3, {name}", turns(len(calls), repeats), "turn") as progress:
            seconds = interleaved(calls, repeats, 0.0, device, progress)
        mib = {who: _peak(name, who) for who in calls}
        found.append(
            {
                "name": "T3",
                "net": name,
                "rows": NETS[name][0],
                "steps": STEPS,
                **{f"{who}_seconds": round(value, 3) for who, value in seconds.items()},
                **{f"{who}_mib": round(value, 1) for who, value in mib.items()},
                "ratio": round(seconds["ours"] / seconds["peft"], 3),
                "memory_ratio": round(mib["ours"] / mib["peft"], 3),
            }
        )
    return found


MEASURES: Mapping[str, Callable[[Sequence[str], str, int], list[dict[str, Any]]]] = {"T3": beside_peft}


def _calls(name: str) -> dict[str, Callable[[], Params]]:
    """Ours and peft's, which give the weights that moved by our names."""
    torch.manual_seed(0)
    rows, length = NETS[name]
    made = pretrained(name, length)
    module, head = made.module.eval(), str(made.head)
    batch = Batch(_noise(made.preparation, rows, length), torch.arange(rows) % 2)
    bare = Net.of(module, head, made.preparation.example())
    net, transfer = LoRA(RANK, RANK)(bare, bare.start())
    descent = Descent(Adam(LR), STEPS, Learned(), moments="frozen")
    return {
        "ours": functools.partial(descended, descent, net, transfer, batch),
        "peft": functools.partial(_by_peft, _peft(), module, head, net, transfer, batch),
    }


def _noise(preparation: Any, rows: int, length: int) -> Any:
    """As many rows as the net reads, of its own example's shape; of tokens none is left out."""
    example = preparation.example()
    if isinstance(example, Tensor):
        return preparation.stacked(list(torch.randn(rows, *example.shape[1:])))
    ids = torch.randint(1000, 2000, (rows, length))
    return {"ids": ids, "mask": torch.ones_like(ids)}


def _by_peft(peft: Any, module: nn.Module, head: str, net: Net, transfer: Transfer, batch: Batch) -> Params:
    """The weights after plain steps of Adam on what peft adds, and on the output layer."""
    layers = [cast(LowRank, one).layer for one in net.additions]
    config = peft.LoraConfig(r=RANK, lora_alpha=RANK, target_modules=layers)
    model: nn.Module = peft.get_peft_model(copy.deepcopy(module), config).eval()
    own = {_ours(name): p for name, p in model.named_parameters()}
    for name, p in own.items():
        p.requires_grad_(net.is_head(name) or "lora_" in name)
        if p.requires_grad:
            p.data.copy_(transfer.params[name])
    moved = {name: p for name, p in own.items() if p.requires_grad}
    rule = torch.optim.Adam(moved.values(), LR)
    for _ in range(STEPS):
        rule.zero_grad()
        output = model(**batch.x) if isinstance(batch.x, dict) else model(batch.x)
        F.cross_entropy(output, batch.y).backward()
        rule.step()
    return {name: p.detach() for name, p in moved.items()}


def _ours(name: str) -> str:
    """A weight's name in peft's module, as we have it."""
    return name.removeprefix("base_model.model.").replace(".base_layer", "").replace(".default", "")


def _check(name: str, ours: Params, theirs: Params) -> None:
    """Raise MetatlError where the two loops end elsewhere."""
    own = {key: ours[key] for key in theirs}
    moved = float(tree.norm({key: leaf for key, leaf in theirs.items() if "lora_B" in key}))
    gap = float(tree.norm(tree.sub(own, theirs))) / moved
    if not gap < CLOSE:
        raise MetatlError(f"T3, {name}: peft ends elsewhere, by {gap:.1e} of the way; nothing is timed")


def able() -> bool:
    """Whether peft is installed."""
    return find_spec("peft") is not None


def _peft() -> Any:
    try:
        vision.torchvision()  # which peft's imports need
        return import_module("peft")
    except ImportError as error:
        raise MetatlError(f"T3 is measured beside peft ({error}): pip install 'metatl[oracles]'") from error


def _peak(name: str, who: str) -> float:
    (found,) = in_fresh_process(_CHILD, {"net": name, "engine": who})
    return found["peak"]


def child() -> None:
    """In the fresh process: the memory of a call above what the process holds with its net."""
    order = read_order()
    call = _calls(order["net"])[order["engine"]]
    idle = record.held_mib("cpu")
    call()
    tell(peak=record.peak_mib("cpu") - idle)

"""What the processes of a job hand each other: values of process 0, sums, and rows."""

from __future__ import annotations

import io
import json
import math
import uuid
from functools import lru_cache
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from metatl import tree
from metatl.processes.job import local, machine, reaching, world, writer

T = TypeVar("T")


def same(value: T) -> T:
    """The value of process 0 in every process; what the others give is ignored.

    It may be made of dicts with text keys, tuples, lists, tensors (in the others they lie on the CPU), text,
    numbers and None; nothing in it is executed, unlike a pickle.
    """
    if world() == 1:
        return value
    mine = _packed(value) if writer() else b""
    size = torch.tensor([len(mine)])
    with reaching():
        dist.broadcast(size, 0)
        whole = _bytes(mine) if mine else torch.empty(int(size), dtype=torch.uint8)
        dist.broadcast(whole, 0)
    return value if writer() else cast(T, _unpacked(whole.numpy().tobytes()))


def everyones(value: T) -> list[T]:
    """What every process gives, process 0's first, in every process; made of what `same` takes."""
    if world() == 1:
        return [value]
    mine = _bytes(_packed(value))
    sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(world())]
    with reaching():
        dist.all_gather(sizes, torch.tensor([len(mine)]))
        padded = mine.new_zeros(int(max(sizes)))
        padded[: len(mine)] = mine
        found = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(found, padded)
    return [
        cast(T, _unpacked(one[: int(size)].numpy().tobytes())) for one, size in zip(found, sizes, strict=True)
    ]


def summed(x: Tensor) -> Tensor:
    """The sum [...] over all processes, the same bits in each."""
    if world() == 1:
        return x
    with reaching():
        group = _cards(dist.group.WORLD) if x.is_cuda else None
        total = x.clone() if group is not None else x.detach().cpu().clone()
        dist.all_reduce(total, group=group)
    return total.to(x.device)


def gathered(rows: Tensor, counts: list[int]) -> Tensor:
    """The rows [count of this process, n] of all processes [sum of counts, n], process 0's first."""
    if world() == 1:
        return rows
    with reaching():
        group = _cards(dist.group.WORLD) if rows.is_cuda else None
        own = rows if group is not None else rows.detach().cpu()
        padded = own.new_zeros(max(counts), rows.shape[1])
        padded[: len(own)] = own
        found = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(found, padded, group=group)
    return torch.cat([part[:count] for part, count in zip(found, counts, strict=True)]).to(rows.device)


def take_card(device: str) -> None:
    """Make `cuda` mean the card of this process's place on its machine."""
    if world() > 1 and device == "cuda" and torch.cuda.is_available():
        torch.cuda.set_device(local() % torch.cuda.device_count())


@lru_cache(maxsize=1)
def _cards(_: object) -> dist.ProcessGroup | None:
    """The NCCL group of this job, where every process has its own card; else tensors go by the CPU (None)."""
    card = torch.cuda.get_device_properties(torch.cuda.current_device())
    name = f"{machine()}/{getattr(card, 'uuid', torch.cuda.current_device())}"
    mine = _bytes(uuid.uuid5(uuid.NAMESPACE_OID, name).bytes)
    found = [torch.empty_like(mine) for _ in range(world())]
    dist.all_gather(found, mine)
    if len({tuple(one.tolist()) for one in found}) < world():
        return None
    return cast(dist.ProcessGroup, dist.new_group(backend="nccl"))


def _bytes(value: bytes) -> Tensor:
    return torch.frombuffer(bytearray(value), dtype=torch.uint8)


def _packed(value: Any) -> bytes:
    """The length of a JSON text, the text, the bytes of the tensors that it leaves out."""
    tensors: list[Tensor] = []
    text = json.dumps(_plain(value, tensors)).encode()
    return b"".join([len(text).to_bytes(8, "big"), text, *(_raw(leaf) for leaf in tensors)])


def _raw(leaf: Tensor) -> bytes:
    return tree.bits(leaf.cpu()).numpy().tobytes()


def _plain(value: Any, tensors: list[Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors.append(value)
        return {"tensor": [str(value.dtype).removeprefix("torch."), list(value.shape)]}
    if isinstance(value, dict):
        items = cast(dict[str, Any], value).items()
        return {"dict": [[name, _plain(item, tensors)] for name, item in items]}
    if isinstance(value, list | tuple):
        items = [_plain(item, tensors) for item in cast(list[Any], value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    return value


def _unpacked(packed: bytes) -> Any:
    stream = io.BytesIO(packed)
    text = stream.read(int.from_bytes(stream.read(8), "big"))
    return _whole(json.loads(text), stream)


def _whole(value: Any, stream: io.BytesIO) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, held),) = cast(dict[str, Any], value).items()
    if kind == "tensor":
        dtype, shape = getattr(torch, held[0]), held[1]
        raw = stream.read(math.prod(shape) * dtype.itemsize)
        return _bytes(raw).view(dtype).reshape(shape) if raw else torch.empty(shape, dtype=dtype)
    if kind == "dict":
        return {name: _whole(item, stream) for name, item in held}
    items = [_whole(item, stream) for item in held]
    return tuple(items) if kind == "tuple" else items

"""A quantised base: tables and numbers of bitsandbytes, error bounds, QLoRA learned, merged and kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from metatl import Descent, Net
from metatl.engines import Batched, Loop
from metatl.lab import config
from metatl.lab.run import learn, prepare
from metatl.rules import SGD
from metatl.testing import check_transform
from metatl.transforms import DoRA, LoRA, Quantised, transformed
from metatl.transforms.codes import coded, decoded, dynamic, int8, nf4, packed, unpacked
from metatl.transforms.quantised_linear import Kind, QuantisedLinear
from metatl.types import Batch, Episode, MetatlError, Transfer
from tests.commands import config_of
from tests.golden.make_quantised import FILE
from tests.outer import Outer, outer_gradient

PUBLISHED = [
    *(-1, -0.69619280, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0),
    *(0.07958030, 0.16093020, 0.24611230, 0.33791524, 0.44070983, 0.56261700, 0.72295684, 1),
]


def made(*transforms: Any) -> tuple[Net, Transfer]:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(10, 33), nn.Tanh(), nn.Linear(33, 8), nn.LayerNorm(8), nn.Linear(8, 3))
    net = Net.of(body.double())
    return transformed(transforms, net, net.start())


def test_the_tables_are_the_published_ones() -> None:
    assert torch.allclose(nf4(), torch.tensor(PUBLISHED, dtype=torch.float64), rtol=0, atol=5e-7)
    stored = load_file(FILE)
    assert torch.allclose(nf4().float(), stored["table"], rtol=0, atol=5e-7)
    assert torch.allclose(dynamic().float(), stored["dynamic"], rtol=0, atol=1e-7)
    assert len(dynamic()) == 256
    assert int8()[[0, 127, 254]].tolist() == [-1, 0, 1]


def test_double_quantised_weights_are_those_of_bitsandbytes() -> None:
    stored = load_file(FILE)
    layer = nn.Linear(330, 60)
    layer.weight.data = stored["weight"].float()
    mine = QuantisedLinear(layer, "nf4", 64, True)
    codes, theirs = unpacked(mine.get_buffer("codes")), unpacked(stored["codes"])
    assert float((codes[: len(theirs)] != theirs).float().mean()) < 1e-3
    torch.testing.assert_close(mine.get_buffer("scale_offset"), stored["scale_offset"])
    torch.testing.assert_close(mine.get_buffer("scale_scale"), stored["scale_scale"])
    assert int((mine.get_buffer("scale").int() - stored["scale"].int()).abs().max()) <= 1
    gaps = (mine.weight - stored["decoded"]).abs()
    assert float(gaps.mean()) < 1e-3
    assert float((gaps < 1e-5).float().mean()) > 0.9


@pytest.mark.parametrize(("table", "widest"), [(nf4(), 0.1519036), (int8(), 1 / 254)], ids=["nf4", "int8"])
@pytest.mark.parametrize("shape", [(7, 30), (64,), (130,)], ids=str)
def test_error_bound_and_round_trip(table: Tensor, widest: float, shape: tuple[int, ...]) -> None:
    """No number is further off than half the widest gap times its block's largest; again changes nothing."""
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64)
    codes, largest = coded(x, table, 64)
    found = decoded(codes, largest, table)[: x.numel()]
    bound = largest.repeat_interleave(64)[: x.numel()] * widest
    assert bool(((found - x.flatten()).abs() <= bound * (1 + 1e-6)).all())
    again, most = coded(found, table, 64)
    assert torch.equal(again, codes)
    assert torch.equal(decoded(again, most, table)[: x.numel()], found)
    assert torch.equal(decoded(*coded(0 * x, table, 64), table), torch.zeros(len(codes), dtype=torch.float64))
    assert torch.equal(unpacked(packed(codes % 16)), codes % 16)


@pytest.mark.parametrize("kind", ["nf4", "int8"])
@pytest.mark.parametrize("unit", [1e-6, 1.0, 300.0])
@pytest.mark.parametrize("held", [torch.bfloat16, torch.float16])
def test_half_precision_is_coded_as_single_precision_is(held: torch.dtype, unit: float, kind: Kind) -> None:
    """To half a step of its own type; codes and scales are those of the same numbers in float32."""
    torch.manual_seed(0)
    layer = nn.Linear(96, 130).to(held)
    layer.weight.data = (0.05 * unit * torch.randn(130, 96)).to(held)
    mine, wide = QuantisedLinear(layer, kind, 64, True), QuantisedLinear(layer.float(), kind, 64, True)
    for name, leaf in wide.named_buffers():
        torch.testing.assert_close(mine.get_buffer(name), leaf, rtol=0, atol=0)
    assert mine.weight.dtype == held
    assert torch.equal(mine.weight, wide.weight.to(held))


@pytest.mark.parametrize(
    "transform", [Quantised(), Quantised("int8"), Quantised("nf4", 8, False), Quantised(targets="0")], ids=str
)
def test_the_laws_of_transforms(transform: Quantised) -> None:
    net, start = made()
    check_transform(transform, net, start, torch.randn(5, 10, dtype=torch.float64), identity=False)
    coarse, carried = transform(net, start)
    again = Net.of(coarse.module)
    assert again.start().params.keys() == carried.params.keys()
    assert all(torch.equal(again.start().buffers[n], leaf) for n, leaf in carried.buffers.items())
    merged, whole = transform.merge(coarse, carried)
    assert whole.params.keys() == start.params.keys()
    assert not whole.buffers
    assert not any(isinstance(one, QuantisedLinear) for one in merged.module.modules())


def test_qlora_moves_what_was_added_and_merges() -> None:
    net, carried = made(Quantised(block=16), LoRA(2))
    x = torch.randn(6, 10, dtype=torch.float64)
    fitted = Descent(SGD(0.3), 4)(net, carried, Batch(x, torch.arange(6) % 3))
    moved = {name for name, leaf in fitted.items() if not torch.equal(leaf, carried.params[name])}
    assert moved
    assert all("lora_" in name or net.is_head(name) for name in moved)
    merged, whole = LoRA().merge(net, replace(carried, params=fitted))
    expected = net(fitted, carried.buffers, x)
    torch.testing.assert_close(merged(whole.params, {}, x), expected, rtol=1e-10, atol=1e-12)


def test_maml_through_qlora_is_the_same_on_every_engine() -> None:
    net, carried = made(Quantised(block=16), LoRA(2))
    moved = {n: torch.randn_like(p) if "lora_B" in n else p for n, p in carried.params.items()}
    carried = replace(carried, params=moved)
    y = torch.arange(6).repeat(2, 1) % 3
    x = torch.randn(4, 6, 10, dtype=torch.float64)
    episodes = Episode(Batch(x[:2], y), Batch(x[2:], y))

    def gradient(engine: Any) -> Any:
        return outer_gradient(engine, net, carried, Descent(SGD(0.2), 2), episodes, Outer())[0].params

    loop = gradient(Loop())
    for engine in (Batched(), Batched(record=True)):
        found = gradient(engine)
        for name, leaf in loop.items():
            torch.testing.assert_close(found[name], leaf, rtol=1e-9, atol=1e-11)


def test_memory_is_what_the_bits_say() -> None:
    """4.127 bits a weight with double quantisation in blocks of 64, 4.5 without, 8.127 for int8."""
    layer = nn.Linear(1024, 512, bias=False)
    for kind, double, bits in (("nf4", True, 4.127), ("nf4", False, 4.5), ("int8", True, 8.127)):
        coarse = QuantisedLinear(layer, kind, 64, double)  # pyright: ignore[reportArgumentType]
        held = sum(leaf.numel() * leaf.element_size() for leaf in coarse.buffers())
        assert abs(8 * held / layer.weight.numel() - bits) < 2e-3
        assert not list(coarse.parameters())


def test_what_cannot_be_is_one_line() -> None:
    with pytest.raises(MetatlError, match="give an even number"):
        Quantised(block=7)
    with pytest.raises(MetatlError, match="quantise before adding"):
        made(LoRA(2), Quantised())
    with pytest.raises(MetatlError, match="Quantised: no layer is meant by targets 'zzz'"):
        made(Quantised(targets="zzz"))
    with pytest.raises(MetatlError, match="DoRA: no layer"):
        made(Quantised(), DoRA())


def test_qlora_from_a_config(tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = config_of("lora", 2)
    run = prepare(config.parse(values | {"transforms": ["Quantised", *values["transforms"]]}))
    learned, _ = learn(run)
    assert "body.0.weight" not in learned.params
    assert learned.buffers["body.0.codes"].dtype == torch.uint8
    assert torch.equal(learned.buffers["body.0.codes"], run.first.buffers["body.0.codes"])
    again, _ = learn(run)
    assert all(torch.equal(again.params[n], leaf) for n, leaf in learned.params.items())

"""A model as the difference to its base: bit by bit the same, small, bound to its base, damage noticed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

import metatl
from metatl import Descent, MetatlError, Net, Personaliser
from metatl.heads import Learned, Prototypes, Zeros
from metatl.lab import store
from metatl.lab.store import places
from metatl.rules import SGD
from metatl.types import Params, Transfer
from tests.toys import INPUTS, assert_bitwise, scales, toy_net, with_guide

KINDS = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool)


def drawn(shape: tuple[int, ...], kind: torch.dtype, seed: int) -> torch.Tensor:
    return (3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))).to(kind)


def touched(params: Params, density: float, seed: int, step: float = 1e-2) -> Params:
    """About this share of every tensor's entries moved a little, as an adaptation would."""
    generator = torch.Generator().manual_seed(seed)

    def one(leaf: torch.Tensor) -> torch.Tensor:
        hit = torch.rand(leaf.shape, generator=generator) < density
        moved = leaf + step * torch.randn(leaf.shape, generator=generator).to(leaf.dtype)
        return torch.where(hit, moved.to(leaf.dtype), leaf)

    return {name: one(leaf) for name, leaf in params.items()}


def noise(leaf: torch.Tensor, density: float, seed: int) -> torch.Tensor:
    """This share of the entries replaced by random bits, which nothing can compress."""
    draw = np.random.default_rng(seed)
    hit = draw.random(leaf.shape) < density
    words = draw.integers(1 << 32, size=leaf.shape, dtype=np.uint32).view(np.float32)
    return torch.from_numpy(np.where(hit, words, leaf.numpy()))


def assert_same(ours: Transfer, theirs: Transfer) -> None:
    for a, b in [(ours.params, theirs.params), (ours.guide, theirs.guide), (ours.buffers, theirs.buffers)]:
        assert list(a) == list(b)
        for name, leaf in b.items():
            assert (a[name].dtype, a[name].shape) == (leaf.dtype, leaf.shape)
            # by their bytes: NaN is not equal to itself, and -0.0 is to 0.0
            assert (
                a[name].numpy(force=True).tobytes() == leaf.numpy(force=True).tobytes()
                if (leaf.dtype != torch.bfloat16)
                else torch.equal(a[name], leaf)
            )


@settings(max_examples=60, deadline=None)
@given(among=st.integers(1, 5000), share=st.floats(0, 1), seed=st.integers(0, 1 << 30))
def test_places_round_trip_in_little_room(among: int, share: float, seed: int) -> None:
    found = np.flatnonzero(np.random.default_rng(seed).random(among) < share)
    packed = places.pack(found, among)
    assert np.array_equal(places.unpack(packed, len(found), among), found)
    assert len(packed) == places.size(len(found), among)
    if 0 < len(found) < among:
        assert 8 * len(packed) < min(among, len(found) * (2 + np.log2(among / len(found)))) + 8


def test_places_that_are_no_code_are_refused() -> None:
    whole = places.pack(np.array([3, 70, 71, 4000]), 5000)
    for damaged in (b"", whole[:-2], bytes(len(whole)), b"\xff" * len(whole), whole[::-1]):
        with pytest.raises(ValueError, match=r"places|reshape"):
            places.unpack(damaged, 4, 5000)


@settings(max_examples=40, deadline=None)
@given(
    density=st.sampled_from([0.0, 5e-4, 1e-2, 0.2, 0.9, 1.0]),
    shapes=st.lists(st.lists(st.integers(0, 40), max_size=3).map(tuple), min_size=1, max_size=4),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 1 << 30),
)
def test_a_round_trip_is_bitwise(
    density: float, shapes: list[tuple[int, ...]], kind: torch.dtype, seed: int, tmp_path_factory: object
) -> None:
    path = tmp_path_factory.mktemp("delta") / "a"  # type: ignore[attr-defined]
    base = Transfer({f"w{i}": drawn(shape, kind, seed + i) for i, shape in enumerate(shapes)})
    after = Transfer(touched(base.params, density, seed), {"w0": torch.ones(3)}, {"steps": torch.tensor(7)})
    store.save_delta(path, base, after)
    assert_same(store.apply_delta(path, base), after)
    if kind in (torch.float32, torch.float64):
        store.save_delta(path, base, after, "half")
        close = store.apply_delta(path, base)
        for name, leaf in after.params.items():
            moved = (leaf - base.params[name]).double()
            room = 2**-11 * moved.abs() + 2**-25 * (moved.abs().max() if leaf.numel() else 0)
            error = (close.params[name].double() - leaf.double()).abs()
            assert bool((error <= 1.001 * room + torch.finfo(kind).eps * leaf.double().abs()).all())


def test_what_no_difference_can_tell_is_stored_whole(tmp_path: Path) -> None:
    """Other shapes, types, names and orders; values that are no numbers; nothing at all."""
    start = toy_net(norm=True, outputs=7, dtype=torch.float32).start()
    base = with_guide(start, scales(start.params))
    w = {**base.params, "head.weight": torch.randn(2, 5), "head.bias": torch.zeros(2), "new": torch.ones(())}
    w["body.0.bias"] = w["body.0.bias"].double()
    w["body.0.weight"] = w["body.0.weight"].clone()
    w["body.0.weight"][0, :3] = torch.tensor([float("nan"), float("inf"), -0.0])
    guide = {n: torch.ones_like(leaf) for n, leaf in reversed(w.items())}
    path = tmp_path / "a"
    for after in (Transfer(w, guide), Transfer(w, guide, {"empty": torch.zeros(0, 3)}), Transfer({}), base):
        store.save_delta(path, base, after)
        assert_same(store.apply_delta(path, base), after)
    store.save_delta(path, Transfer({}), base)
    assert_same(store.apply_delta(path, Transfer({})), base)
    store.save_delta(path, base, base)
    assert path.stat().st_size < 700
    with pytest.raises(MetatlError, match=r"body\.0\.weight holds NaN.*precision exact"):
        store.save_delta(path, base, Transfer(w, guide), "half")
    with pytest.raises(MetatlError, match="exact, half"):
        store.save_delta(path, base, base, "double")  # type: ignore[arg-type]


@pytest.mark.parametrize("density", [5e-4, 5e-3, 0.02, 0.05, 0.2])
def test_a_changed_weight_takes_six_bytes_at_most(density: float, tmp_path: Path) -> None:
    """In the whole file, for random changes that no compression can shorten, and for small ones."""
    sizes = {"first": (2000, 700), "second": (700, 2400), "bias": (2400,)}
    base = Transfer({name: drawn(shape, torch.float32, i) for i, (name, shape) in enumerate(sizes.items())})
    wild = Transfer({n: noise(leaf, density, 9) for n, leaf in base.params.items()})
    for after, most in ((wild, 6.0), (Transfer(touched(base.params, density, 0, 1e-3)), 5.3)):
        count = sum(int((base.params[n] != leaf).sum()) for n, leaf in after.params.items())
        store.save_delta(tmp_path / "a", base, after)
        assert (tmp_path / "a").stat().st_size <= most * count
    store.save_delta(tmp_path / "a", base, after, "half")
    assert (tmp_path / "a").stat().st_size <= 4.0 * count


def test_so_does_a_mask_of_two_hundred_weights(tmp_path: Path) -> None:
    """Labels, hashes and counts included: an output layer and a handful of places in many small tensors."""
    sizes = {f"body.{i}.weight": (32, 8 + i) for i in range(20)}
    sizes |= {"head.bias": (6,), "head.weight": (6, 32)}
    base = Transfer({name: drawn(shape, torch.float32, i) for i, (name, shape) in enumerate(sizes.items())})
    rare = touched({n: leaf for n, leaf in base.params.items() if "body" in n}, 1e-3, 3)
    head = touched({n: leaf for n, leaf in base.params.items() if "head" in n}, 1.0, 4, 0.1)
    after = Transfer({**rare, **head})
    count = sum(int((base.params[n] != leaf).sum()) for n, leaf in after.params.items())
    assert count < 220
    store.save_delta(tmp_path / "a", base, after, meta={"labels": "[0, 1, 2, 3, 4, 5]"})
    assert (tmp_path / "a").stat().st_size <= 6.0 * count


def test_another_base_is_refused(tmp_path: Path) -> None:
    path, base = tmp_path / "a", toy_net(dtype=torch.float32).start()
    store.save_delta(path, base, Transfer(touched(base.params, 0.5, 0), base.guide))
    other = Transfer({n: leaf.clone() for n, leaf in base.params.items()}, base.guide)
    other.params["head.bias"][0] += 1e-7
    for wrong in (other, Transfer(base.params), Transfer({})):
        with pytest.raises(MetatlError, match="belongs to a base with SHA-256") as error:
            store.apply_delta(path, wrong)
        assert "\n" not in str(error.value)
    store.save_transfer(tmp_path / "b", base)
    with safe_open(tmp_path / "b", "pt") as whole, safe_open(path, "pt") as delta:
        assert delta.metadata()["base"] == whole.metadata()["sha256"], "the hash that the base's file holds"
    with pytest.raises(MetatlError, match="not a metatl delta but metatl-transfer"):
        store.apply_delta(tmp_path / "b", base)


def applied(path: Path, base: Transfer) -> tuple[Transfer | None, str]:
    """The transfer, or what was said instead."""
    try:
        return store.apply_delta(path, base), ""
    except MetatlError as error:
        return None, str(error)


def test_a_damaged_file_is_one_line_or_harmless(tmp_path: Path) -> None:
    path, base = tmp_path / "a", toy_net(norm=True, dtype=torch.float32).start()
    after = Transfer(touched(base.params, 0.5, 0), {"head.bias": torch.rand(9)}, base.buffers)
    store.save_delta(path, base, after)
    whole, draw = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(draw.integers(8))
        path.write_bytes(bytes(damaged))
        found, said = applied(path, base)
        refused += found is None
        assert "\n" not in said
        if found is not None:
            assert_same(found, after)
    assert refused > 0.97 * len(whole)
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(MetatlError, match="damaged"):
            store.apply_delta(path, base)


def test_checksums_that_fit_wrong_content_do_not_help(tmp_path: Path) -> None:
    """A file made wrong, with right checksums of its own bytes."""
    from metatl.lab.store import tensors as files

    path, base = tmp_path / "a", toy_net(dtype=torch.float32).start()
    store.save_delta(path, base, Transfer(touched(base.params, 0.5, 0), base.guide))
    held, header = files.read_tensors(path, "delta")
    stream = held["changes"]
    wrong: list[tuple[Params, dict[str, str]]] = [
        ({**held, "changes": stream[:-20]}, {}),
        ({**held, "changes": stream[:3]}, {}),
        ({**held, "changes": stream ^ 1}, {}),
        ({**held, "changes": stream.bfloat16()}, {}),
        ({n: leaf for n, leaf in held.items() if n != "changes"}, {}),
        ({**held, "params::head.bias": torch.ones(1)}, {}),
        (held, {"counts": "[[0,3]]"}),
        (held, {"counts": "[[99,3]]"}),
        (held, {"counts": "3"}),
        (held, {"precision": "half"}),
        (held, {"result": "0" * 16}),
        (held, {"result": ""}),
        (held, {"names": '{"params":[]}'}),
    ]
    for tensors, changes in wrong:
        files.write_tensors(path, "delta", tensors, {**header, **changes})
        with pytest.raises(MetatlError, match="damaged") as error:
            store.apply_delta(path, base)
        assert "\n" not in str(error.value)


def person(head: Zeros | Learned | Prototypes, **options: str) -> Personaliser:
    net = toy_net(norm=True, dtype=torch.float32)
    return Personaliser(net, net.start(), Descent(SGD(0.5), 5, head, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("moments", ["support", "frozen", "batch"])
@pytest.mark.parametrize("head", [Zeros(), Prototypes(), Learned()])
def test_a_personal_model_comes_back_without_its_examples(
    head: Zeros | Learned | Prototypes, moments: str, tmp_path: Path
) -> None:
    base, path = person(head, moments=moments), tmp_path / "a"
    x, new = torch.randn(12, INPUTS), torch.randn(9, INPUTS)
    labels = [0, 1, 2] * 4 if isinstance(head, Learned) else ["cat", "dog"] * 6
    mine = base.adapt(x, labels)
    mine.save_delta(path)
    again = metatl.apply_delta(base, path)
    assert_bitwise(again.transfer.params, mine.transfer.params)
    assert_bitwise(again.transfer.guide, mine.transfer.guide)
    assert again.labels == mine.labels
    assert again.predict(new) == mine.predict(new)
    torch.testing.assert_close(again.outputs(new), mine.outputs(new), rtol=1e-5, atol=1e-6)
    if moments == "support":
        torch.testing.assert_close(again.outputs(new[:1])[0], again.outputs(new)[0])
    else:
        assert torch.equal(again.outputs(new), mine.outputs(new))
    again.save_delta(tmp_path / "b")
    assert_same(metatl.apply_delta(base, tmp_path / "b").transfer, again.transfer)
    mine.save_delta(path, "half")
    torch.testing.assert_close(
        metatl.apply_delta(base, path).outputs(new), mine.outputs(new), rtol=0.05, atol=0.01
    )


def test_what_a_personal_delta_cannot_hold_is_said(tmp_path: Path) -> None:
    base, x = person(Zeros()), torch.randn(4, INPUTS)
    with pytest.raises(MetatlError, match="labels are stored as"):
        base.adapt(x, [b"no", b"yes"] * 2).save_delta(tmp_path / "a")
    store.save_delta(tmp_path / "a", base.transfer, base.transfer)
    with pytest.raises(MetatlError, match="without labels"):
        metatl.apply_delta(base, tmp_path / "a")
    module = torch.nn.Sequential(
        torch.nn.Linear(INPUTS, 5), torch.nn.BatchNorm1d(5, track_running_stats=False), torch.nn.Linear(5, 2)
    )
    net = Net.of(module)
    own = Personaliser(net, net.start(), Descent(SGD(0.1), 1, Zeros()))
    with pytest.raises(MetatlError, match="without running moments"):
        own.adapt(x, [0, 1, 0, 1]).save_delta(tmp_path / "a")


def test_a_run_directory_is_a_base(tmp_path: Path) -> None:
    from metatl.lab import config
    from metatl.lab.run import prepare, report

    values = {
        "name": "toy",
        "data": {
            "class_path": "Glyphs",
            "init_args": {"train_classes": 5, "val_classes": 5, "test_classes": 5},
        },
        "model": {"class_path": "MLP", "init_args": {"hidden": [4]}},
        "learner": {"class_path": "Keep"},
        "adaptation": {"steps": 1, "head": {"class_path": "Zeros"}},
        "evaluation": {"tasks": {"way": 2, "shot": 1, "query": 1}, "episodes": 2},
        "runs": str(tmp_path),
    }
    run = prepare(config.parse(values))
    report(run)
    mine = metatl.load(run.folder).adapt(torch.rand(4, 1, 28, 28), [0, 1, 0, 1])
    mine.save_delta(tmp_path / "mine")
    assert_same(metatl.apply_delta(run.folder, tmp_path / "mine").transfer, mine.transfer)
    with safe_open(tmp_path / "mine", "pt") as file:
        assert json.loads(file.metadata()["labels"]) == [0, 1]


@pytest.mark.parametrize("base", ["", "a\nb", "A" * 64, "0" * 63])
def test_a_base_that_is_no_hash_is_one_line(base: str, tmp_path: Path) -> None:
    from metatl.lab.store.tensors import write_tensors

    path, transfer = tmp_path / "a.delta", toy_net(dtype=torch.float32).start()
    write_tensors(path, "delta", {"places": torch.zeros(1, dtype=torch.uint8)}, {"base": base, "result": ""})
    with pytest.raises(MetatlError, match="it names no base") as caught:
        store.load_delta(path, transfer)
    assert "\n" not in str(caught.value)

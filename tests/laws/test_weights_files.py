"""Weights files in the forms that trainers leave: each tensor comes from where the report says."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metatl import Net
from metatl.lab.store import tensors as store
from metatl.learners import State
from metatl.pretrained.nets import pretrained
from metatl.types import MetatlError
from metatl.weights.files import held
from metatl.weights.fitting import load

Named = dict[str, Tensor]


class Sorter(nn.Module):
    """An encoder with a batch norm, and an output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.preparation = {"size": 8}
        self.enc = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3))
        self.verdict = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.verdict(self.enc(x).mean((2, 3)))


class Grouped(Sorter):
    """Its first convolution reads each channel by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.enc[0] = nn.Conv2d(3, 6, 3, groups=3)


class Tied(nn.Module):
    """A layer whose weight is another's."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up, self.out = nn.Linear(9, 9), nn.Linear(9, 9), nn.Linear(9, 2)
        self.up.weight = self.down.weight


class Noted(Sorter):
    """State beside its tensors."""

    def get_extra_state(self) -> dict[str, int]:
        return {"version": 3}

    def set_extra_state(self, state: Any) -> None:
        raise AssertionError("no file is asked for more than tensors")


def drawn(module: nn.Module) -> Named:
    torch.manual_seed(7)
    return {n: torch.rand_like(v) if v.is_floating_point() else v for n, v in module.state_dict().items()}


def saved(content: Any, path: Path, module: nn.Module) -> tuple[str, Named]:
    """The report, and what the module holds then."""
    torch.save(content, path / "w.pt")
    report = load(module, held(path / "w.pt"), path / "w.pt")
    return report, module.state_dict()


def same(found: Named, wanted: Named) -> None:
    for name, leaf in wanted.items():
        assert torch.equal(found[name], leaf), name


def test_a_moving_average_beside_the_weights_is_named(tmp_path: Path) -> None:
    given = drawn(Sorter())
    average = {name: leaf + 1 for name, leaf in given.items()}
    report, found = saved({"state_dict": given, "state_dict_ema": average}, tmp_path, Sorter())
    same(found, given)
    count = len(given) - 1
    said = f"{count} of {count} tensors from w.pt ('state_dict' in it)"
    assert report == f"{said}; not taken, but fits too: 'state_dict_ema'"


def test_parts_that_lie_beside_each_other_are_one_net(tmp_path: Path) -> None:
    given = drawn(Sorter())
    parts = {
        part: {n.removeprefix(f"{part}."): v for n, v in given.items() if n.startswith(f"{part}.")}
        for part in ("verdict", "enc")
    }
    report, found = saved({"epoch": 3, "nets": parts}, tmp_path, Sorter())
    same(found, given)
    assert report == f"{len(given) - 1} of {len(given) - 1} tensors from w.pt, prefix 'nets.' taken off"


@pytest.mark.parametrize("wrapper", ["_orig_mod", "module"])
def test_a_wrapped_body_beside_a_head_that_is_not(wrapper: str, tmp_path: Path) -> None:
    given = drawn(Sorter())
    report, found = saved(
        {name.replace("enc.", f"enc.{wrapper}."): leaf for name, leaf in given.items()}, tmp_path, Sorter()
    )
    same(found, given)
    assert "left out" not in report
    assert "random" not in report


def test_two_copies_are_never_mixed(tmp_path: Path) -> None:
    """A moving average that lacks the moments: they are not those of the other copy."""
    given = drawn(Sorter())
    average = {f"ema.{n}": v + 1 for n, v in given.items() if "running" not in n}
    del given["enc.0.weight"], given["enc.0.bias"], given["enc.3.weight"], given["enc.3.bias"]
    report, found = saved({**average, **given}, tmp_path, Sorter())
    same(found, {n.removeprefix("ema."): v for n, v in average.items()})
    same(found, {n: v for n, v in Sorter().state_dict().items() if "running" in n})
    assert "not in the file, as the net makes them: enc.1.running_mean, enc.1.running_var" in report
    assert "random" not in report


@pytest.mark.parametrize("absent", ["up.weight", "down.weight"])
def test_a_tied_weight_is_in_the_file_once(absent: str, tmp_path: Path) -> None:
    given = drawn(Tied())
    given["up.weight"] = given["down.weight"]
    report, found = saved({n: v for n, v in given.items() if n != absent}, tmp_path, Tied())
    same(found, given)
    assert report == "6 of 6 tensors from w.pt"


def test_a_tied_weight_that_differs_in_the_file_is_said(tmp_path: Path) -> None:
    given = drawn(Tied())
    report, found = saved(given, tmp_path, Tied())
    assert torch.equal(found["up.weight"], given["down.weight"])
    assert "up.weight is one with down.weight in the net and differs in the file" in report


KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "8 bits with a scale elsewhere": lambda leaf: leaf.to(torch.float8_e4m3fn),
    "complex": lambda leaf: leaf.to(torch.complex64),
    "sparse": Tensor.to_sparse,
    "of no values": lambda leaf: leaf.to("meta"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_of_another_kind_are_no_weights(kind: str, tmp_path: Path) -> None:
    given = drawn(Sorter())
    report, found = saved(
        {**given, "verdict.weight": KINDS[kind](given["verdict.weight"])}, tmp_path, Sorter()
    )
    assert report.endswith("; of another shape or kind, random: verdict.weight")
    same(found, {n: v for n, v in given.items() if n != "verdict.weight"})
    with pytest.raises(MetatlError, match="only 0 of the net's"):
        saved({n: KINDS[kind](v) for n, v in given.items()}, tmp_path, Sorter())


def test_channels_of_a_convolution_in_groups_are_not_exchanged(tmp_path: Path) -> None:
    torch.save(drawn(Sorter()), tmp_path / "w.pt")
    made = pretrained(f"tests.laws.test_weights_files.Grouped@{tmp_path / 'w.pt'}")
    assert "of another shape or kind, random: enc.0.weight" in made.report


def test_state_that_is_no_tensor_stays_out(tmp_path: Path) -> None:
    given = Noted().state_dict()
    assert "_extra_state" in given
    report, _ = saved(given, tmp_path, Noted())
    assert report == f"{len(given) - 2} of {len(given) - 2} tensors from w.pt"


def test_a_net_whose_state_is_more_than_tensors_is_one_line() -> None:
    with pytest.raises(MetatlError, match=r"keeps state that is no tensor \(_extra_state\)"):
        pretrained("tests.laws.test_weights_files.Noted")


class FourBands(Sorter):
    """Of pictures of a satellite, say."""

    def __init__(self) -> None:
        super().__init__()
        self.enc[0] = nn.Conv2d(4, 6, 3)


def test_a_net_for_four_channels_is_told_by_its_channels() -> None:
    with pytest.raises(MetatlError, match="its first convolution reads 4 channels"):
        pretrained("tests.laws.test_weights_files.FourBands")


@pytest.mark.parametrize("written", ["transfer", "checkpoint", "model"])
def test_a_file_of_a_run_gives_its_weights_and_not_its_guide(written: str, tmp_path: Path) -> None:
    """A guide has the weights' own names and shapes, and comes first in the file."""
    path, given = tmp_path / "w.safetensors", drawn(Sorter())
    net = Net.of(Sorter())
    start = replace(net.start(), guide={n: torch.ones_like(p) for n, p in net.start().params.items()})
    start = replace(start, **{g: {n: given[n] for n in getattr(start, g)} for g in ("params", "buffers")})
    if written == "transfer":
        store.save_transfer(path, start)
    elif written == "checkpoint":
        store.save_checkpoint(path, State(start, 3, {"rule": {n: -leaf for n, leaf in start.params.items()}}))
    else:
        groups = {f"body::{name}": leaf for name, leaf in given.items()}
        store.write_tensors(path, "model", groups | {"readout::0": torch.ones(2, 4)}, {})
    module = Sorter()
    report = load(module, held(path), path)
    same(
        {n: v for n, v in module.state_dict().items() if "num_b" not in n},
        {n: v for n, v in given.items() if "num_b" not in n},
    )
    assert report == f"{len(given) - 1} of {len(given) - 1} tensors from w.safetensors"


def test_averages_of_an_optimiser_are_no_weights(tmp_path: Path) -> None:
    with pytest.raises(MetatlError, match="holds no named tensors"):
        saved({"optimizer": {"exp_avg": drawn(Sorter())}, "step": 3}, tmp_path, Sorter())


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.filterwarnings("error")
def test_a_file_that_is_cut_or_changed_is_one_line(seed: int, new: bool, tmp_path: Path) -> None:
    path, given = tmp_path / "w.pt", drawn(Sorter())
    torch.save(given, path, _use_new_zipfile_serialization=new)
    whole, draws = path.read_bytes(), torch.Generator().manual_seed(seed)
    for _ in range(30):
        changed = bytearray(whole)
        for at in torch.randint(min(len(whole), 1500), (3,), generator=draws).tolist():
            changed[at] = int(torch.randint(256, (), generator=draws))
        for content in (bytes(changed), whole[: int(torch.randint(len(whole), (), generator=draws))]):
            path.write_bytes(content)
            said = ""
            try:
                held(path)  # the change may lie in the values
            except MetatlError as error:
                said = str(error)
            assert "\n" not in said


def test_settings_of_a_class_of_somebodys_own_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MetatlError, match="holds more than tensors and plain values"):
        saved({"state_dict": drawn(Sorter()), "args": argparse.Namespace(lr=1)}, tmp_path, Sorter())

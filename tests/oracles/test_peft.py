"""peft's own numbers: what it wrote is read, learned on and written, and gives what peft gives.

`tests/golden/from_peft` was made by peft (`tests/golden/make_peft.py`); where peft is installed (extra
`oracles`) it also opens what was written here.
"""

from __future__ import annotations

import copy
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from metatl import Descent, Net
from metatl.lab import config
from metatl.lab.run import prepare
from metatl.lab.store import save_peft
from metatl.pretrained import vision
from metatl.rules import SGD
from metatl.transforms import IA3, DoRA, FromPeft, LoRA
from metatl.transforms.transform import Transform
from metatl.types import Batch, MetatlError, Transfer
from tests.commands import config_of
from tests.golden.make_peft import FOLDER, RATE, STEPS, Block

KINDS = ["lora", "rslora", "dora", "ia3"]
NEAR: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-12}


@cache
def stored() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return load_file(FOLDER / "base.safetensors"), load_file(FOLDER / "outputs.safetensors")


def base() -> Block:
    module = Block().double().eval()
    module.load_state_dict({n: leaf for n, leaf in stored()[0].items() if n not in ("x", "y")})
    return module


def opened(folder: Path) -> tuple[Net, Transfer]:
    net = Net.of(base())
    return FromPeft(str(folder))(net, net.start())


def given() -> Batch:
    return Batch(stored()[0]["x"], stored()[0]["y"])


@pytest.mark.parametrize("kind", KINDS)
def test_what_peft_wrote_gives_its_outputs_and_learns_as_there(kind: str) -> None:
    net, carried = opened(FOLDER / kind / "before")
    outputs, batch = stored()[1], given()
    torch.testing.assert_close(net(carried.params, {}, batch.x), outputs[f"{kind}.before"], **NEAR)
    fitted = Descent(SGD(RATE), STEPS)(net, carried, batch)
    torch.testing.assert_close(net(fitted, {}, batch.x), outputs[f"{kind}.after"], **NEAR)
    _, after = opened(FOLDER / kind / "after")
    assert fitted.keys() == after.params.keys()
    for name, leaf in after.params.items():
        torch.testing.assert_close(fitted[name], leaf, **NEAR)
    plain, whole = FromPeft("").merge(net, Transfer(fitted, carried.guide))
    assert not plain.additions
    torch.testing.assert_close(plain(whole.params, {}, batch.x), outputs[f"{kind}.after"], **NEAR)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_read_is_written_and_read_again(kind: str, tmp_path: Path) -> None:
    net, carried = opened(FOLDER / kind / "after")
    save_peft(tmp_path, net, carried)
    again, found = opened(tmp_path)
    assert [one.layer for one in again.additions] == [one.layer for one in net.additions]
    assert all(torch.equal(found.params[name], leaf) for name, leaf in carried.params.items())
    torch.testing.assert_close(again(found.params, {}, given().x), stored()[1][f"{kind}.after"], **NEAR)
    there, written = (load_file(f / "adapter_model.safetensors") for f in (FOLDER / kind / "after", tmp_path))
    assert {n: leaf.shape for n, leaf in there.items()} == {n: leaf.shape for n, leaf in written.items()}


MADE = [LoRA(2), LoRA(2, 3.0, "(out|mix)", "rank_stabilised"), DoRA(3, 2.0), IA3("qkv", "out")]


@pytest.mark.parametrize("transform", MADE, ids=str)
def test_peft_opens_what_was_written(transform: Transform, tmp_path: Path) -> None:
    vision.torchvision()  # beside a torch that it was not built for, before peft asks for it
    peft = pytest.importorskip("peft", exc_type=ImportError)
    net = Net.of(base())
    net, carried = transform(net, net.start())
    fitted = Descent(SGD(RATE), STEPS)(net, carried, given())
    save_peft(tmp_path, net, Transfer(fitted, carried.guide))
    theirs = peft.PeftModel.from_pretrained(base(), str(tmp_path), autocast_adapter_dtype=False)
    torch.testing.assert_close(theirs(given().x).detach(), net(fitted, {}, given().x).detach(), **NEAR)


class Convolved(nn.Module):
    """Convolutions with a stride, a padding and a kernel of one point, and a linear layer that none means."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 6, 3, 2, 1)
        self.second = nn.Conv2d(6, 5, (3, 1), padding=(1, 0), bias=False)
        self.third = nn.Conv2d(5, 4, 1, 2)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.third(self.second(self.first(x).tanh()).tanh()).mean((2, 3)))


@pytest.mark.parametrize("transform", [LoRA(2, 3.0, kernels=True), DoRA(2, kernels=True)], ids=str)
def test_kernels_are_written_and_read_again(transform: Transform, tmp_path: Path) -> None:
    """By peft too, where it is there, with its outputs."""
    vision.torchvision()
    net, x = Net.of(Convolved().double().eval()), torch.randn(4, 3, 9, 9).double()
    net, carried = transform(net, net.start())
    moved = {n: p + 0.1 * torch.randn_like(p) * ("lora" in n) for n, p in carried.params.items()}
    save_peft(tmp_path, net, Transfer(moved, carried.guide))
    plain = Net.of(Convolved().double().eval())
    again, found = FromPeft(str(tmp_path))(plain, plain.start())
    assert {one.layer for one in again.additions} == {"first", "second", "third"}
    assert all(torch.equal(found.params[name], leaf) for name, leaf in moved.items())
    torch.testing.assert_close(again(found.params, {}, x), net(moved, {}, x), **NEAR)
    peft = pytest.importorskip("peft", exc_type=ImportError)
    theirs = peft.PeftModel.from_pretrained(
        Convolved().double().eval(), str(tmp_path), autocast_adapter_dtype=False
    )
    torch.testing.assert_close(theirs(x).detach(), net(moved, {}, x).detach(), **NEAR)


def test_a_wrapper_around_the_net_is_found_by_itself() -> None:
    module = torch.nn.Sequential(base())
    net = Net.of(module)
    net, carried = FromPeft(str(FOLDER / "lora" / "after"))(net, net.start())
    assert {one.layer for one in net.additions} == {"0.qkv", "0.out", "0.mix"}
    torch.testing.assert_close(net(carried.params, {}, given().x), stored()[1]["lora.after"], **NEAR)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"peft_type": "LOHA"}, "'LOHA' is not read"),
        ({"init_lora_weights": "pissa"}, "may have changed the base"),
        ({"use_qalora": True}, "'use_qalora' is set"),
        ({"use_dora": True}, "lora_magnitude_vector' is missing"),
        ({"lora_alpha": None}, "lora_alpha is None, which is no number"),
        ({"lora_alpha": "x"}, "lora_alpha is 'x', which is no number"),
        ({"alpha_pattern": {"(": 32}}, "is not a regular expression"),
        ({"alpha_pattern": [1]}, "maps patterns of layers to numbers"),
        ({"lora_dropout": 2}, "lora_dropout is 2"),
    ],
)
def test_other_adapters_are_one_line(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    shutil.copytree(FOLDER / "lora" / "before", folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(MetatlError, match=said):
        opened(folder)


def test_tensors_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(MetatlError, match=r"holds no adapter_config\.json"):
        opened(tmp_path)
    shutil.copytree(FOLDER / "lora" / "before", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "adapter_model.safetensors"
    first = load_file(path)
    wrong = {
        "base_model.model.nowhere.lora_A.weight": (torch.zeros(2, 6), "'nowhere', which the net lacks"),
        "base_model.model.out.lora_B.weight": (torch.zeros(5, 3), r"has shape \[5, 3\]; the layer takes"),
        "base_model.model.norm.bias": (torch.zeros(5), "no place for 'norm.bias'"),
        "base_model.model.out.lora_A.weight": (torch.full((2, 6), torch.nan), "not finite"),
        "base_model.model.tokens.lora_embedding_A": (torch.zeros(2, 6), "adds to an embedding"),
    }
    for name, (leaf, said) in wrong.items():
        save_file(first | {name: leaf}, path)
        with pytest.raises(MetatlError, match=said):
            opened(tmp_path)
    net = Net.of(copy.deepcopy(base()))
    with pytest.raises(MetatlError, match="the net has nothing"):
        save_peft(tmp_path, net, net.start())


def test_a_run_is_named_by_what_the_folder_holds(
    tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a config's transform reads it."""
    monkeypatch.chdir(tmp_path)
    values = config_of("lora", 2)
    first = prepare(config.parse(values))
    moved = {n: leaf + 0.1 * ("lora_B" in n) for n, leaf in first.first.params.items()}
    given = values | {
        "transforms": [{"class_path": "FromPeft", "init_args": {"folder": str(tmp_path / "a")}}]
    }
    digests: list[str] = []
    for params in (first.first.params, moved):
        save_peft(tmp_path / "a", first.net, Transfer(params, first.first.guide))
        run = prepare(config.parse(given))
        own = {n for one in run.net.additions for n in one.names()}
        assert all(torch.equal(run.first.params[name], params[name]) for name in own)
        digests.append(run.digest)
    assert digests[0] != digests[1]


@pytest.mark.parametrize("wrong", [{"weight": (9, 7), "bias": (9,)}, {"weight": (9, 6), "bias": (7,)}])
def test_an_output_layer_that_cannot_be_one_is_refused(
    wrong: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    """Of another width than the features, or with a weight and a bias of unequal rows."""
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    net = Net.of(module, example=torch.zeros(2, 4))
    net, start = LoRA(2, targets="^0$")(net, net.start())
    save_peft(tmp_path, net, start)
    path = tmp_path / "adapter_model.safetensors"
    first = {key: leaf for key, leaf in load_file(path).items() if "lora" in key}

    def read(shapes: dict[str, tuple[int, ...]]) -> Transfer:
        own = {f"base_model.model.2.{name}": torch.zeros(size) for name, size in shapes.items()}
        save_file(first | own, path)
        plain = Net.of(module, example=torch.zeros(2, 4))
        return FromPeft(str(tmp_path))(plain, plain.start())[1]

    assert read({"weight": (9, 6), "bias": (9,)}).params["2.weight"].shape == (9, 6)
    with pytest.raises(MetatlError, match="there is no place for"):
        read(wrong)


class Twice(nn.Module):
    """A layer whose name ends as that of the output layer does: peft's `modules_to_save` means both."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.block = nn.ModuleDict({"mix": nn.Linear(4, 4), "out": nn.Linear(4, 4)})
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.block["out"](self.block["mix"](x).tanh()).tanh())


@pytest.mark.parametrize("transform", [LoRA(2), DoRA(2), IA3("mix", "nowhere")], ids=str)
def test_an_output_layer_whose_name_others_end_in(transform: Transform, tmp_path: Path) -> None:
    vision.torchvision()
    x, plain = torch.randn(6, 4).double(), Net.of(Twice().double())
    net, start = transform(plain, plain.start())
    fitted = Descent(SGD(RATE), STEPS)(net, start, Batch(x, torch.arange(6) % 3))
    save_peft(tmp_path, net, Transfer(fitted, start.guide))
    assert json.loads((tmp_path / "adapter_config.json").read_text())["modules_to_save"] is None
    again, found = FromPeft(str(tmp_path))(plain, plain.start())
    torch.testing.assert_close(again(found.params, {}, x), net(fitted, {}, x), **NEAR)
    peft = pytest.importorskip("peft", exc_type=ImportError)
    theirs = peft.PeftModel.from_pretrained(Twice().double(), str(tmp_path), autocast_adapter_dtype=False)
    torch.testing.assert_close(theirs(x).detach(), net(fitted, {}, x).detach(), **NEAR)

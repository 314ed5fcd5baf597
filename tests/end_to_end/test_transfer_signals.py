"""`metatl transfer` on recordings and windows of sensors: tones whose pitch or shape says the class."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from metatl.data.signals import RATE, log_mel, recording
from metatl.data.windows import window_columns, windows_of
from metatl.lab import store
from metatl.types import MetatlError
from tests.commands import metatl, refused

pytest.importorskip("sklearn")
FEW = ("--methods", "logistic-regression,nearest-centroid", "--draws", "2", "--minutes", "0.3")


def tone(file: Path, pitch: float, seed: int, rate: int = 8000) -> Path:
    """A tone on noise, 16 bit."""
    rng, at = np.random.default_rng(seed), np.arange(int(rate * (0.3 + 0.02 * (seed % 5)))) / rate
    sound = 0.3 * np.sin(2 * np.pi * pitch * at) + 0.05 * rng.normal(size=len(at))
    file.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(file, rate, (2**15 * sound).astype(np.int16))
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, own_cache: None) -> Path:
    place = tmp_path_factory.mktemp("w")
    rows: list[list[str]] = []
    for i in range(24):
        name = ("low", "high")[i % 2]
        file = tone(place / "tones" / name / f"{i}.wav", (300, 1200)[i % 2] * (1 + 0.01 * (i // 8)), i)
        rows.append([str(file.relative_to(place)), name, "abc"[i // 8]])
    (place / "tones" / "low" / "bad.wav").write_bytes(b"no sound")
    rows.append(["tones/low/bad.wav", "low", "a"])
    with (place / "said.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["file", "word", "speaker"], *rows])
    return place


def test_a_folder_of_recordings(folder: Path, tmp_path: Path) -> None:
    found = metatl("transfer", folder / "tones", "--labelled", "3", *FEW, "--out", tmp_path / "o")
    assert found.code == 0, found
    report = store.read_json(tmp_path / "o" / "report.json")
    assert max(row["score"] for row in report["rows"]) > 90
    assert any("bad.wav" in one for one in report["protocol"]["left_out"])
    said = metatl("predict", tmp_path / "o", folder / "tones")
    lines = {Path(one["file"]).name: one for one in csv.DictReader(said.out.splitlines())}
    assert lines["bad.wav"]["label"] == ""
    assert lines["1.wav"]["label"] == "high"
    assert len(lines) == 25


def test_a_table_of_recordings_with_speakers(folder: Path, tmp_path: Path) -> None:
    words = ("--audio", "file", "--target", "word", "--group", "speaker", "--labelled", "all")
    found = metatl("transfer", folder / "said.csv", *words, *FEW, "--out", tmp_path / "o")
    assert found.code == 0, found
    report = store.read_json(tmp_path / "o" / "report.json")
    assert "3 folds of whole groups" in report["protocol"]["test_part"]
    assert max(row["score"] for row in report["rows"]) > 90
    lines = list(csv.DictReader(metatl("predict", tmp_path / "o", folder / "said.csv").out.splitlines()))
    assert [one["label"] for one in lines] == [("low", "high")[i % 2] for i in range(24)] + [""]


def test_other_formats_of_sound_say_the_same(tmp_path: Path) -> None:
    at = np.arange(RATE // 2) / RATE
    sound = 0.4 * np.sin(2 * np.pi * 440 * at)
    wavfile.write(tmp_path / "16.wav", RATE, (2**15 * sound).astype(np.int16))
    wavfile.write(tmp_path / "32.wav", RATE, (2**31 * sound).astype(np.int32))
    wavfile.write(tmp_path / "float.wav", RATE, sound.astype(np.float32))
    wavfile.write(tmp_path / "8.wav", RATE, np.rint(128 + 127 * sound).astype(np.uint8))
    wavfile.write(tmp_path / "stereo.wav", RATE, np.stack([2 * sound, 0 * sound], 1).astype(np.float32))
    for name, gap in (("16", 1e-4), ("32", 1e-6), ("float", 1e-6), ("8", 0.02), ("stereo", 1e-6)):
        assert np.abs(recording(tmp_path / f"{name}.wav") - sound).max() < gap, name
    wavfile.write(tmp_path / "half.wav", RATE // 2, (2**15 * sound[::2]).astype(np.int16))
    assert np.abs(recording(tmp_path / "half.wav") - sound)[100:-100].max() < 0.01


def _middles() -> np.ndarray:
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    return 700 * (10 ** (np.linspace(0, top, 42)[1:-1] / 2595) - 1)


def test_the_loudest_band_is_that_of_the_tone() -> None:
    at = np.arange(RATE // 2) / RATE
    for pitch in (440, 1000, 3000):
        loudest = _middles()[int(log_mel(np.sin(2 * np.pi * pitch * at)).mean(0).argmax())]
        assert abs(loudest - pitch) < 0.12 * pitch


def test_windows_of_an_npz_file(tmp_path: Path, cache_home: Path) -> None:
    rng, at = np.random.default_rng(0), np.arange(50)
    y = np.arange(60) % 2
    x = rng.normal(size=(60, 2, 50)) * 0.3 + np.where(y[:, None, None], np.sin(at), np.sin(at / 3))
    np.savez(tmp_path / "w.npz", x=x, y=np.array(["fast", "slow"])[y], who=np.arange(60) % 5)
    words = ("--target", "y", "--group", "who", "--labelled", "3", *FEW, "--out", tmp_path / "o")
    found = metatl("transfer", tmp_path / "w.npz", *words)
    assert found.code == 0, found
    assert max(row["score"] for row in store.read_json(tmp_path / "o/report.json")["rows"]) > 90
    np.savez(tmp_path / "new.npz", x=x[:7])
    lines = list(csv.DictReader(metatl("predict", tmp_path / "o", tmp_path / "new.npz").out.splitlines()))
    assert [one["label"] for one in lines] == [("fast", "slow")[i % 2] for i in range(7)]
    x[3, 0, 5] = np.nan
    np.savez(tmp_path / "w.npz", x=x, y=y)
    assert "not finite" in refused("transfer", tmp_path / "w.npz", "--target", "y", "--out", tmp_path / "p")


def test_what_columns_of_windows_mean() -> None:
    x = np.array([[[1.0, 2.0, 6.0], [2.0, 4.0, 12.0]]])
    found = window_columns(x)
    assert found["channel 0 mean"][0] == 3
    assert found["channel 0 largest"][0] == 6
    assert found["channel 1 part 2"][0] == 12
    assert found["channels 0 and 1"][0] == pytest.approx(1)
    with pytest.raises(MetatlError, match=r"1 windows .* not finite, the first in row 1"):
        windows_of({"x": x * np.nan}, "x")

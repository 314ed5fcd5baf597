"""`metatl transfer` on recordings and windows of sensors: tones whose pitch or shape says the class."""

from __future__ import annotations

import csv
import shutil
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from metatl import load
from metatl.data.prepared_signals import WindowPreparation
from metatl.data.signals import RATE, log_mel, recording
from metatl.data.windows import window_columns, windows_of
from metatl.lab import store
from metatl.norm import Rows, moments_from
from metatl.pretrained import pretrained
from metatl.transferring import learnable
from metatl.types import MetatlError
from tests.commands import in_process, metatl, only, refused, written

pytest.importorskip("sklearn")
FEW = ("--methods", "logistic-regression,nearest-centroid", "--draws", "2", "--minutes", "2")


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


# ---- nets that are learned on a source

WAYS = "logistic-regression,logistic-on-columns,prototypes"


def gestures(people: str, seed: int, time: int = 32) -> dict[str, Any]:
    """Two waves whose order says the class, at a strength and offset of the person's own."""
    rng = np.random.default_rng(seed)
    rows = [(one, label, i) for one in people for label in range(3) for i in range(6)]
    x = rng.normal(size=(len(rows), 2, time)) * 0.3
    for i, (one, label, _) in enumerate(rows):
        at, strength = np.arange(time), 1 + 0.2 * (ord(one) % 3)
        waves = np.sin(at * 0.9 + rng.uniform(0, 6)), np.sin(at * 0.3 + rng.uniform(0, 6))
        half = time // 2
        order = {0: (0, 1), 1: (1, 0), 2: (0, 0)}[label]
        joined = np.concatenate([waves[order[0]][:half], waves[order[1]][half:]])
        x[i] += strength * joined * np.array([[1.0], [-1.0]]) + 0.1 * (ord(one) % 5)
    names = np.array(["down", "up", "flat"])
    return {
        "x": 40 * x + np.array([[1000.0], [-7.0]]),
        "y": names[[label for _, label, _ in rows]],
        "who": np.array([one for one, _, _ in rows]),
    }


@pytest.fixture(scope="module", autouse=True)
def little() -> Iterator[None]:
    """Bodies see a fifth of the rows that they are given otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learnable, "CONVOLVED", (10.0, 2.0))
        yield


@pytest.fixture(scope="module")
def waved(tmp_path_factory: pytest.TempPathFactory, own_cache: None) -> Path:
    place = tmp_path_factory.mktemp("g")
    np.savez(place / "source.npz", **gestures("abcdefgh", 1))
    np.savez(place / "mine.npz", **gestures("vwx", 2))
    words = ("--target", "y", "--group", "who", "--source", place / "source.npz", "--labelled", "2")
    ways = ("--methods", WAYS, "--draws", "2", "--minutes", "0.5")
    found = metatl("transfer", place / "mine.npz", *words, *ways, "--out", place / "o")
    assert found.code == 0, found
    return place


def test_a_source_of_windows_makes_a_net(waved: Path) -> None:
    report = store.read_json(waved / "o" / "report.json")
    scores = {row["method"]: row["score"] for row in report["rows"]}
    assert {*scores} == {*WAYS.split(",")}
    assert scores["logistic-regression"] > 80
    assert scores["logistic-regression"] > scores["logistic-on-columns"] + 10
    assert "a Conv1d learned on source" in str(report["protocol"])
    notes = " ".join(report["protocol"]["notes"])
    assert "sees the windows themselves" in notes
    assert "3 classes, 144 windows" in notes


def test_a_model_of_windows_opens_without_its_data(waved: Path, tmp_path: Path) -> None:
    words = ("--target", "y", "--source", waved / "source.npz", "--labelled", "all")
    ways = ("--methods", "lp-ft", "--draws", "1", "--minutes", "0.5", "--out", tmp_path / "o")
    moved = metatl("transfer", waved / "mine.npz", *words, *ways)
    assert moved.code == 0, moved
    shutil.move(tmp_path / "o" / "model", tmp_path / "model")
    shutil.rmtree(tmp_path / "o")
    new = gestures("z", 3)
    np.savez(tmp_path / "new.npz", x=new["x"])
    log = tmp_path / "said.csv"
    alone = ["predict", tmp_path / "model", tmp_path / "new.npz", "--out", log]
    process = in_process(alone, tmp_path / "log")
    process.join()
    assert process.exitcode == 0
    found = [one["label"] for one in csv.DictReader(log.read_text().splitlines())]
    assert np.mean(np.array(found) == new["y"]) > 0.7
    np.savez(tmp_path / "long.npz", x=gestures("z", 3, 48)["x"])
    assert len(metatl("predict", tmp_path / "model", tmp_path / "long.npz").out.splitlines()) == 19
    np.savez(tmp_path / "turned.npz", x=new["x"].transpose(0, 2, 1))
    turned = refused("predict", tmp_path / "model", tmp_path / "turned.npz")
    assert "windows have 32 channels of 2 values, and the net reads 2 channels" in turned
    np.savez(tmp_path / "far.npz", x=new["x"] * 100)
    far = metatl("predict", tmp_path / "model", tmp_path / "far.npz")
    assert any("are the units the same" in one for one in far.lines)
    np.savez(tmp_path / "plain.npz", a=np.arange(4.0))
    assert "these are rows, and the model reads windows" in refused(
        "predict", tmp_path / "model", tmp_path / "plain.npz"
    )


def test_a_source_of_something_else_is_one_line(waved: Path, tmp_path: Path) -> None:
    words = ("transfer", waved / "mine.npz", "--target", "y", "--out", tmp_path / "o", "--source")
    other = gestures("ab", 1)
    np.savez(tmp_path / "plain.npz", y=other["y"], a=np.arange(36.0))
    assert "it holds rows, and the data are windows" in refused(*words, tmp_path / "plain.npz")
    np.savez(tmp_path / "one.npz", **{**other, "x": other["x"][:, :1]})
    assert "windows have 2 channels" in refused(*words, tmp_path / "one.npz")


@pytest.fixture(scope="module")
def voiced(tmp_path_factory: pytest.TempPathFactory, own_cache: None) -> Path:
    """Two vowels (formants of /a/ and /i/) by six speakers of other pitch, three of whom are the source."""
    place, rng = tmp_path_factory.mktemp("v"), np.random.default_rng(0)
    for part, speakers in (("theirs", "abc"), ("mine", "xyz")):
        rows: list[list[str]] = []
        (place / part).mkdir()
        for i in range(48):
            speaker, word = speakers[i % 3], "ai"[i // 3 % 2]
            at = np.arange(int(4000 * rng.uniform(0.8, 1.2))) / 8000
            harmonics = np.arange(1, 25) * (100 + 20 * "abcxyz".index(speaker)) * rng.uniform(0.95, 1.05)
            first, second = (700, 1200) if word == "a" else (300, 2300)
            loud = np.exp(-(((harmonics - first) / 150) ** 2)) + np.exp(-(((harmonics - second) / 200) ** 2))
            sound = rng.uniform(0.1, 0.3) * (loud @ np.sin(2 * np.pi * harmonics[:, None] * at))
            file = place / part / f"{speaker}{i}.wav"
            sound += 0.02 * rng.normal(size=len(at))
            wavfile.write(file, 8000, (2**14 * sound).astype(np.int16))
            rows.append([file.name, word, speaker])
        with (place / part / "said.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([["file", "word", "speaker"], *rows])
    return place


def test_a_source_of_recordings_by_other_speakers(voiced: Path, tmp_path: Path) -> None:
    words = ("--audio", "file", "--target", "word", "--group", "speaker", "--labelled", "1")
    ways = ("--methods", "logistic-regression,prototypes", "--draws", "1", "--minutes", "0.5")
    source = ("--source", voiced / "theirs" / "said.csv", "--out", tmp_path / "o")
    found = metatl("transfer", voiced / "mine" / "said.csv", *words, *ways, *source)
    assert found.code == 0, found
    report = store.read_json(tmp_path / "o" / "report.json")
    scores = {row["method"]: row["score"] for row in report["rows"]}
    assert scores["logistic-regression"] > 90
    assert "a Conv2d learned on" in str(report["protocol"])


def test_new_recordings_of_every_kind(voiced: Path, tmp_path: Path) -> None:
    """24 bits, stereo, another rate, long and short ones, and what is no sound: a line each, in order."""
    mine = tmp_path / "mine"
    for file in sorted((voiced / "mine").glob("*.wav")):
        of = "rising" if int(file.stem[1:]) // 3 % 2 == 0 else "falling"
        (mine / of).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, mine / of)
    theirs = tmp_path / "theirs"
    for file in sorted((voiced / "theirs").glob("*.wav")):
        of = "up" if int(file.stem[1:]) // 3 % 2 == 0 else "down"
        (theirs / of).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, theirs / of)
    words = (
        "--source",
        theirs,
        "--labelled",
        "all",
        "--methods",
        "lp-ft",
        "--draws",
        "1",
        "--minutes",
        "0.5",
    )
    found = metatl("transfer", mine, *words, "--out", tmp_path / "o")
    assert found.code == 0, found
    new = tmp_path / "new"
    new.mkdir()
    at = np.arange(22050 // 2) / 22050
    sound = 0.3 * np.sin(2 * np.pi * np.cumsum(1200 + 400 * at) / 22050)
    wavfile.write(new / "a.wav", 22050, np.stack([sound, sound], 1).astype(np.float32))
    with wave.open(str(new / "b.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(3)
        file.setframerate(22050)
        whole = np.rint(2**23 * sound).astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3]
        file.writeframes(whole.tobytes())
    (new / "c.wav").write_bytes(b"")
    (new / "d.wav").write_text("no sound")
    wavfile.write(new / "e.wav", 8000, np.zeros(0, np.int16))
    wavfile.write(new / "f.wav", 8000, np.ones(30, np.int16))
    wavfile.write(new / "g.wav", 22050, np.tile(sound, 8).astype(np.float32))
    said = metatl("predict", tmp_path / "o", new)
    lines = {Path(one["file"]).name[0]: one["label"] for one in csv.DictReader(said.out.splitlines())}
    assert [*lines] == list("abcdefg")
    assert lines["a"] == lines["b"] == "rising"
    assert lines["c"] == lines["d"] == lines["e"] == ""
    assert "" not in (lines["f"], lines["g"])
    assert "0 s of sound" in " ".join(said.lines)
    assert "longer than" in " ".join(said.lines)


# ---- a finished run


def test_a_run_on_windows_is_a_net(waved: Path, tmp_path: Path) -> None:
    config = {
        "name": "waves",
        "data": {
            "class_path": "GroupArrays",
            "init_args": {"path": str(waved / "source.npz"), "group": "who", "fractions": [0.5, 0.25, 0.25]},
        },
        "model": {"class_path": "Conv1d", "init_args": {"filters": 8}},
        "learner": {"class_path": "Supervised", "init_args": {"steps": 60, "batch_size": 24}},
        "adaptation": {"steps": 0, "head": {"class_path": "Learned"}, "moments": "frozen"},
        "evaluation": {"tasks": {"way": 3, "shot": 1, "query": 2}, "episodes": 4},
    }
    ran = metatl("run", written(tmp_path, config), "--runs", tmp_path / "runs", "--learn-only")
    assert ran.code == 0, ran
    run = only(tmp_path / "runs")
    made, kept = pretrained(str(run)), load(run)
    assert isinstance(made.preparation, WindowPreparation)
    x = gestures("v", 5)["x"].astype(np.float32)
    with torch.no_grad(), moments_from(Rows(frozen=True)):
        same = kept.net(kept.transfer.params, kept.transfer.buffers, torch.from_numpy(x))
        assert torch.allclose(made.module(made.preparation(x)), same, rtol=1e-4, atol=1e-4)
    words = ("--target", "y", "--net", run, "--labelled", "2", *FEW, "--out", tmp_path / "o")
    found = metatl("transfer", waved / "mine.npz", *words)
    assert found.code == 0, found
    np.savez(tmp_path / "new.npz", x=x)
    assert len(metatl("predict", tmp_path / "o", tmp_path / "new.npz").out.splitlines()) == 19
    pictured = refused(
        "transfer", waved / "mine.npz", *words[:3], run, "--size", "9", "--out", tmp_path / "p"
    )
    assert "size is of pictures and texts" in pictured

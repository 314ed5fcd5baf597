"""Streams that are closed, full, or lack a character, and a second Ctrl-C: one line, the right exit code."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
import torch

from metatl.lab import refusals
from metatl.lab.interrupts import Interruptible
from metatl.types import MetatlError
from tests import commands
from tests.commands import config_of, in_process, metatl, only, written
from tests.photos import drawn

Words = list[str | Path]
ASKED = ("--net", "Conv4", "--size", "20", "--labelled", "1", "--draws", "2", "--methods", "ridge")


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Words]:
    return words_of_all(tmp_path_factory.mktemp("given"))


def words_of_all(folder: Path) -> dict[str, Words]:
    """The words of every command; what `evaluate` and `predict` need is there."""
    torch.set_num_threads(1)
    photos, out = drawn(folder / "photos"), folder / "out"
    one = written(folder, config_of("maml", 2))
    two = written(folder, {**config_of("maml", 3), "name": "other"}, "b.yaml")
    runs: Words = ["--runs", folder / "runs"]
    found: dict[str, Words] = {
        "run": ["run", one, *runs],
        "benchmark": ["benchmark", one, two, *runs],
        "transfer": ["transfer", photos, *ASKED, "--out", out],
        "predict": ["predict", out, photos],
        "methods": ["methods"],
    }
    for words in (found["run"], found["transfer"]):
        assert metatl(*words).code == 0
    return found | {"evaluate": ["evaluate", only(folder / "runs")]}


def ended(words: Words, log: Path, **faults: str) -> tuple[int | None, list[str]]:
    """Exit code, and the lines on what is left of the streams, progress left out."""
    process = in_process(words, log, **faults)
    process.join(120)
    said = log.read_text()
    assert "Traceback" not in said, said
    assert "Exception ignored" not in said, said
    return process.exitcode, [line for line in said.splitlines() if line.startswith("metatl: ")]


COMMANDS = ("run", "benchmark", "evaluate", "transfer", "predict", "methods")


HOWS = [*((name, "closed") for name in COMMANDS), ("run", "full"), ("methods", "full")]
"""All of them in the other way too: the row `streams` of scripts/torture.py."""


def output_takes_nothing(name: str, how: str, given: dict[str, Words], log: Path) -> None:
    """What was asked for is done, and one line says that nothing could be shown."""
    code, lines = ended(given[name], log, stdout=how)
    assert code == 2
    (line,) = lines
    assert line.startswith("metatl: standard output takes nothing (")


def errors_take_nothing(name: str, how: str, given: dict[str, Words], log: Path) -> None:
    """A command ends as it would with somebody listening."""
    code, lines = ended(given[name], log, stderr=how)
    assert (code, lines) == (0, [])
    assert log.read_text()


@pytest.mark.parametrize(("name", "how"), HOWS)
def test_standard_output_that_takes_nothing(
    name: str, how: str, given: dict[str, Words], tmp_path: Path
) -> None:
    output_takes_nothing(name, how, given, tmp_path / "log")


@pytest.mark.parametrize(("name", "how"), HOWS)
def test_standard_error_that_takes_nothing(
    name: str, how: str, given: dict[str, Words], tmp_path: Path
) -> None:
    errors_take_nothing(name, how, given, tmp_path / "log")


@pytest.mark.parametrize("how", ["closed", "full"])
def test_a_mistake_that_cannot_be_said(how: str, tmp_path: Path) -> None:
    assert ended(["run", "nowhere.yaml"], tmp_path / "log", stderr=how) == (2, [])


def test_no_file_takes_the_number_of_a_closed_stream(given: dict[str, Words], tmp_path: Path) -> None:
    words = [*given["run"][:-1], tmp_path / "runs"]
    assert ended(words, tmp_path / "log", stdout="closed", stderr="closed")[0] == 2
    assert metatl(*given["run"][:-1], tmp_path / "other").code == 0
    commands.assert_same_run(only(tmp_path / "runs"), only(tmp_path / "other"))


IN_TURN = """
import json, os, sys
from metatl.lab import cli
for words in json.loads(sys.argv[1]):
    code = cli.main([os.fsdecode(word.encode()) for word in words])
    print("code", code, file=sys.stderr)
"""


def test_a_locale_without_utf_8(tmp_path: Path) -> None:
    r"""Tables show \xe9 for what cannot be shown, files are in UTF-8, and no label is changed."""
    photos = drawn(tmp_path / "phötos", colours={"bleu é": (40, 40, 230), "rot": (230, 40, 40)})
    one = written(tmp_path, {**config_of("maml", 2), "name": "é–ü"}, "ä.yaml")
    two = written(tmp_path, {**config_of("maml", 3), "name": "other"}, "b.yaml")
    runs, out = ["--runs", str(tmp_path / "runs")], str(tmp_path / "öut")
    turns = [
        ["run", one, *runs],
        ["benchmark", one, two, *runs, "--out", str(tmp_path / "tables")],
        ["transfer", str(photos), *ASKED, "--out", out],
        ["predict", out, str(photos), "--out", str(tmp_path / "a.csv")],
        ["methods"],
        ["predict", out, str(photos)],
        ["run", "nowhére.yaml"],
    ]
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", IN_TURN, json.dumps(turns)],
        env={**os.environ, **plain}, capture_output=True, check=False, encoding="ascii",
    )  # fmt: skip
    codes = [line for line in done.stderr.splitlines() if line.startswith("code ")]
    lines = [line for line in done.stderr.splitlines() if line.startswith("metatl: ")]
    assert done.returncode == 0, done.stderr
    assert codes == ["code 0"] * 5 + ["code 2"] * 2, done.stderr
    assert len(lines) == 2, lines
    assert "encoding is ascii, has no '\\xe9'; write a file with --out" in lines[0].replace("\\xf6", "\\xe9")
    assert "\\xe9\\u2013\\xfc" in done.stdout
    assert "é–ü" in (tmp_path / "tables" / "table.md").read_text("utf-8")
    assert "# Ways of transferring on phötos" in (tmp_path / "öut" / "table.md").read_text("utf-8")
    rows = (tmp_path / "a.csv").read_text("utf-8").splitlines()
    assert rows[1].startswith(f"{photos / 'train' / 'bleu é' / '00.png'},")
    assert {row.split(",")[1] for row in rows[1:]} <= {"bleu é", "rot"}


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 in the name of a class."""
    photos = drawn(tmp_path / "photos", {"": 4})
    (photos / "blue").rename(photos / os.fsdecode(b"bl\xfce"))
    found = metatl("transfer", photos, *ASKED, "--out", tmp_path / "out")
    assert found.code == 0, found
    found = metatl("predict", tmp_path / "out", photos)
    assert found.code == 0, found
    assert "bl\\xfce" in found.out


HEARING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from metatl.lab.cli import main
sys.exit(main())
"""
"""The command, also where a shell that started the tests in the background has it ignore Ctrl-C."""


def interrupted_again(wait: float, folder: Path) -> None:
    """Ctrl-C four times, so many seconds apart: one line, and 130."""
    path = written(folder, {**config_of("maml", 100_000), "record_every": 1})
    words = [sys.executable, "-c", HEARING, "run", path, "--runs", str(folder / "runs")]
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file)
    try:
        end = time.monotonic() + 120
        while not any(place.stat().st_size for place in folder.rglob("metrics.jsonl")):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        for _ in range(3):
            time.sleep(wait)
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    said = log.read_text()
    lines = [line for line in said.splitlines() if line.startswith("metatl: ")]
    assert process.returncode == 130, said
    assert "Traceback" not in said, said
    assert lines == ["metatl: interrupted; the same command goes on from the last checkpoint"]


@pytest.mark.parametrize("wait", [0.0, 0.1])
def test_a_second_ctrl_c(wait: float, tmp_path: Path) -> None:
    interrupted_again(wait, tmp_path)


class Dying:
    def __del__(self) -> None:
        raise KeyboardInterrupt


def waiting() -> None:
    made: list[Dying] = [Dying()]
    made.clear()
    time.sleep(60)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as Python hears it, also where whoever started the tests ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ends_in_one_line(command: Callable[[], object]) -> None:
    error, began = io.StringIO(), time.monotonic()
    with contextlib.redirect_stderr(error):
        assert refusals.guarded(command) == 130
    assert time.monotonic() - began < 30, "the wait goes on, although it was interrupted"
    assert error.getvalue() == "metatl: interrupted; the same command goes on from the last checkpoint\n"


def test_a_ctrl_c_in_a_finaliser_is_not_lost() -> None:
    ends_in_one_line(waiting)


@pytest.mark.usefixtures("ctrl_c")
def test_a_ctrl_c_in_what_python_calls_then_is_not_lost() -> None:
    """The second of two: the first fell into a finaliser."""

    def again(frame: FrameType, event: str, _: object) -> None:
        if (frame.f_code, event) == (Interruptible._uncaught.__code__, "call"):
            signal.raise_signal(signal.SIGINT)

    sys.setprofile(again)
    try:
        ends_in_one_line(waiting)
    finally:
        sys.setprofile(None)


@pytest.mark.usefixtures("ctrl_c")
def test_a_ctrl_c_while_the_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def said(line: str, stream: io.StringIO) -> None:
        signal.raise_signal(signal.SIGINT)
        stream.write(f"{line}\n")

    def command() -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(refusals, "say", said)
    ends_in_one_line(command)


def test_what_is_put_back_after_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that calls the command finds its streams and its Ctrl-C as they were."""
    held = {name: io.TextIOWrapper(io.BytesIO(), "ascii") for name in ("stdout", "stderr")}
    for name, stream in held.items():
        monkeypatch.setattr(sys, name, stream)
    before = signal.getsignal(signal.SIGINT)

    def command() -> None:
        print("é")
        raise MetatlError("è")

    assert refusals.guarded(command) == 2
    assert (sys.stdout, sys.stderr) == (held["stdout"], held["stderr"])
    assert signal.getsignal(signal.SIGINT) is before
    assert held["stdout"].buffer.getvalue() == b"\\xe9\n"  # type: ignore[attr-defined]
    assert held["stderr"].buffer.getvalue() == b"metatl: \\xe8\n"  # type: ignore[attr-defined]

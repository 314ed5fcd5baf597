"""Faults of files and streams: links, pipes, libraries that were cut, builders at once, closed streams."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torture_row import Hit, Row, each, landed

from metatl.train import Checkpoints
from metatl.transferring import transfer as transferring
from tests.commands import config_of, metatl, only, written
from tests.trust import test_links, test_streams

KINDS, WORDS = ("link", "hard link"), (["--again"], [], ["--evaluation.episodes", "2"])
BUILDING = """
import torch
from metatl.engines.fast import compiled
print(compiled.library(torch.float32) is not None)
"""


def _finished(folder: Path) -> tuple[str, Path]:
    path = written(folder, config_of("maml", 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "due", lambda _: True)
        assert metatl("run", path, "--runs", folder / "whole").code == 0
    assert metatl("evaluate", only(folder / "whole"), *test_links.OTHER).code == 0
    return path, folder / "whole"


def _in_turn(folder: Path, times: int, cases: Iterator[Any], one: Callable[..., None]) -> Iterator[Hit]:
    for number, case in enumerate(itertools.islice(itertools.cycle(list(cases)), times)):
        place = folder / str(number)
        place.mkdir()
        yield landed(lambda: one(*case, place))  # noqa: B023


def links(folder: Path, times: int) -> Iterator[Hit]:
    """Every file and folder of a run as a link or hard link: learned anew, resumed, evaluated again."""
    finished = _finished(folder)
    cases = (
        (name, kind, words)
        for name, kind, words in itertools.product(test_links.OF_A_RUN, KINDS, WORDS)
        if (name, kind) != ("evaluations", "hard link")
    )

    def one(name: str, kind: str, words: list[str], place: Path) -> None:
        test_links.link_harms_nothing(name, kind, words, finished, place)

    return _in_turn(folder, times, cases, one)


def special(folder: Path, times: int) -> Iterator[Hit]:
    """A pipe, a socket or a device in place of every file of a run."""
    finished = _finished(folder)
    cases = itertools.product(test_links.OF_A_RUN[:-1], test_links.SPECIAL)

    def one(name: str, kind: str, place: Path) -> None:
        test_links.ends_beside(name, kind, finished, place)

    return _in_turn(folder, times, cases, one)


def streams(folder: Path, times: int) -> Iterator[Hit]:
    """Standard output or error closed or full, for every command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transferring, "VALIDATING", 0.0)
        given = test_streams.words_of_all(folder)
    takers = (test_streams.output_takes_nothing, test_streams.errors_take_nothing)
    cases = itertools.product(test_streams.COMMANDS, ("closed", "full"), takers)

    def one(name: str, how: str, taker: Callable[..., None], place: Path) -> None:
        taker(name, how, given, place / "log")

    return _in_turn(folder, times, cases, one)


def interrupted(place: Path, number: int) -> None:
    """Ctrl-C four times, at random distances."""
    test_streams.interrupted_again(random.Random(number).choice([0.0, 0.01, 0.1, 0.5]), place)


def builders(place: Path, number: int) -> None:
    """Four processes that build the kernels at once, one of them killed, in a cache that was harmed."""
    draw, cache = random.Random(number), place / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METATL_CACHE", str(cache))
        words = [sys.executable, "-c", BUILDING]
        kept = cache
        for _ in range(2):
            started = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
            try:
                started[0].wait(draw.uniform(3.0, 20.0))
            except subprocess.TimeoutExpired:
                started[0].kill()
            assert [one.communicate()[0] for one in started[1:]] == ["True\n"] * 3
            assert [one.returncode for one in started[1:]] == [0] * 3
            (kept,) = cache.glob("ops-*.so")
            whole = kept.read_bytes()
            kept.write_bytes(whole[: draw.randrange(len(whole))])
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert done.stdout == "True\n"
        assert [file.name for file in cache.iterdir()] == [kept.name]


ROWS = (
    Row("links: every file of a run", 63, links),
    Row("special files: every file of a run", 30, special),
    Row("streams: closed and full", 24, streams),
    Row("streams: Ctrl-C again and again", 12, each(interrupted)),
    Row("kernels: four builders at once, one killed, a library cut", 5, each(builders)),
)

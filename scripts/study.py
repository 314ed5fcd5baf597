"""What the commands of all studies share: their options, and one line for whatever goes wrong."""

from __future__ import annotations

import argparse
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from metatl.evaluation.evaluate import Report
from metatl.lab import grids
from metatl.lab.refusals import guarded
from metatl.types import MetatlError


def parser(description: str, out: str | None, runs: str = "runs") -> argparse.ArgumentParser:
    """With the folders that every study writes to; out: where the table goes (None: by the study's data)."""
    made = argparse.ArgumentParser(description=description)
    said = out or "results/, by the study's data"
    made.add_argument("--out", default=out, help=f"folder for what is written [{said}]")
    made.add_argument("--runs", default=runs, help=f"folder of the run directories [{runs}]")
    return made


def count(text: str) -> int:
    """A number of nets, seeds, repetitions or threads."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def share(text: str) -> float:
    """A share of a schedule."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share; 0.1 is a tenth, 1 all of it")
    return value


def diverged(reports: Iterable[Report]) -> list[int] | None:
    """The episodes that diverged in any of the reports; None where one is older."""
    each = [found.facts.get("diverged") for found in reports]
    return None if None in each else [episode for own in each for episode in own]


def data(file: str) -> Path:
    """A file or folder of the real data sets, below METATL_DATA."""
    home = os.environ.get("METATL_DATA")
    if home is None or not (Path(home) / file).exists():
        raise MetatlError(f"{file} is not there: put it into the folder that METATL_DATA names")
    return Path(home) / file


def rows(grid: Path) -> dict[str, Path]:
    """The configs of a grid's rows, sorted by name."""
    return {path.name: path for path in sorted(grids.configs(grid))}


def shown(path: Path) -> str:
    """A path as commands have it: from the folder where they are typed."""
    return os.path.relpath(path)


def transfer(words: Sequence[str]) -> None:
    """`metatl transfer` with these words, as a process of its own, which reports name as their command."""
    print(f"metatl {shlex.join(['transfer', *words])}", flush=True)
    if code := subprocess.run([sys.executable, "-m", "metatl", "transfer", *words], check=False).returncode:
        sys.exit(code)


def command(main: Callable[[], object]) -> None:
    """Run a study's main and leave with its exit code; what went wrong is one line."""
    sys.exit(guarded(main, Path(sys.argv[0]).name))

"""Which task helps which: all transfers between domains or alphabets, and which estimate tells them.

    METATL_DATA=<folder with clinc150/ and omniglot/> python scripts/affinity.py
    python scripts/affinity.py --only alphabets

CLINC150: a folder with train.csv and test.csv (the first twenty sentences of each intent of train may be
labelled, twenty of test judge; out-of-scope ones are left out), ten domains of fifteen intents. Alphabets:
the first ten of Omniglot's background set, all characters with their twenty drawings, as EfficientNet-Lite0
sees them at 96 pixels. Both are written to runs/affinity and given to `metatl affinity`: five labelled rows
of each class, five draws. Resumable; results/affinity/NAME has what it wrote.

Duration: 5 to 15 minutes each on one thread, most of it the nets' features, which are kept.
"""

from __future__ import annotations

import csv
import gzip
import json
import shlex
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import study

EACH, ALPHABETS = 20, 10


def tables(folder: Path) -> None:
    """The two tables with the columns utterance, intent and domain."""
    held = json.loads(gzip.decompress(study.data("clinc150/clinc150.json.gz").read_bytes()))
    domain = {intent: name for name, intents in held["domains"].items() for intent in intents}
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        seen, rows = Counter[str](), list[tuple[str, str, str]]()
        for text, intent in held["data_full"][part]:
            seen[intent] += 1
            if seen[intent] <= EACH:
                rows.append((text, intent, domain[intent]))
        with (folder / f"{part}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("utterance", "intent", "domain"), *rows])


def alphabets(folder: Path) -> None:
    """A folder of characters for each of ten alphabets."""
    with zipfile.ZipFile(study.data("omniglot/images_background.zip")) as held:
        files = sorted(name for name in held.namelist() if name.endswith(".png"))
        first = sorted({name.split("/")[-3] for name in files})[:ALPHABETS]
        for name in files:
            alphabet, character, drawing = name.split("/")[-3:]
            if alphabet in first:
                place = folder / alphabet / character / drawing
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(held.read(name))


@dataclass(frozen=True)
class Tasks:
    """How the data are written, and the words that say what they are."""

    write: Callable[[Path], None]
    words: tuple[str, ...]


TASKS = {
    "clinc150": Tasks(tables, ("--text", "utterance", "--target", "intent", "--tasks", "domain")),
    "alphabets": Tasks(alphabets, ("--size", "96")),
}


def main() -> None:
    parser = study.parser("Transfers between domains and alphabets.", "results/affinity", "runs/affinity")
    parser.add_argument("--only", choices=TASKS, help="one of them")
    parser.add_argument("--minutes", type=float, default=15.0, help="for the transfers of each [15]")
    given = parser.parse_args()
    for name in [given.only] if given.only else TASKS:
        data, made = Path(given.runs) / name, Path(given.runs) / f"{name}-out"
        TASKS[name].write(data)
        words = ["affinity", str(data), *TASKS[name].words, "--labelled", "5", "--draws", "5"]
        words += ["--minutes", f"{given.minutes:g}", "--out", str(made)]
        print(f"metatl {shlex.join(words)}", flush=True)
        if code := subprocess.run([sys.executable, "-m", "metatl", *words], check=False).returncode:
            sys.exit(code)
        out = Path(given.out) / name
        out.mkdir(parents=True, exist_ok=True)
        for file in ("table.md", "report.json", "affinity.png"):
            (out / file).write_bytes((made / file).read_bytes())


if __name__ == "__main__":
    study.command(main)

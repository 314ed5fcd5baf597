"""Mutants of the core: one small change at a time, and whether the quick laws of that room notice it.

    make mutants                                    # 40 places drawn with seed 0, some minutes
    python scripts/mutants.py --count 200 --seed 3  # others
    python scripts/mutants.py --rooms rules,guides  # of these rooms only
    python scripts/mutants.py --all                 # every change of every core file: days; stop it and go on
    python scripts/mutants.py --page                # the page of the rows that are there

The working tree is copied and changed there. A child process per mutant runs the tests that name something of
the changed file, then those of its room (`mutants_laws.py`), until one fails or `--seconds` of processor time
are spent. Rows go to results/mutants/rows.jsonl, a line each; those that are there are not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mutants_made as made
import pytest
import torch
from mutants_laws import laws_of
from mutants_page import page

ROOT = Path(__file__).resolve().parent.parent
ROWS = ROOT / "results" / "mutants" / "rows.jsonl"
COPIED = ("metatl", "tests", "scripts")
QUICK = "not slow and not data and not peers and not gpu"
KILLED, LIVED, HUNG = "killed", "lived", "killed (endless)"


class Quickly:
    """pytest's plugin of a child: one case of every test, then the second of each, until time is up."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.until = seconds, 0.0

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        count: dict[str, int] = {}
        turns = {}
        for item in items:
            test = item.nodeid.split("[")[0]
            turns[item] = count[test] = count.get(test, -1) + 1
        items.sort(key=lambda item: turns[item])

    def pytest_collection_finish(self) -> None:
        self.until = time.process_time() + self.seconds

    def pytest_runtest_logfinish(self) -> None:
        if time.process_time() > self.until:
            raise pytest.exit.Exception("time is up", 0)


def copy(folder: Path) -> None:
    """The working tree: what is imported as files of its own, all else as links."""
    for path in ROOT.iterdir():
        if path.name in COPIED:
            shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.name != ".git":
            (folder / path.name).symlink_to(path)


def _child(folder: Path, laws: list[str], seconds: float) -> int:
    os.setsid()
    out = os.open(folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1), os.dup2(out, 2)
    most = int(3 * seconds + 60)
    resource.setrlimit(resource.RLIMIT_CPU, (most, most))
    os.chdir(folder)
    os.environ |= {"PYTHONPATH": f"{folder}:{folder / 'scripts'}"}
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(folder / "hypothesis"))
    kept = [p for p in sys.path if p and Path(p).resolve() not in (ROOT, ROOT / "scripts")]
    sys.path[:] = [str(folder), str(folder / "scripts"), *kept]
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", QUICK, "--rootdir", str(folder)]
    return int(pytest.main([*options, *laws], plugins=[Quickly(seconds)]))


def meets(folder: Path, laws: list[str], seconds: float) -> tuple[str, str]:
    """How the tests end on the source as it lies in the copy, and the test that failed."""
    child = os.fork()
    if not child:
        code = 70
        try:
            code = _child(folder, laws, seconds)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what a test has started
    said = (folder / "said.txt").read_text(encoding="utf-8", errors="replace")
    if os.WIFSIGNALED(status):
        return HUNG, ""
    code = os.waitstatus_to_exitcode(status)
    if code == pytest.ExitCode.NO_TESTS_COLLECTED or code == 70:
        raise SystemExit(f"no test was run of {' '.join(laws)}:\n{said[-2000:]}")
    ends = [line.split(" ", 1) for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return (KILLED if code else LIVED), ends[0][1].split(" - ")[0] if ends else ""


def written(folder: Path, file: str, text: str) -> None:
    """A file of the copy, without the byte code of the one before."""
    path = folder / file
    path.write_text(text, encoding="utf-8")
    for old in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        old.unlink()


def tried(folder: Path, mutants: Iterable[made.Mutant], seconds: float) -> Iterator[dict[str, Any]]:
    """A row for each mutant; a test that fails on one is run once on the source as it is, to pass there."""
    sound: set[str] = {""}
    for mutant in mutants:
        text = (ROOT / mutant.file).read_text(encoding="utf-8")
        changed = mutant.source(text)
        if changed is None:
            continue
        started = time.monotonic()
        written(folder, mutant.file, changed)
        try:
            ended, test = meets(folder, laws_of(ROOT, mutant.file), seconds)
        finally:
            written(folder, mutant.file, text)
        took = round(time.monotonic() - started, 1)
        if test not in sound and meets(folder, [test], seconds)[0] != LIVED:
            raise SystemExit(f"{test} fails on the source as it is")
        sound.add(test)
        pairs = zip(text.splitlines(), changed.splitlines(), strict=False)
        old, new = next(((a.strip(), b.strip()) for a, b in pairs if a != b), ("", ""))
        row = asdict(mutant) | {"old": old, "new": new, "ended": ended, "test": test}
        yield row | {"room": mutant.room, "seconds": took}


def chosen(options: argparse.Namespace) -> Iterator[made.Mutant]:
    """Mutants in the order in which they are tried."""
    files = made.core(ROOT, options.rooms.split(",") if options.rooms else ())
    yield from made.HAND_MADE if not options.rooms else ()
    if options.all:
        yield from (m for path in files for m in made.mutants_of(ROOT, path))
    else:
        yield from made.drawn(ROOT, files, options.seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=40, help="mutants of the sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rooms", default="", help="rooms, by commas; else all of the core")
    parser.add_argument("--seconds", type=float, default=8, help="processor time of the tests of a mutant")
    parser.add_argument("--minutes", type=float, default=1e9, help="no mutant is begun after that")
    parser.add_argument("--all", action="store_true", help="every change of every file")
    parser.add_argument("--again", action="store_true", help="try those that lived once more")
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--page", action="store_true", help="write the page, and try nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.rows.parent.mkdir(parents=True, exist_ok=True)
    lines = options.rows.read_text(encoding="utf-8").splitlines() if options.rows.exists() else []
    rows = [json.loads(line) for line in lines]
    if not options.page:
        run(options, rows)
    (options.rows.parent / "README.md").write_text(page(rows), encoding="utf-8")


def run(options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Add rows to `rows` and to their file, and say each."""
    identity = ("file", "operator", "line", "column", "occurrence")
    lived = [row for row in rows if row["ended"] == LIVED and row["operator"] != "by hand"]
    if options.again:
        mutants = iter([made.Mutant(**{n: row[n] for n in identity}) for row in lived])
        rows[:] = [row for row in rows if row not in lived]
        options.rows.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        done = {tuple(row[n] for n in identity) for row in rows}
        mutants = (m for m in chosen(options) if tuple(getattr(m, n) for n in identity) not in done)
    until, left = time.monotonic() + 60 * options.minutes, 10**9 if options.all else options.count
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        copy(Path(name))
        for row in tried(Path(name), mutants, options.seconds):
            rows.append(row)
            with options.rows.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{row['ended']:8} {row['file']}:{row['line']} {row['old']} -> {row['new']}", flush=True)
            left -= 1
            if left <= 0 or time.monotonic() > until:
                break


if __name__ == "__main__":
    main()

"""Run a study again from nothing and hold its table against the committed one, to the digit.

    METATL_DATA=<folder with omniglot/, mnist/, hapt/> python scripts/reproduce.py fish-hapt
    python scripts/reproduce.py gtl-hapt sinusoid         # each says beforehand how long one core takes

Nothing that was learned before is used: runs go to runs/reproduce/NAME, which is refused if it holds any
(--resume goes on with what an interrupted call left there). Prints the first line that differs and ends with
exit code 1 where one does. Another CPU may round differently; on the same machine every table repeats itself.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from metatl.lab import store
from metatl.lab.provenance import provenance
from metatl.types import MetatlError

ROOT = Path(__file__).resolve().parent.parent
STUDIES = {
    "sinusoid": ("sinusoid.py", 30),
    "gtl-proof": ("gtl_proof.py", 20),
    "gtl-mnist": ("gtl_mnist.py", 60),
    "gtl-alphabets": ("gtl_alphabets.py", 90),
    "gtl-hapt": ("hapt_gtl.py", 25),
    "gtl-family": ("gtl_family.py", 40),
    "hapt-personal": ("hapt_personal.py", 28),
    "fish-hapt": ("fish_density.py hapt", 8),
    "fish-omniglot": ("fish_density.py omniglot", 12),
}
"""The command of every study, and about how many minutes of one core it takes."""


def again(name: str, resume: bool) -> tuple[Path, float]:
    """Run a study into a folder of its own: where it wrote, and the seconds it took."""
    folder = ROOT / "runs" / "reproduce" / name
    if folder.exists() and not resume:
        raise MetatlError(f"{folder} is there already; delete it, or go on with it: --resume")
    words = STUDIES[name][0].split()
    command = [sys.executable, str(ROOT / "scripts" / words[0]), *words[1:]]
    began = time.perf_counter()
    subprocess.run([*command, "--runs", str(folder), "--out", str(folder / "out")], check=True)
    return folder / "out", time.perf_counter() - began


def difference(one: str, other: str) -> str | None:
    """The first line in which two texts differ, both sides of it; None where they are the same."""
    both = itertools.zip_longest(one.splitlines(), other.splitlines(), fillvalue="(no such line)")
    for number, (left, right) in enumerate(both, 1):
        if left != right:
            return f"line {number}\n  committed: {left}\n  now:       {right}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description="Run studies again and compare their tables, to the digit.")
    parser.add_argument("names", nargs="+", choices=STUDIES, metavar="NAME", help=", ".join(STUDIES))
    parser.add_argument("--resume", action="store_true", help="go on with what an interrupted call left")
    parser.add_argument("--out", help="a JSON file to add what was found to")
    given = parser.parse_args()
    found, differs = dict[str, dict[str, Any]](), False
    for name in given.names:
        print(f"{name}: about {STUDIES[name][1]} minutes of one core", flush=True)
        out, seconds = again(name, given.resume)
        committed = (ROOT / "results" / name / "table.md").read_text(encoding="utf-8")
        first = difference(committed, (out / "table.md").read_text(encoding="utf-8"))
        print(f"{name}: {'the same table' if first is None else f'differs in {first}'}")
        found[name] = {"same": first is None, "first_difference": first, "seconds": round(seconds)}
        differs |= first is not None
    if given.out is not None:
        place, told = Path(given.out), {"versions": provenance("cpu")["versions"]}
        before = store.read_json(place) if place.is_file() else {}
        store.write_json(place, {**before, **{name: {**of, **told} for name, of in found.items()}})
    return int(differs)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (MetatlError, subprocess.CalledProcessError) as error:
        sys.exit(f"reproduce: {error}")

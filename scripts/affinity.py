"""Which domain of CLINC150 helps which: all transfers between them, and which estimate tells them.

    METATL_DATA=<folder with clinc150/> python scripts/affinity.py

Writes a folder with train.csv and test.csv to runs/affinity (the first twenty sentences of each intent of
train may be labelled, twenty of test judge; out-of-scope ones are left out) and runs `metatl affinity` on it:
ten domains of fifteen intents, five labelled sentences of each intent, five draws. Resumable.

Duration: 15 minutes on one thread, most of it MiniLM's, which are kept.
"""

from __future__ import annotations

import csv
import gzip
import json
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import study

EACH = 20


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


def main() -> None:
    parser = study.parser("Transfers between the domains of CLINC150.", "results/affinity", "runs/affinity")
    parser.add_argument("--minutes", type=float, default=15.0, help="for the transfers [15]")
    given = parser.parse_args()
    tables(Path(given.runs) / "clinc150")
    words = ["affinity", str(Path(given.runs) / "clinc150"), "--text", "utterance", "--target", "intent"]
    words += ["--tasks", "domain", "--labelled", "5", "--draws", "5", "--minutes", f"{given.minutes:g}"]
    words += ["--out", str(Path(given.runs) / "clinc150-out")]
    print(f"metatl {shlex.join(words)}", flush=True)
    if code := subprocess.run([sys.executable, "-m", "metatl", *words], check=False).returncode:
        sys.exit(code)
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("table.md", "report.json", "affinity.png"):
        (out / name).write_bytes((Path(given.runs) / "clinc150-out" / name).read_bytes())


if __name__ == "__main__":
    study.command(main)

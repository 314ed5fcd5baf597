"""Sentences: the intents of CLINC150, from none to ten sentences of each.

    METATL_DATA=<folder with clinc150/> python scripts/transfer_clinc150.py

Writes folders with train.csv and test.csv to runs/clinc150 (the sentences of train and val are labelled,
those of test judge; out-of-scope ones are left out) and runs `metatl transfer` on each: the fifteen intents
of the banking domain without a label and with 1, 5 and 10 sentences of each, and all 150 intents with none
and 10.
`--tables` writes the tables alone, and all sentences in one for the episodes of configs/clinc.yaml.
Resumable: what is done is not done again, and `--minutes` above 1 go on with what they did not reach.

Duration: 25 minutes. Expected of banking: 69 to 77 % without a label, 72 to 78 with one of each,
89 to 95 with ten. The minutes decide how many draws rows that move the body get, which table.md says.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import study

from metatl.text import near
from metatl.types import MetatlError

DOMAIN = "banking"
FILES = {"train": ("train", "val"), "test": ("test",)}
FROZEN = "zero-shot,nearest-centroid,logistic-regression,ridge,linear-discriminant,head-only"


@dataclass(frozen=True)
class Problem:
    """What one call of `metatl transfer` is asked for."""

    labelled: str
    methods: str
    draws: int
    minutes: float


PROBLEMS = {
    DOMAIN: Problem("0,1,5,10", f"{FROZEN},lp-ft,layer-wise-rates,bias-only,lora", 5, 20.0),
    "all": Problem("0,10", FROZEN, 3, 5.0),
}


def write(file: Path, held: dict[str, Any], parts: Iterable[str], intents: set[str]) -> None:
    """A table with the columns utterance and intent."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        rows = (row for part in parts for row in held["data_full"][part] if row[1] in intents)
        csv.writer(stream).writerows([("utterance", "intent"), *rows])


def tables(folder: Path, domain: str = DOMAIN) -> None:
    """All tables that are made of the file as it was published; MetatlError for a domain that it has not."""
    held = json.loads(gzip.decompress(study.data("clinc150/clinc150.json.gz").read_bytes()))
    everything = {intent for own in held["domains"].values() for intent in own}
    if domain not in held["domains"]:
        raise MetatlError(f"CLINC150 has no domain {domain!r}{near(domain, held['domains'])}")
    for name, intents in {domain: {*held["domains"][domain]}, "all": everything}.items():
        for file, parts in FILES.items():
            write(folder / name / f"{file}.csv", held, parts, intents)
    write(folder / "intents.csv", held, ("train", "val", "test"), everything)


def main() -> None:
    parser = study.parser(
        "Ways of transferring a sentence encoder to the intents of CLINC150.",
        "results/transfer-clinc150",
        "runs/clinc150",
    )
    parser.add_argument("--minutes", type=study.share, default=1.0, help="a share of the minutes [1]")
    parser.add_argument("--tables", action="store_true", help="write the tables alone")
    given = parser.parse_args()
    tables(Path(given.runs))
    for name, asked in PROBLEMS.items() if not given.tables else ():
        words = [str(Path(given.runs) / name), "--text", "utterance", "--target", "intent"]
        words += ["--labelled", asked.labelled, "--methods", asked.methods, "--draws", str(asked.draws)]
        minutes = f"{given.minutes * asked.minutes:g}"
        study.transfer([*words, "--minutes", minutes, "--out", str(Path(given.out) / name)])


if __name__ == "__main__":
    study.command(main)

"""GTL from known alphabets to held-out ones, from a pre-trained net and from MAML: is it the guide?

    METATL_DATA=<folder with omniglot/> python scripts/gtl_alphabets.py --out results/gtl-alphabets

Lake's split: learned on 25 background alphabets, rates chosen on 5 others, tested once on the 20 evaluation
alphabets. Every config in configs/gtl-alphabets.yaml is evaluated on the same episodes of four shapes; a
scout is a random subset of source characters. Resumable: every report is kept beside the table; `--settings
5w1s,5w5s` runs some. Half an hour to one and a half of one core for three nets of each kind.

Expected: from pre-trained nets the guide within 0.3 points of its controls, scaled to a mean of 1 within 0.6,
logistic regression on their features (rfs) from 0.1 below to 1.3 above it, all rows far above scratch; from
MAML 1 to 4 points above its permutation and 0.5 to 3 below its mean, which is MAML.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gtl_alphabets_table
import study
import torch
from gtl_alphabets_table import PAIRS
from gtl_nets import by_net, reported
from reports import Reports
from tqdm import tqdm

from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.lab import config

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "gtl-alphabets.yaml"


@dataclass(frozen=True)
class Setting:
    """A shape of episodes, and how many of them one core affords."""

    way: int
    shot: int
    query: int
    episodes: int
    select: int

    @property
    def name(self) -> str:
        """5w1s, say."""
        return f"{self.way}w{self.shot}s"

    def words(self, runs: str, path: Path) -> list[str]:
        """What it overrides in a config; a 20-way task takes the initialisation that was learned 20-way."""
        values = {"way": self.way, "shot": self.shot, "query": self.query}
        words = [word for key, value in values.items() for word in (f"--evaluation.tasks.{key}", str(value))]
        words += ["--evaluation.episodes", str(self.episodes)]
        words += ["--evaluation.select_episodes", str(self.select), "--runs", runs]
        start = config.read(path)["start"]
        other = start and start.replace("5way", f"{self.way}way")
        return words if other == start else [*words, "--start", other]


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting(5, 1, 15, 600, 40),
        Setting(5, 5, 15, 300, 40),
        Setting(20, 1, 5, 100, 12),
        Setting(20, 5, 5, 40, 6),
    )
}


def reports(setting: Setting, runs: str, nets: int, kept: Reports) -> dict[str, Report]:
    """Every config's report in this setting; the mean over nets, episode by episode."""
    paths = study.rows(CONFIGS).values()
    with tqdm(paths, desc=setting.name) as bar:
        return {
            path.name: reported(path, nets, setting.words(runs, path), beside=True, kept=kept) for path in bar
        }


def contrasts(found: dict[str, Report], setting: str) -> list[dict[str, Any]]:
    """The guides against what they must beat, Holm-corrected within the setting."""
    tests = [compare.paired(found[a].scores, found[b].scores).times(100) for a, b in PAIRS]
    corrected = compare.holm([test.p for test in tests])
    return [
        {
            "setting": setting,
            "guide": a,
            "against": b,
            "difference": t.mean,
            "ci95": t.ci95,
            "p": p,
            "by_net": by_net(found[a], found[b]),
        }
        for (a, b), t, p in zip(PAIRS, tests, corrected, strict=True)
    ]


def settings(text: str) -> list[str]:
    """Names of settings, by commas."""
    found = text.split(",")
    for name in found:
        if name not in SETTINGS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(SETTINGS)}")
    return found


def main() -> None:
    parser = study.parser("GTL from known alphabets to held-out ones.", "results/gtl-alphabets")
    parser.add_argument(
        "--settings", type=settings, default=",".join(SETTINGS), help="shapes of episodes, by commas"
    )
    parser.add_argument(
        "--nets", type=study.count, default=3, help="nets of each kind, one for each seed [3]"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    kept = Reports(Path(given.out) / "reports.json")
    found = {name: reports(SETTINGS[name], given.runs, given.nets, kept) for name in given.settings}
    tests = [test for name, made in found.items() for test in contrasts(made, name)]
    gtl_alphabets_table.write(Path(given.out), found, tests)


if __name__ == "__main__":
    study.command(main)

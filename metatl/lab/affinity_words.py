"""The words of `metatl affinity`."""

from __future__ import annotations

import argparse


def add(affinity: argparse.ArgumentParser) -> None:
    """Give the command its arguments."""
    affinity.add_argument(
        "data", help="a table, or a folder that holds a folder of classes (or a table) for each task"
    )
    affinity.add_argument("--tasks", help="of a table: column whose values are the tasks")
    affinity.add_argument(
        "--target", help="of a table: column to predict; several with commas are a task each"
    )
    affinity.add_argument("--text", help="of a table: column of the sentences")
    affinity.add_argument("--audio", help="of a table: column of wav files, which lie beside it")
    affinity.add_argument("--drop", help="of a table: columns that are no inputs (an id), with commas")
    affinity.add_argument("--net", help="what features come from, as --net of 'metatl transfer' [the same]")
    affinity.add_argument("--size", type=int, help="pixels of a picture's side [the net's own]")
    affinity.add_argument(
        "--labelled", type=int, default=5, help="labels of each class of the target, of real values rows [5]"
    )
    affinity.add_argument("--draws", type=int, default=5, help="draws of the labelled rows [5]")
    affinity.add_argument(
        "--estimates",
        help="comma-separated, of LogME, LEEP, NCE, HScore, PARC, NearestNeighbour, Task2Vec [all]",
    )
    affinity.add_argument("--minutes", type=float, default=10.0, help="time for all of it [10]")
    affinity.add_argument(
        "--out", help="folder for table.md, report.json and affinity.png [runs/affinity-<name>]"
    )
    affinity.add_argument("--seed", type=int, default=0, help="of the draws [0]")

"""The words of `metatl transfer`, `metatl predict` and `metatl methods`."""

from __future__ import annotations

import argparse


def add(
    transfer: argparse.ArgumentParser, predict: argparse.ArgumentParser, methods: argparse.ArgumentParser
) -> None:
    """Give the three commands their arguments."""
    transfer.add_argument("photos", help="folder: <class>/*.jpg, or train|val|test/<class>/*.jpg")
    transfer.add_argument(
        "--net",
        default="efficientnet_lite0",
        help="efficientnet_lite0, timm:NAME[@weights file], my_package.MyNet@weights file, a finished run's "
        "directory, or a built-in one (Conv4, ...) [efficientnet_lite0]",
    )
    transfer.add_argument("--labelled", default="1,2,5,10,all", help="labels of each class [1,2,5,10,all]")
    transfer.add_argument("--draws", type=int, default=10, help="draws of the labelled photos [10]")
    transfer.add_argument("--methods", help="comma-separated rows; see 'metatl methods' [all]")
    transfer.add_argument("--minutes", type=float, default=10.0, help="time for all of it [10]")
    transfer.add_argument(
        "--out", help="folder for the table, the plots and the model [runs/transfer-<name>]"
    )
    transfer.add_argument("--size", type=int, help="pixels of a picture's side [the net's own]")
    transfer.add_argument("--seed", type=int, default=0, help="of the draws [0]")
    transfer.add_argument(
        "--source", help="folder like PHOTOS with other classes: adds the rows that learn there first [none]"
    )
    trust(transfer, "the run directory that --net names")
    predict.add_argument("model", help="folder that 'metatl transfer' wrote, or the model/ in it")
    predict.add_argument("photos", nargs="+", help="photos, or folders of them")
    predict.add_argument("--out", help="CSV file [standard output]")
    predict.add_argument("--own", help="dotted path of your own net's class, where the model is one")
    trust(predict, "the model")
    methods.add_argument("--json", action="store_true", help="as JSON")


def trust(parser: argparse.ArgumentParser, what: str) -> None:
    """Give a command the word that lets received files import the modules that they name."""
    parser.add_argument(
        "--trust", action="store_true", help=f"import the modules of somebody's own that {what} names"
    )

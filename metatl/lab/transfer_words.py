"""The words of `metatl transfer`, `metatl predict` and `metatl methods`."""

from __future__ import annotations

import argparse


def add(
    transfer: argparse.ArgumentParser, predict: argparse.ArgumentParser, methods: argparse.ArgumentParser
) -> None:
    """Give the three commands their arguments."""
    transfer.add_argument(
        "data",
        help="folder of photos (<class>/*.jpg, or train|val|test/<class>/*.jpg), texts (*.txt) or recordings "
        "(*.wav); or a table (CSV, TSV, Parquet, npz, or a folder with train.csv and test.csv)",
    )
    transfer.add_argument("--target", help="of a table: column to predict, or several with commas")
    transfer.add_argument("--text", help="of a table: column of the sentences")
    transfer.add_argument(
        "--group", help="of a table: column of the person, hospital, ...; nobody is labelled and judged"
    )
    transfer.add_argument(
        "--adapt-to",
        choices=("data", "group"),
        default="data",
        help="group: learn on some people (or whatever --group says) and adapt to each of the others; data: "
        "learn what DATA ask for, whoever the rows come from [data]",
    )
    transfer.add_argument(
        "--apart",
        help="with --adapt-to group: column of the recording or session; a person is labelled in "
        "some and judged in others [halves at random]",
    )
    transfer.add_argument("--audio", help="of a table: column of wav files, which lie beside it")
    transfer.add_argument("--photo", help="of a table: column of picture files, which lie beside it")
    transfer.add_argument("--drop", help="of a table: columns that are no inputs (an id), with commas")
    transfer.add_argument(
        "--paired",
        metavar="COLUMN",
        help="with --source, of tables: column that calls the same things alike in both (cca) [none]",
    )
    transfer.add_argument("--several", help="what separates labels in one cell of the target (;)")
    transfer.add_argument(
        "--net",
        help="efficientnet_lite0, timm:NAME[@weights file], minilm, hf:FOLDER, my_package.MyNet@weights, a "
        "finished run's directory, or a built-in one (Conv4, ...) [efficientnet_lite0 for photos, minilm for "
        "sentences, none for tables and recordings]",
    )
    counts = "labels of each class [1,2,5,10,all, of sentences 0 too; of real values 10,20,50,100,all]"
    transfer.add_argument("--labelled", help=counts)
    transfer.add_argument("--draws", type=int, default=10, help="draws of the labelled rows [10]")
    transfer.add_argument(
        "--methods",
        help="comma-separated rows, files of your own rows, or usual, all; see 'metatl methods' [usual]",
    )
    saved = "the row of --methods or --sweep whose model is kept [the best]"
    transfer.add_argument("--save", metavar="ROW", help=saved)
    transfer.add_argument("--minutes", type=float, default=10.0, help="time for all of it [10]")
    transfer.add_argument(
        "--out", help="folder for the table, the plots and the model [runs/transfer-<name>]"
    )
    transfer.add_argument("--size", type=int, help="pixels of a picture's side [the net's own]")
    transfer.add_argument("--seed", type=int, default=0, help="of the draws [0]")
    transfer.add_argument(
        "--source",
        action="append",
        help="data like DATA to learn on first, of other classes or other people; given more than once, the "
        "one that an estimate puts first [none]",
    )
    transfer.add_argument(
        "--source-clusters",
        type=int,
        metavar="K",
        help="of a source without the target's column: clusters in the place of its classes "
        "[one for 50 rows, 5 to 30]",
    )
    transfer.add_argument(
        "--sweep", choices=("layers",), help="curves over the blocks that are taken over, and frozen [none]"
    )
    transfer.add_argument(
        "--cluster", type=int, help="number of clusters: group the rows in what was carried over, by no label"
    )
    transfer.add_argument("--teacher", help="a larger net, named as --net is, for distillation [none]")
    trust(transfer, "the run directory that --net names")
    predict.add_argument(
        "model",
        help="folder that 'metatl transfer' wrote, or the model/ in it; with --delta a run directory too",
    )
    predict.add_argument(
        "data", nargs="+", help="photos, recordings or texts, or folders of them; or a table"
    )
    predict.add_argument(
        "--unsure",
        type=float,
        metavar="SHARE",
        help="only the rows that a person should look at: this share, the least sure first [all, in order]",
    )
    predict.add_argument("--out", help="CSV file [standard output]")
    predict.add_argument("--delta", help="what 'metatl personalise' wrote for a person")
    predict.add_argument("--own", help="dotted path of your own net's class, where the model is one")
    trust(predict, "the model")
    methods.add_argument("--json", action="store_true", help="as JSON")


def add_next(words: argparse.ArgumentParser) -> None:
    """Give `metatl next` its arguments."""
    words.add_argument("model", help="folder that 'metatl transfer' wrote, or the model/ in it")
    words.add_argument("data", nargs="+", metavar="pool", help="rows without labels, as for 'metatl predict'")
    words.add_argument("-n", type=int, default=10, help="rows to label next [10]")
    words.add_argument("--out", help="CSV file [standard output]")
    words.add_argument("--own", help="dotted path of your own net's class, where the model is one")
    trust(words, "the model")


def add_net(net: argparse.ArgumentParser) -> None:
    """Give `metatl net` its arguments."""
    net.add_argument(
        "what",
        help="a net as --net of 'metatl transfer' names it; a config; or YAML with model, shape, outputs",
    )
    net.add_argument("--method", help="row of 'metatl methods': what it would move, and the memory of a step")
    net.add_argument("--outputs", type=int, help="rows of the output layer [its own]")
    net.add_argument("--size", type=int, help="pixels of a picture's side [the net's own]")
    net.add_argument("--json", action="store_true", help="as JSON")
    trust(net, "the run directory")


def personalise(parser: argparse.ArgumentParser) -> None:
    """Give the command its arguments."""
    parser.add_argument("base", help="run directory, or a folder that 'metatl transfer' wrote")
    parser.add_argument(
        "examples", help="the person's labelled rows: a file, or a folder, like the base's data"
    )
    parser.add_argument("--out", required=True, help="file for what moved, ada.delta say")
    parser.add_argument("--target", help="of a saved model and a table: column of the classes")
    parser.add_argument("--own", help="dotted path of your own net's class, where the model is one")
    trust(parser, "the base")


def shift(parser: argparse.ArgumentParser) -> None:
    """Give `metatl shift` its arguments."""
    parser.add_argument(
        "source", help="folder of photos or texts, or a table, as 'metatl transfer' reads them"
    )
    parser.add_argument("data", metavar="target", help="the same kind of rows, with or without labels")
    parser.add_argument("--target", help="of tables: column of the labels; the target may lack it")
    parser.add_argument("--text", help="of tables: column of the sentences")
    parser.add_argument("--drop", help="of tables: columns that are no inputs (an id), with commas")
    parser.add_argument(
        "--net",
        help="whose features are compared, as --net of 'metatl transfer' [efficientnet_lite0 for photos, "
        "minilm for sentences, columns as they are for tables]",
    )
    parser.add_argument("--out", help="folder for report.json and shift.png [runs/shift-<source>-<target>]")
    parser.add_argument("--seed", type=int, default=0, help="of halves and permutations [0]")
    trust(parser, "the run directory that --net names")


def multitask(parser: argparse.ArgumentParser) -> None:
    """Give the command its arguments."""
    parser.add_argument(
        "data",
        nargs="+",
        help="a table (CSV, Parquet, npz, ...), several of them with a task each, or a folder of photos with "
        "a CSV that names them",
    )
    parser.add_argument(
        "--targets",
        help="columns to predict, with commas; cells may be empty (of several tables: one of each or all)",
    )
    parser.add_argument("--text", help="column of the sentences, where rows are some")
    parser.add_argument("--drop", help="columns that are no inputs (an id), with commas")
    parser.add_argument("--methods", help="ways, with commas, or all [the usual ones, see docs/command.md]")
    parser.add_argument(
        "--sweep", choices=("shared",), help="a curve over the blocks that all targets share [none]"
    )
    parser.add_argument("--hidden", default="64,64", help="units of each block of the nets [64,64]")
    parser.add_argument(
        "--quantiles",
        action="store_true",
        help="learn quantiles of real values, from 5 to 95 %%, and say how many rows lie between them",
    )
    parser.add_argument(
        "--seeds", type=int, default=5, help="draws of the rows, each with nets of its own [5]"
    )
    parser.add_argument("--steps", type=int, default=300, help="steps of every net [300]")
    parser.add_argument(
        "--minutes",
        type=float,
        default=10.0,
        help="after which no further draw begins; the first is always done [10]",
    )
    parser.add_argument("--out", help="folder for the table and the report [runs/multitask-<name>]")


def trust(parser: argparse.ArgumentParser, what: str) -> None:
    """Give a command the word that lets received files import the modules that they name."""
    parser.add_argument(
        "--trust", action="store_true", help=f"import the modules of somebody's own that {what} names"
    )

"""The words of the command `metatl`: what each subcommand takes, and which of them override a config."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn, final

from metatl.errors import MetatlError
from metatl.lab import affinity_words, transfer_words

ABOUT = {
    "run": "learn (resuming if interrupted), evaluate on meta-test once, write the run directory",
    "benchmark": "run or load each experiment, evaluate all on the same episodes, print and write the table",
    "evaluate": "evaluate a finished run under another protocol",
    "compare": "paired differences between finished runs, with intervals and corrected p-values",
    "profile": "check that the engines give one gradient, then time them side by side",
    "data": "list, verify or download the data sets",
    "transfer": "compare ways of transferring to your photos, texts, recordings or tables, and save the best",
    "shift": "what differs between two domains, by tests, and which ways of transferring to try",
    "affinity": "which task helps which: all transfers between tasks, beside cheap estimates of them",
    "multitask": "learn several targets of the same rows together, beside a net for each, and say who gains",
    "predict": "a line for each photo, sentence, recording or row, by a model that 'metatl transfer' saved",
    "next": "the rows of a pool that are worth a label next: those that a saved model is least sure of",
    "personalise": "adapt a finished run or a saved model to one person, and keep what moved",
    "describe": "keys, defaults and an example of a source, rule, learner, guide, ...; or list them all",
    "methods": "list the rows of 'metatl transfer'",
    "net": "a net layer by layer: shapes, weights, what a method would move, and the memory of a step",
}
OVERRIDING = {
    "run": ("--learn-only", "--again", "--print_config", "--help-config", "--record-diff"),
    "benchmark": ("--out", "--reference", "--no-transfer", "--record-diff"),
    "evaluate": ("--trust", "--record-diff"),
    "profile": (
        "--engines",
        "--device",
        "--out",
        "--repeats",
        "--seconds",
        "--tasks-per-chunk",
        "--no-memory",
    ),
}
"""Commands on configs, with their own options; every other option of theirs is a key of a config."""
_ALONE = (
    *("--learn-only", "--again", "--print_config", "--help-config", "--no-memory", "--help"),
    *("--trust", "--record-diff"),
)


@final
class _Parser(argparse.ArgumentParser):
    """argparse that raises MetatlError in one line instead of leaving with its usage."""

    def error(self, message: str) -> NoReturn:
        said = re.sub(r"invalid int value: (.*)", r"\1 is no whole number", message)
        said = re.sub(r"invalid float value: (.*)", r"\1 is no number", said)
        raise MetatlError(f"{said}; '{self.prog} --help' says how to use it")


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The command's own words, and those that override a config; raises MetatlError for a wrong word."""
    own, overrides = _split(argv)
    words, unknown = parser().parse_known_args(own)
    if unknown:
        raise MetatlError(
            f"unrecognized arguments: {' '.join(unknown)}; 'metatl {words.command} --help' says how to use it"
        )
    return words, overrides


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides `--key value` or `--key=value` may stand anywhere among the command's own words."""
    command = argv[0] if argv else ""
    own, overrides = list(argv[:1]), list[str]()
    if command not in OVERRIDING:
        return list(argv), []
    words = iter(argv[1:])
    for word in words:
        key, equals, _ = word.partition("=")
        known = not word.startswith("--") or key in (*OVERRIDING[command], "--help")
        into = own if known else overrides
        into.append(word)
        if word.startswith("--") and not equals and key not in _ALONE:
            into.extend(value for value in [next(words, None)] if value is not None)
    return own, overrides


def parser() -> argparse.ArgumentParser:
    """The parser of the command's own words."""
    made = _Parser(
        prog="metatl",
        description="Learn what to carry over from old tasks to new ones, and measure whether it helps.",
    )
    made.add_argument("--version", action="store_true", help="say metatl's version and torch's")
    commands = made.add_subparsers(dest="command", metavar="COMMAND")
    of = {
        name: commands.add_parser(name, help=about, description=about + ".", allow_abbrev=False)
        for name, about in ABOUT.items()
    }
    for name in ("run", "benchmark", "evaluate"):
        said = "Any key of a config can be overridden: --learner.steps 100 --adaptation.rule.lr 0.1"
        of[name].epilog = said
        of[name].add_argument(
            "--record-diff",
            action="store_true",
            help="keep uncommitted changes of the repository that tracks metatl's files in provenance.json",
        )
    run, benchmark, profile, data = (of[name] for name in ("run", "benchmark", "profile", "data"))
    run.add_argument("config", nargs="?", help="YAML file, or a row of a grid: grid.yaml/row")
    run.add_argument("--learn-only", action="store_true", help="stop before the evaluation")
    run.add_argument("--again", action="store_true", help="learn anew what is finished already")
    run.add_argument("--print_config", action="store_true", help="print the resolved config and stop")
    run.add_argument("--help-config", action="store_true", help="list every key of a config and stop")
    benchmark.add_argument("configs", nargs="*", help="YAML files, grids with all their rows")
    benchmark.add_argument("--out", help="folder for table.md, report.json and plot.png")
    benchmark.add_argument("--reference", help="method that differences are paired with [fine-tune]")
    benchmark.add_argument("--no-transfer", help="method that says which episodes are harmed [scratch]")
    of["evaluate"].add_argument("run", help="run directory")
    transfer_words.trust(of["evaluate"], "the run directory")
    of["compare"].add_argument(
        "runs", nargs="+", help="run directories; the first is compared with the others"
    )
    _profile_arguments(profile)
    of["describe"].add_argument(
        "what", nargs="?", help="name of a class, ImageFolder say; or a row of transfer"
    )
    data.add_argument("action", choices=("list", "verify", "download"))
    data.add_argument("name", nargs="?", help="data set")
    transfer_words.add(of["transfer"], of["predict"], of["methods"])
    transfer_words.add_next(of["next"])
    affinity_words.add(of["affinity"])
    transfer_words.add_net(of["net"])
    transfer_words.personalise(of["personalise"])
    transfer_words.shift(of["shift"])
    transfer_words.multitask(of["multitask"])
    return made


def _profile_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "workloads",
        nargs="+",
        help="W1, W2, W3, W4, evaluation, scouts, sampling, transfer (T1 to T6, T8, T9), or configs",
    )
    parser.add_argument(
        "--engines",
        help="comma-separated, of batched, loop, auto, higher, learn2learn [batched, loop, installed peers]",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ...")
    parser.add_argument("--out", help="JSON file for the rows; those of other workloads in it stay")
    parser.add_argument("--repeats", type=int, default=7, help="turns that each engine gets at least [7]")
    parser.add_argument("--seconds", type=float, default=10.0, help="time for a row of engines at least [10]")
    parser.add_argument(
        "--tasks-per-chunk", type=int, help="tasks that the batched engine runs at once [all]"
    )
    parser.add_argument(
        "--no-memory",
        dest="memory",
        action="store_false",
        help="skip the memory (a process an engine)",
    )

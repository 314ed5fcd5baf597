"""The command `metatl`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from metatl import benchmark, config
from metatl.run import Run, learn, prepare, report
from metatl.types import MetatlError

_ABOUT = {
    "run": "learn (resuming if interrupted), evaluate on meta-test once, write the run directory",
    "benchmark": "run or load each experiment, evaluate all on the same episodes, print and write the table",
    "evaluate": "evaluate a finished run under another protocol",
    "compare": "paired differences between finished runs, with intervals and corrected p-values",
    "profile": "check that the engines give one gradient, then time them side by side",
    "data": "list, verify or download the data sets",
}


def _run(words: argparse.Namespace, rest: list[str]) -> None:
    if words.help_config or not words.config:
        config.parser("metatl run CONFIG").print_help()
        return
    experiment = config.load(Path(words.config), rest)
    if words.print_config:
        print(config.dump(experiment), end="")
        return
    run = prepare(experiment, rest)
    if words.learn_only:
        learn(run)
        print(f"learned: {run.learned}")
        return
    found = report(run)
    _say(run, found.mean, found.ci95, len(found.scores), found.protocol)


def _say(run: Run, mean: float, ci95: float, episodes: int, protocol: dict[str, object]) -> None:
    mode = "transductive" if protocol["transductive"] else "inductive"
    if protocol["score"] == "accuracy":
        value = f"accuracy {100 * mean:.2f} +- {100 * ci95:.2f} %"
    else:
        value = f"loss {mean:.4f} +- {ci95:.4f}"
    print(f"{run.experiment.name}: {value} ({protocol['split']}, {episodes} episodes, {mode})")
    print(f"run directory: {run.folder}")
    print(f"look at it: tensorboard --logdir {run.folder}")


def _benchmark(words: argparse.Namespace, rest: list[str]) -> None:
    if not words.configs:
        raise MetatlError("benchmark: name at least one config, configs/demo/*.yaml say")
    out = Path(words.out) if words.out else None
    found = benchmark.benchmark(
        [Path(path) for path in words.configs], rest, out, words.reference, words.no_transfer
    )
    print(found.table)
    runs = config.load(Path(words.configs[0]), rest).runs
    if out is not None:
        print(f"\nwritten: {out / 'table.md'}, {out / 'report.json'}, {out / 'plot.png'}")
    print(f"look at every run: tensorboard --logdir {runs}")


def _evaluate(words: argparse.Namespace, rest: list[str]) -> None:
    run = benchmark.run_of(Path(words.run), rest)
    if not run.learned.is_file():
        raise MetatlError(
            f"{words.run} is not finished; 'metatl run {words.run}/config.yaml' goes on with it"
        )
    found = benchmark.evaluated(run)
    _say(run, found.mean, found.ci95, len(found.scores), found.protocol)


def _compare(words: argparse.Namespace, rest: list[str]) -> None:
    _nothing_left(rest)
    found = benchmark.compared([Path(folder) for folder in words.runs])
    print(found)


def _data(words: argparse.Namespace, rest: list[str]) -> None:
    from metatl.data import catalogue

    _nothing_left(rest)
    if words.action == "list":
        for entry in catalogue.catalogue():
            print(entry.line())
    elif words.name is None:
        raise MetatlError(f"data {words.action}: name a data set; 'metatl data list' shows them")
    elif words.action == "verify":
        print(catalogue.verify(words.name))
    else:
        print(catalogue.download(words.name))


def _profile(words: argparse.Namespace, rest: list[str]) -> None:
    from metatl import profile

    written = profile.command(words, rest)
    if written:
        print(written)


def _nothing_left(rest: Sequence[str]) -> None:
    if rest:
        raise MetatlError(f"unknown argument {rest[0]}; see metatl --help")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metatl",
        description="Learn what to carry over from old tasks to new ones, and measure whether it helps.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    made = {
        name: commands.add_parser(name, help=about, description=about + ".") for name, about in _ABOUT.items()
    }
    for name in ("run", "benchmark", "evaluate"):
        made[
            name
        ].epilog = "Any key of a config can be overridden: --learner.steps 100 --adaptation.rule.lr 0.1"
    made["run"].add_argument("config", nargs="?", help="YAML file")
    made["run"].add_argument("--learn-only", action="store_true", help="stop before the evaluation")
    made["run"].add_argument("--print_config", action="store_true", help="print the resolved config and stop")
    made["run"].add_argument("--help-config", action="store_true", help="list every key of a config and stop")
    made["benchmark"].add_argument("configs", nargs="*", help="YAML files")
    made["benchmark"].add_argument("--out", help="folder for table.md, report.json and plot.png")
    made["benchmark"].add_argument("--reference", help="method that differences are paired with [fine-tune]")
    made["benchmark"].add_argument(
        "--no-transfer", help="method that says which episodes are harmed [scratch]"
    )
    made["evaluate"].add_argument("run", help="run directory")
    made["compare"].add_argument(
        "runs", nargs="+", help="run directories; the first is compared with the others"
    )
    _profile_arguments(made["profile"])
    made["data"].add_argument("action", choices=("list", "verify", "download"))
    made["data"].add_argument("name", nargs="?", help="data set")
    return parser


def _profile_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "workloads", nargs="+", help="W1, W2, W3, W4, evaluation, scouts, sampling, or configs"
    )
    parser.add_argument(
        "--engines",
        help="comma-separated, of batched, loop, auto, higher, learn2learn [batched, loop, installed peers]",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ...")
    parser.add_argument("--out", help="JSON file for the rows")
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


_COMMANDS: dict[str, Callable[[argparse.Namespace, list[str]], None]] = {
    "run": _run,
    "benchmark": _benchmark,
    "evaluate": _evaluate,
    "compare": _compare,
    "profile": _profile,
    "data": _data,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 when it did what was asked, 2 for a user's mistake, 130 when interrupted."""
    parser = _parser()
    words, rest = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    if words.command is None:
        parser.print_help()
        return 0
    try:
        _COMMANDS[words.command](words, rest)
    except MetatlError as error:
        print(f"metatl: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("metatl: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())

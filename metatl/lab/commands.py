"""What the command `metatl` does."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from metatl import importing, processes
from metatl.lab import arguments, benchmark, config, grids
from metatl.lab.provenance import recording_diff
from metatl.lab.refusals import guarded
from metatl.lab.run import complete, forget, learn, note, prepare, report
from metatl.lab.said import say_ends, say_report
from metatl.text import say
from metatl.types import MetatlError


def _run(words: argparse.Namespace, rest: list[str]) -> None:
    if not words.config and not words.help_config:
        raise MetatlError("run: name a config, configs/demo.yaml/maml say; --help-config lists all its keys")
    if words.help_config:
        from metatl.lab import families

        say("\n".join(families.config_keys()))
        return
    experiment = config.load(Path(words.config), rest)
    if words.print_config:
        say(config.dump(experiment).rstrip("\n"))
        return
    run = prepare(experiment, rest)
    if words.again:
        forget(run)
    loaded = complete(run)
    if words.learn_only:
        learn(run)
        say(f"learned: {run.learned}")
    else:
        found = report(run)
        say_report(run, found)
        say_ends({found.method: found.facts})
    if loaded:
        note(run)
        say(f"loaded {run.folder}; --again learns anew")


def _benchmark(words: argparse.Namespace, rest: list[str]) -> None:
    if not words.configs:
        raise MetatlError("benchmark: name at least one config, configs/demo.yaml say")
    out = Path(words.out) if words.out else None
    paths = [one for path in words.configs for one in grids.configs(Path(path))]
    found = benchmark.benchmark(paths, rest, out, words.reference, words.no_transfer)
    say(found.table)
    say_ends({row["method"]: row for row in found.rows})
    runs = config.load(paths[0], rest).runs
    if out is not None:
        say("")
        files = ("table.md", "report.json", "plot.png", "report.html")
        say(f"written: {', '.join(str(out / name) for name in files)}")
    say(f"look at every run: tensorboard --logdir {runs}")


def _evaluate(words: argparse.Namespace, rest: list[str]) -> None:
    with importing.received(words.trust):
        run = benchmark.run_of(Path(words.run), rest)
        if not complete(run):
            again = run.named
            where = "" if again.resolve() == Path(words.run).resolve() else f", which lies in {again} then"
            raise MetatlError(
                f"{words.run} is not finished; 'metatl run {words.run}/config.yaml' goes on with it{where}"
            )
        found = benchmark.evaluated(run)
    say_report(run, found)


def _compare(words: argparse.Namespace, rest: list[str]) -> None:
    _nothing_left(rest)
    found = benchmark.compared([Path(folder) for folder in words.runs])
    say(found)


def _data(words: argparse.Namespace, rest: list[str]) -> None:
    from metatl.data import catalogue

    _nothing_left(rest)
    if words.action == "list":
        _nothing_left([words.name] if words.name else [])
        for entry in catalogue.catalogue():
            say(entry.line())
    elif words.name is None:
        raise MetatlError(f"data {words.action}: name a data set; 'metatl data list' shows them")
    elif words.action == "verify":
        say(catalogue.verify(words.name))
    else:
        say(catalogue.download(words.name))


def _profile(words: argparse.Namespace, rest: list[str]) -> None:
    from metatl import profile

    written = profile.command(words, rest)
    if written:
        say(written)


def _describe(words: argparse.Namespace, rest: list[str]) -> None:
    from metatl.lab import families

    _nothing_left(rest)
    from metatl.transferring import rows

    row = rows.files().get(words.what or "")
    for line in rows.told(row) if row else families.told(words.what):
        say(line)


def _nothing_left(rest: Sequence[str]) -> None:
    if rest:
        raise MetatlError(f"unknown argument {rest[0]}; see metatl --help")


_COMMANDS: dict[str, Callable[[argparse.Namespace, list[str]], None]] = {
    "run": _run,
    "benchmark": _benchmark,
    "evaluate": _evaluate,
    "compare": _compare,
    "profile": _profile,
    "data": _data,
    "describe": _describe,
}
_ELSEWHERE = {
    "transfer": ("transferring.command", "transfer"),
    "predict": ("transferring.command", "predict"),
    "next": ("transferring.command", "label_next"),
    "methods": ("transferring.command", "methods"),
    "personalise": ("transferring.person", "personalise"),
    "net": ("transferring.net_command", "net"),
    "affinity": ("affinity.command", "command"),
    "shift": ("shifts.command", "shift"),
    "multitask": ("multitasking.command", "multitask"),
}
"""Commands that rooms have themselves: module and function, imported when they are asked for."""


def _done(name: str, words: argparse.Namespace, overrides: list[str]) -> None:
    if name in _COMMANDS:
        _COMMANDS[name](words, overrides)
    else:
        module, function = _ELSEWHERE[name]
        getattr(importlib.import_module(f"metatl.{module}"), function)(words)


def main(words: Sequence[str], last: bool) -> int:
    """Run the command of these words; 0 when it did what was asked, 2 for a user's mistake, 130 interrupted.

    last: whether the process ends with it.
    """
    code = guarded(lambda: _command(words))
    if last:  # another Ctrl-C has nothing to interrupt
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def _command(said: Sequence[str]) -> None:
    with processes.job(), importing.command():
        words, overrides = arguments.parse(said)
        if words.command is None:
            arguments.parser().print_help()
            return
        processes.agree({f"the command's {name}": value for name, value in _structure(words)})
        with recording_diff(getattr(words, "record_diff", False)):
            _done(words.command, words, overrides)
        sys.stdout.flush()


def _structure(words: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """What of the command says how often processes meet: its name, its switches, how many things it names."""
    for name, value in vars(words).items():
        if name == "command" or isinstance(value, bool | list):
            yield name, len(value) if isinstance(value, list) else value

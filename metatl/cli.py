"""The command `metatl`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from metatl import arguments, benchmark, config, processes
from metatl.run import Run, learn, prepare, report
from metatl.types import MetatlError


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
        _nothing_left([words.name] if words.name else [])
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


_SMALLER = "lower meta_batch, evaluation.chunk or the model, or set engine.init_args.tasks_per_chunk"
_TOO_LARGE = ("can't allocate memory", "overflow", "cannot be represented as a SymInt")
"""What torch says of tensors that are larger than memory, and of those whose size is no number any more."""
_COMMANDS: dict[str, Callable[[argparse.Namespace, list[str]], None]] = {
    "run": _run,
    "benchmark": _benchmark,
    "evaluate": _evaluate,
    "compare": _compare,
    "profile": _profile,
    "data": _data,
}


def _see_own_modules() -> None:
    """Let a config name classes of modules in the working directory, as `python -m` would."""
    with suppress(OSError):
        here = os.getcwd()
        if here not in sys.path:
            sys.path.append(here)  # last: a file here must not stand in front of an installed module


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 when it did what was asked, 2 for a user's mistake, 130 when interrupted."""
    try:
        _see_own_modules()
        with processes.job():
            words, overrides = arguments.parse(sys.argv[1:] if argv is None else argv)
            if words.command is None:
                arguments.parser().print_help()
                return 0
            _COMMANDS[words.command](words, overrides)
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return _refused("interrupted; the same command goes on from the last checkpoint", 130)
    except MetatlError as error:
        return _refused(str(error))
    except processes.LostError as error:
        return _refused(str(error), 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refused(f"{where}{error.strerror or error}; mend that and run the same command again")
    except (MemoryError, torch.OutOfMemoryError) as error:
        return _refused(f"out of memory ({_first_line(error)}); {_SMALLER}")
    except RuntimeError as error:
        if not any(said in str(error) for said in _TOO_LARGE):
            raise
        return _refused(f"out of memory ({_first_line(error)}); {_SMALLER}")
    return 0


def _refused(why: str, code: int = 2) -> int:
    said = " ".join(why.split())
    # A name in it may hold what moves a terminal's cursor, or cannot be encoded.
    print("metatl: " + "".join(c if c.isprintable() else repr(c)[1:-1] for c in said), file=sys.stderr)
    return code


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "the machine gave no more")


if __name__ == "__main__":
    sys.exit(main())

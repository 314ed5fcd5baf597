"""Draws the pictures of docs/lectures.md: all of them, or those that are named.

    python -m examples.lectures [NAME ...] [--out docs/lectures]

Half a minute of one core for all; scikit-learn is needed (`pip install 'metatl[tables]'`). Every picture is
the same each time on one machine.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from examples.lectures.style import png
from metatl.lab import store
from metatl.threads import few_threads

NAMES = (
    "two_points", "representation", "layers", "domains", "dann", "lora", "sharing", "few_examples",
)  # fmt: skip
"""A module of this folder each, in the order of the page."""


def main(words: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Draw, write and say the numbers of each picture, which are also given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--out", default="docs/lectures", help="folder [docs/lectures]")
    given, found = parser.parse_args(words), dict[str, dict[str, float]]()
    for name in given.names:
        if name not in NAMES:
            parser.error(f"there is no picture {name!r}; there are {', '.join(NAMES)}")
    store.make_folder(Path(given.out))
    for name in given.names or NAMES:
        with few_threads(True):  # sums over more threads differ in the last digit
            try:
                drawn = importlib.import_module(f"examples.lectures.{name}").draw()
            except ModuleNotFoundError as error:
                parser.error(f"{name} needs scikit-learn ({error.name}): pip install 'metatl[tables]'")
        store.write_atomic(Path(given.out) / f"{name}.png", png(drawn.figure))
        found[name] = drawn.numbers
        print(f"{name}: {', '.join(f'{what} {value:.3g}' for what, value in drawn.numbers.items())}")
    return found


if __name__ == "__main__":
    main()

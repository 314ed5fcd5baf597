"""What the package and its help cost beside torch's own import: whole processes, in turns."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from metatl.lab import record
from metatl.profile.timing import interleaved, turns

CODE = {
    "torch": ("-c", "import torch"),
    "import": ("-c", "from metatl import Net, evaluate"),
    "help": ("-m", "metatl", "--help"),
}


def imported(names: Sequence[str], device: str, repeats: int) -> list[dict[str, Any]]:
    """T9: `from metatl import Net, evaluate` and `metatl --help`, each a process, beside `import torch`."""
    calls = {name: functools.partial(_process, *words) for name, words in CODE.items()}
    with record.bar("timing T9", turns(len(calls), repeats), "turn") as progress:
        seconds = interleaved(calls, repeats, 0.0, "cpu", progress)
    return [
        {
            "name": "T9",
            **{f"{name}_seconds": round(value, 3) for name, value in seconds.items()},
            "ratio": round(seconds["import"] / seconds["torch"], 3),
            "help_ratio": round(seconds["help"] / seconds["torch"], 3),
        }
    ]


def _process(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)

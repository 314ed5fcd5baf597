"""Run the pages of docs/start-*.md as they stand, and put what their first command says now into them.

    python scripts/start_pages.py                # all of them: about five minutes of one core
    python scripts/start_pages.py table people   # these

The block of what a command said keeps its rows, those of the methods that it names; their numbers are new.
They depend on how much the machine does in the minutes that the page gives, so what a page says of them is
to be read again afterwards.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.M | re.S)


def said(page: str, folder: Path) -> dict[str, str]:
    """What each command of a page, run in `folder`, writes to its output, by the command's name."""
    found, paths = dict[str, str](), [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    for language, text in FENCE.findall(page):
        lines = [["-c", text]] if language == "python" else []
        if language == "sh":
            lines = [["-m", *shlex.split(line)] for line in text.splitlines()]
        for given in lines:
            files = {word: glob.glob(word, root_dir=folder) for word in given[2:] if "*" in word}
            words = [one for word in given for one in files.get(word, [word])]
            program = [sys.executable, *words]
            done = subprocess.run(program, cwd=folder, env=own, check=True, stdout=subprocess.PIPE, text=True)
            found[words[2] if words[0] == "-m" else "python"] = done.stdout
    return found


def shown(block: str, output: str) -> str:
    """Of an output's table the columns and the rows that a block has, as the output says them now."""
    lines, wanted = output.splitlines(), re.split("  +", block.splitlines()[0].strip())
    tables = {i: re.split("  +", line.strip()) for i, line in enumerate(lines) if line.startswith("method ")}
    first, heads = [(i, heads) for i, heads in tables.items() if {*wanted} <= {*heads}][-1]
    names = [line.split()[0] for line in block.splitlines()]
    rows = {line.split()[0]: line for line in reversed(lines[first:]) if line.strip()}
    if wanted == heads:  # set as it was
        return "".join(f"{rows[name].rstrip()}\n" for name in names)
    found = [re.split("  +", rows[name].strip()) for name in names]
    cells = [[row[heads.index(column)] for column in wanted] for row in found]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    told = list[str]()
    for name, *numbers in cells:
        set_right = (one.rjust(width) for one, width in zip(numbers, widths[1:], strict=True))
        told.append("  ".join([name.ljust(widths[0]), *set_right]) + "\n")
    return "".join(told)


def main(names: list[str]) -> None:
    for path in sorted((ROOT / "docs").glob("start-*.md")):
        if names and path.stem.removeprefix("start-") not in names:
            continue
        page = path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            output = said(page, Path(folder))
        for command, text in output.items():
            sys.stdout.write(f"== {path.name}: {command}\n{text}")
        (block,) = (text for language, text in FENCE.findall(page) if language == "text")
        path.write_text(page.replace(block, shown(block, output["transfer"])), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

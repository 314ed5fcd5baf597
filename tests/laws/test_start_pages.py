"""What a getting-started page shows of a command's output is what the command said."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGES: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "start_pages.py"))
OUTPUT = """Accuracy in percent

method  1 label           2 labels  all labels
ridge   53.3 [44.2, 62.2]     64.2        95.9
trees   51.0 [40.2, 60.2]     60.0       100.0
the minutes did not reach 3 fits
trees chose options.k 1, an end, in 2 of 3 draws.
"""


def test_columns_and_rows_of_the_page_get_the_numbers_of_the_output() -> None:
    block = "method  1 label  all labels\ntrees  1.0  2.0\n"
    said = "method            1 label  all labels\ntrees   51.0 [40.2, 60.2]       100.0\n"
    assert PAGES["shown"](block, OUTPUT) == said
    assert PAGES["shown"](said, OUTPUT) == said


def test_a_whole_table_stays_as_it_was_set() -> None:
    table = "".join(OUTPUT.splitlines(keepends=True)[2:5])
    assert PAGES["shown"](table.replace("53.3", "1.1"), OUTPUT) == table


def test_every_page_has_one_table_of_what_was_said() -> None:
    for path in sorted((ROOT / "docs").glob("start-*.md")):
        found = PAGES["FENCE"].findall(path.read_text(encoding="utf-8"))
        (block,) = (text for language, text in found if language == "text")
        assert PAGES["shown"](block, block) == block, path.name

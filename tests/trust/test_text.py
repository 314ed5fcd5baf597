"""Names that say more than a name: nothing of them reaches a terminal, a table or a page but as text."""

from __future__ import annotations

import html as standard
import io
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from metatl import text
from metatl.lab import render, store
from metatl.lab.record import Console
from metatl.transferring import plots, tables
from metatl.types import MetatlError
from tests.commands import WAVES, metatl, written

HOSTILE = "a\x1b[31m\x07\n\r\x9b2J<script>x</script>|`b`[c](d)\u202e\u2066$\\frac{$"
"""Escapes, a bell, newlines, a C1 control, HTML, a table's bar, code, a link, turned text, a formula."""


def harmless(said: str) -> bool:
    """Whether a terminal shows it as it is, line by line."""
    return all(c in "\n " or c.isprintable() or unicodedata.category(c) == "Zs" for c in said)


def in_markdown(said: str) -> bool:
    bare = re.sub(r"\\[\\|`*\[\]~$_]", "", said)
    return (
        harmless(said) and "<script" not in said and "|" not in bare and "`" not in bare and "[" not in bare
    )


@given(st.text())
def test_every_text_has_every_form(name: str) -> None:
    assert harmless(text.terminal(name))
    assert "\n" not in text.terminal(name)
    assert in_markdown(text.markdown(name))
    assert standard.unescape(text.html(name)) == text.terminal(name)
    assert not set(text.html(name)) & set("<>\"'")
    assert "$" not in text.drawn(name).replace(r"\$", "")


@pytest.mark.parametrize("name", ["fine-tune", "läßt_das", "日本\u3000語", "a (b), 50 %: c/d", "x_y z"])
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    assert {text.terminal(name), text.markdown(name), text.html(name), text.drawn(name)} == {name}


@given(st.text())
def test_html_of_a_name_holds_no_element(name: str) -> None:
    class Elements(HTMLParser):
        found = 0

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found += tag != "b"

    page = Elements()
    page.feed(f'<b title="{text.html(name)}">{text.html(name)}</b>')
    assert page.found == 0


def test_an_error_is_one_line_of_text() -> None:
    assert harmless(str(MetatlError(HOSTILE)))
    assert "\n" not in str(MetatlError(HOSTILE))


def test_a_name_in_the_commands(tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one = written(tmp_path, {"name": HOSTILE, **WAVES}, "a.yaml")
    two = written(tmp_path, {"name": "b", "family": HOSTILE, **WAVES}, "b.yaml")
    for words in (
        ["run", one], ["run", one, "--print_config"],
        ["benchmark", one, two, "--out", HOSTILE.replace("/", "")], ["benchmark", one, one],
        ["run", HOSTILE], ["evaluate", HOSTILE], ["compare", HOSTILE], [HOSTILE],
        ["run", one, f"--{HOSTILE}", "1"], ["run", one, "--device", HOSTILE],
        ["run", one, "--learner", HOSTILE], ["predict", HOSTILE, HOSTILE], ["transfer", HOSTILE],
        ["data", "verify", HOSTILE], ["profile", HOSTILE],
    ):  # fmt: skip
        said = metatl(*words)
        assert harmless(said.out), words
        assert all(harmless(line) for line in said.lines), words
        assert len(said.lines) <= 1
    folders = [path.parent for path in (tmp_path / "runs").rglob("report.json")]
    assert harmless(metatl("compare", *folders).out)
    table = next(tmp_path.rglob("table.md")).read_text()
    row = next(line for line in table.splitlines() if line.startswith("| ") and "script" in line)
    assert harmless(table)
    assert "<script" not in table
    assert len(re.findall(r"(?<!\\)\|", row)) == 11


def test_a_report_of_somebody_else(tmp_path: Path) -> None:
    """Everything that its table and its plot print is a string of the file."""
    protocol = dict.fromkeys(("data", "split", "unit", "interval", "reference", "episodes_hash"), HOSTILE)
    row: dict[str, Any] = {
        "method": HOSTILE, "family": HOSTILE, "accuracy": 50.0, "ci95": 1.0, "transductive": True, "p": 1.0,
        "difference": 0.0, "difference_ci95": 1.0, "harmed": 0.0, "worst_decile": 1.0,
        "selected": {HOSTILE: HOSTILE},
    }  # fmt: skip
    rows = [row, {**row, "method": HOSTILE + "2"}]
    table = render.markdown(rows, protocol)
    assert harmless(table)
    assert "<script" not in table
    assert harmless(render.console(rows, protocol))
    render.png(render.benchmark_plot(rows, protocol))
    render.png(render.learning_curves({HOSTILE: ([1, 2], [3, 4])}, title=HOSTILE))


def test_a_bar_of_a_hostile_name() -> None:
    stream = io.StringIO()
    bar = Console(10, label=HOSTILE, stream=stream)
    bar.warn(HOSTILE, 3)
    bar.tick(10)
    bar.close()
    assert "script" in stream.getvalue()
    assert harmless(stream.getvalue().replace("\r", ""))


def photos(folder: Path) -> Path:
    """Classes and files with names of that kind."""
    draw = np.random.default_rng(0)
    name = HOSTILE.replace("/", "")
    for place, kind in enumerate((name, "b")):
        (folder / kind).mkdir(parents=True)
        for i in range(6):
            pixels = draw.integers(0, 100, (20, 20, 3)).astype(np.uint8)
            pixels[..., place] += 120
            Image.fromarray(pixels).save(folder / kind / f"{i}{name}.png")
    (folder / name / f"bad{name}.png").write_bytes(b"nothing")
    return folder


def test_photos_with_hostile_names(tmp_path: Path, cache_home: Path) -> None:
    out = tmp_path / "out"
    words = ["--net", "Conv4", "--size", "20", "--methods", "ridge,nearest-centroid", "--draws", "2"]
    place = photos(tmp_path / HOSTILE.replace("/", ""))
    said = metatl("transfer", place, "--out", out, "--minutes", "1", *words)
    assert said.code == 0, said
    assert harmless(said.out)
    assert all(map(harmless, said.lines))
    table = (out / "table.md").read_text()
    assert harmless(table)
    assert "<script" not in table
    found = metatl("predict", out, place)
    assert found.code == 0
    assert harmless(found.out)
    assert all(map(harmless, found.lines))
    assert len(found.out.splitlines()) == 14, "a line for every photo, those that cannot be read too"
    metatl("predict", out, place, "--out", tmp_path / "a.csv")
    assert str(place) in (tmp_path / "a.csv").read_bytes().decode(), (
        "a program finds the files by their names"
    )
    report = store.read_json(out / "report.json")
    assert harmless(tables.console(report))
    render.png(plots.scores(report))

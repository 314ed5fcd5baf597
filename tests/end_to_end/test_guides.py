"""Getting started, how-to pages and CONTRIBUTING: every fenced block is run as it stands, page by page."""

from __future__ import annotations

import csv
import glob
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from metatl.transferring import transfer as transferring
from tests.commands import Said, metatl
from tests.conftest import ROOT
from tests.photos import drawn

FENCE = re.compile(r'^```(\w*)(?: title="([\w.-]+)")?\n(.*?)^```$', flags=re.M | re.S)
SHOWN = ("text", "")
"""Languages of blocks that nobody runs: what a command said, commands of make."""
SMALL = {
    "docs/start-photos.md": ("--net", "Conv4", "--size", "32", "--methods", "nearest-centroid,ridge"),
    "docs/start-table.md": ("--methods", "nearest-centroid,logistic-regression", "--draws", "2"),
    "docs/start-sentences.md": ("--net", "hf:net", "--methods", "zero-shot,nearest-centroid"),
    "docs/start-people.md": ("--methods", "kl-anchor", "--labelled", "2", "--draws", "1"),
    "CONTRIBUTING.md": (
        "--net",
        "Conv4",
        "--size",
        "32",
        "--labelled",
        "all",
        "--draws",
        "1",
        "--minutes",
        "9",
    ),
}
"""Words that are put behind a page's `metatl transfer`, so that it takes seconds."""
LONGEST = 40


class Block(NamedTuple):
    """A fenced block; file: what it is the content of."""

    language: str
    file: str
    text: str


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [Block(*one) for one in FENCE.findall(text)]
    assert len(found) * 2 == len(re.findall("^```", text, flags=re.M)), f"{page}: a fence that is not read"
    return found


class Page:
    """The blocks of a page, run in their order in the working directory."""

    def __init__(self, page: str) -> None:
        self.names: dict[str, Any] = {}
        self.said: dict[str, Said] = {}
        for block in blocks(page):
            if block.file:
                Path(block.file).write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                exec(compile(block.text, page, "exec"), self.names)
            elif block.language == "sh":
                for line in block.text.splitlines():
                    self.command(line, SMALL.get(page, ()))
            else:
                assert block.language in SHOWN, block

    def command(self, line: str, small: tuple[str, ...]) -> None:
        program, *words = shlex.split(line)
        assert program == "metatl"
        words = [one for word in words for one in (sorted(glob.glob(word)) if "*" in word else [word])]
        if words[0] == "transfer":
            words += ["--minutes", "0.15", *small]
        self.said[words[0]] = found = metatl(*words)
        assert found.code == 0, (line, found)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: None) -> Iterator[Path]:
    """An empty working directory, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    torch.set_num_threads(1)
    yield tmp_path
    for name in ("poly", "test_poly", "my_losses", "my_nets"):
        sys.modules.pop(name, None)


def labels(file: Path) -> list[str]:
    return [row["label"] for row in csv.DictReader(file.read_text().splitlines())]


def test_photos(here: Path) -> None:
    pytest.importorskip("sklearn")
    page = Page("docs/start-photos.md")
    assert len(list((here / "photos").rglob("*.png"))) == 147, "the page says so"
    assert len(labels(here / "predictions.csv")) == 32, "the page says so"
    assert set(labels(here / "predictions.csv")) <= {"3", "8", "9"}
    assert {"report.html", "mistakes.png", "table.md"} <= {path.name for path in (here / "digits").iterdir()}
    assert len(page.said["next"].out.splitlines()) == 6


def test_a_table(here: Path) -> None:
    pytest.importorskip("sklearn")
    datasets = pytest.importorskip("sklearn.datasets")
    page = Page("docs/start-table.md")
    assert len((here / "wine.csv").read_text().splitlines()) == 149, "the page says so"
    true = datasets.load_wine(as_frame=True).frame.sample(frac=1, random_state=0)["target"][:30]
    right = sum(int(a) == b for a, b in zip(labels(here / "predictions.csv"), true, strict=True))
    assert right >= 24, "of 30; chance is 10"
    assert len(page.said["predict"].out.splitlines()) == 1 + 3, "a tenth of 30"


def test_sentences(here: Path) -> None:
    pytest.importorskip("transformers")
    from tests import tiny_texts

    tiny_texts.folder(here / "net")
    page = Page("docs/start-sentences.md")
    assert len((here / "said.csv").read_text().splitlines()) == 17, "the page says sixteen"
    assert "zero-shot" in page.said["transfer"].out
    assert len(page.said["predict"].out.splitlines()) == 3


def test_people(here: Path) -> None:
    pytest.importorskip("sklearn")
    page = Page("docs/start-people.md")
    assert "accuracy over 4 groups" in page.said["transfer"].out, "the page says so"
    assert set(labels(here / "predictions.csv")) == {"no", "yes"}
    true = [row["word"] for row in csv.DictReader((here / "later.csv").read_text().splitlines())]
    assert sum(a == b for a, b in zip(labels(here / "predictions.csv"), true, strict=True)) >= 14, "of 20"


def test_own_data(here: Path) -> None:
    page = Page("docs/own-data.md")
    assert "accuracy" in page.said["run"].out
    assert tuple(page.names["episodes"].support.x.shape) == (4, 6, 3, 16), "the page says so"
    assert tuple(page.names["episodes"].query.y.shape) == (4, 15)


def test_the_words_of_own_data_are_there() -> None:
    import metatl as package
    from metatl.lab import families

    table = (ROOT / "docs/own-data.md").read_text(encoding="utf-8").split("\n\n")[1]
    sources = re.findall(r"\| `([A-Z]\w+)` \|", table)
    assert len(sources) == 8
    assert set(sources) <= set(families.members("source"))
    assert callable(package.Classifier.fit)


def test_own_loss(here: Path) -> None:
    page = Page("docs/own-loss.md")
    assert "run" in page.said
    x, y, fitted, net = (page.names[name] for name in ("x", "y", "fitted", "net"))
    assert (net(fitted, net.start().buffers, x) - y).mean() > 0.02, "errors that are too low weigh twice"
    assert bool((page.names["output"].grad.abs().sum(0) > 0).all()), "no output is left out"


def test_own_net(here: Path) -> None:
    drawn(here / "photos", {"train": 6, "test": 4})
    page = Page("docs/own-net.md")
    assert "16" in page.said["net"].out
    assert "accuracy" in page.said["run"].out
    (run,) = (here / "runs" / "own").iterdir()
    words = ["--methods", "ridge", "--draws", "1"]
    said = metatl("transfer", "photos", "--net", f"my_nets.Perceptron@{run}", *words)
    assert said.code == 0, said


def test_contributing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example is at most 40 lines, keeps its laws, runs from its config, and is a row like the others."""
    monkeypatch.setattr(transferring, "VALIDATING", 0.0)  # rates are not chosen: minutes become seconds
    drawn(here / "photos", {"train": 6, "test": 4})
    page = Page("CONTRIBUTING.md")
    assert max(len(block.text.splitlines()) for block in blocks("CONTRIBUTING.md")) <= LONGEST
    runpy.run_path("test_poly.py")["test_poly"]()
    assert "accuracy" in page.said["run"].out
    assert "poly-1" in page.said["transfer"].out


def test_contributing_notices_a_broken_method(here: Path) -> None:
    texts = {block.file: block.text for block in blocks("CONTRIBUTING.md") if block.file}
    for file in ("poly.py", "test_poly.py"):
        (here / file).write_text(texts[file].replace("self.epsilon *", "self.epsilon * output.size(0) *"))
    with pytest.raises(AssertionError):
        runpy.run_path("test_poly.py")["test_poly"]()


def test_every_page_is_in_the_navigation() -> None:
    """Those of docs/ by hand, but for methods.md, which scripts/docs_pages.py puts there."""
    told = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    made = {"index.md", "contributing.md", "own-method.md", "ways.md"}
    in_docs = {path.name for path in (ROOT / "docs").glob("*.md")} - {"methods.md"}
    assert set(re.findall(r"(?<=[ [])[\w-]+\.md", told)) == in_docs | made


def test_no_language_is_passed_over() -> None:
    pages = [*SMALL, "docs/own-data.md", "docs/own-loss.md", "docs/own-net.md"]
    known = {"python", "sh", "yaml", *SHOWN}
    assert {block.language for page in pages for block in blocks(page)} <= known
    assert all(block.file for page in pages for block in blocks(page) if block.language == "yaml")

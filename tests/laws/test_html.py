"""Laws of a page: whatever a name holds is shown as it is; nothing runs or is fetched; same bytes twice."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from metatl import text
from metatl.adapt import formulas
from metatl.lab.render import html, learning_curves

NAMES = (
    '<script>alert("x")</script>',
    '\'" onload=alert(1) x="',
    "</td></table></style><img src=x onerror=alert(1)>",
    "two\nlines\ttab",
    "\x1b[31mred\x1b[0m \x07",
    "\u202ebackwards",
    "&amp; &lt;b&gt; <!-- -->",
    "http://example.com/x.png",
    "\udcff lone",
    "für Ärzte 猫",
)


class Page(HTMLParser):
    """Tags with their attributes, and the text inside every element of each kind."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]][-1] += data


def harmless(content: str) -> Page:
    """The page as a browser reads it: balanced, nothing that runs or is fetched."""
    read = Page(content)
    assert not read.open
    content.encode()
    for tag, attributes in read.tags:
        assert tag not in ("script", "iframe", "object", "embed", "link", "base", "form", "svg"), tag
        for key, value in attributes.items():
            assert not key.startswith("on")
            assert key not in ("src", "href", "action") or str(value).startswith("data:image/")
            if key == "style":
                assert re.fullmatch(r"background: rgba\(var\(--hue\), [\d.]+\)", str(value))
    style = read.texts["style"][0]
    assert "url(" not in style
    assert "@import" not in style
    return read


def jpeg() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(stream, "jpeg")
    return stream.getvalue()


MAKERS: dict[str, Callable[[str], html.Html]] = {
    "headline": lambda name: html.headline(name, name),
    "paragraph": html.paragraph,
    "table": lambda name: html.table([{name: name, "b": [name, {name: 1}]}], {name: name, "b": name}),
    "facts": lambda name: html.facts({name: name, "b": {name: {name: name}}}),
    "confusion": lambda name: html.confusion([[3, 1], [0, 2]], [name, "b"]),
    "confused pairs": lambda name: html.confusion(np.ones((30, 30)), [f"{name}{i}" for i in range(30)]),
    "examples": lambda name: html.examples([(name, name), ([(name, name)], name), (jpeg(), name)]),
    "command": lambda name: html.command(["metatl", "run", name]),
    "notes": lambda name: html.notes([name]),
    "folded": lambda name: html.folded(name, html.notes([name])),
    "figure": lambda name: html.figure(jpeg(), name),
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_text(maker: str, name: str) -> None:
    make = MAKERS[maker]
    plain, read = (harmless(html.page(said, [html.Section(said, make(said))])) for said in ("plain", name))
    assert [tag for tag, _ in read.tags] == [tag for tag, _ in plain.tags]
    assert read.texts["title"] == read.texts["h1"] == read.texts["h2"] == [text.terminal(name)]


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_is_its_name(name: str) -> None:
    read = harmless(
        html.page("x", [html.Section("", html.table([{"a": name, "b": name}], {"a": name, "b": "b"}))])
    )
    assert read.texts["td"] == [text.terminal(name)] * 2
    assert read.texts["th"] == [text.terminal(name), "b"]


def test_numbers_none_and_what_is_html_already() -> None:
    values = [None, float("nan"), 1.23456, True, np.int64(7), ["a", 1], {}, html.element("b", "<")]
    said = ["–", "–", "1.235", "yes", "7", "a, 1", "–", "<b>&lt;</b>"]
    assert [str(html.shown(value)) for value in values] == said


def test_what_is_empty_is_left_out() -> None:
    empty = [
        *(html.table([], ["a"]), html.notes([]), html.command([]), html.examples([]), html.facts({})),
        *(html.calibration([], []), html.confusion(np.zeros((2, 2)), "ab"), html.folded("x", html.Html())),
        html.side_by_side(html.Html()),
    ]
    read = harmless(html.page("x", [html.Section("left out", body) for body in empty]))
    assert "h2" not in read.texts


def test_long_tables_fold_their_rest() -> None:
    read = harmless(html.page("x", [html.Section("", html.table([{"a": i} for i in range(100)], ["a"]))]))
    assert read.texts["td"] == [str(i) for i in range(100)]
    assert read.texts["summary"] == ["40 more rows"]


def test_calibration_error_is_that_of_the_formula() -> None:
    probability, right = [0.95, 0.95, 0.55, 0.55, 1.0], [1, 0, 1, 0, 1]
    # bin [0.9, 1]: 3 of 5, mean 2.9/3, share 2/3; bin [0.5, 0.6): 2 of 5, mean 0.55, share 0.5
    expected = 3 / 5 * (2.9 / 3 - 2 / 3) + 2 / 5 * 0.05
    assert html.calibration_error(probability, right) == pytest.approx(expected)
    assert html.calibration_error(np.ones(9), np.ones(9)) == 0.0
    said = harmless(html.page("x", [html.Section("", html.calibration(probability, right))]))
    assert said.texts["figcaption"][0].startswith("Expected calibration error 20.0 %")


def test_confusion_shows_its_counts_or_the_worst_pairs() -> None:
    read = harmless(html.page("x", [html.Section("", html.confusion([[3, 1], [0, 2]], ["cat", "dog"]))]))
    assert read.texts["td"] == ["3", "1", "", "2"]
    counts = np.diag(np.full(40, 5))
    counts[3, 7], counts[9, 2] = 4, 6
    read = harmless(html.page("x", [html.Section("", html.confusion(counts, [f"c{i}" for i in range(40)]))]))
    assert read.texts["td"] == ["c9", "c2", "6", "11", "c3", "c7", "4", "9"]
    with pytest.raises(ValueError, match="2 names"):
        html.confusion(np.zeros((3, 3)), ["a", "b"])


def test_the_same_bytes_twice_and_pictures_inside() -> None:
    def made() -> str:
        curve = learning_curves({"a": ([0, 1, 2], [0.1, 0.4, 0.3])})
        body = html.side_by_side(html.figure(curve, "curve"), html.calibration([0.7, 0.9], [0, 1]))
        return html.page("x", [html.Section("pictures", body)])

    first = made()
    assert first == made()
    shown = [attributes for tag, attributes in harmless(first).tags if tag == "img"]
    contents = [base64.b64decode(str(one["src"]).partition(",")[2]) for one in shown]
    assert len(contents) == 2
    assert all(content.startswith((b"<?xml", b"\x89PNG")) for content in contents)
    assert not any(b"dc:date" in content for content in contents)


def test_calibration_error_is_the_score_of_that_name() -> None:
    output = torch.randn(200, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.arange(200) % 4
    probability, named = output.softmax(1).max(1)
    expected = formulas.calibration_error(formulas.ScoredRows(output, y))
    assert html.calibration_error(probability.numpy(), (named == y).numpy()) == pytest.approx(expected)

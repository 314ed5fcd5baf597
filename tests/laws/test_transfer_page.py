"""report.html of a transfer says what report.json says, as text, and the same bytes twice."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from metatl import text
from metatl.lab.render import html
from metatl.transferring.page import page
from tests.laws.test_html import NAMES, harmless, jpeg


def found(name: str, **protocol: Any) -> dict[str, Any]:
    def row(method: str, labelled: Any, score: float, **more: Any) -> dict[str, Any]:
        told = dict(method=method, labelled=labelled, draws=3, score=score, ci95=[score - 1, score + 2])
        told |= dict(difference=None, difference_ci95=None, p=None, diverged=0, harmed=None, moved=False)
        return told | {"selected": {"how": ["cv"], "values": {name: {"0.1": 2, "1": 1}}}} | more

    gap = dict(difference=-2.5, difference_ci95=[-4.0, -1.0], p=0.0004, diverged=2)
    rows = [row("ridge", 1, 70.0), row(name, 1, 67.5, **gap), row("ridge", "all", 90.25)]
    saved = {
        "method": "ridge",
        "how": name,
        "selected": {name: 0.1},
        "validation": {"ridge": 91.0, name: None},
    }
    missing = [{"method": name, "labelled": "all", "draws_missing": 2, "draws_done": 1}]
    told = {"data": name, "reference": "ridge", "saved": saved, "missing": missing, "notes": [name]}
    told |= {
        "left_out": [name],
        "command": ["python", "-m", "metatl", "transfer", name],
        "meaning": {"p": name},
    }
    return {
        "protocol": {**told, "classes": [name, "b"], "versions": {"torch": "2"}, **protocol},
        "rows": rows,
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_text(name: str) -> None:
    pictures = {"plot.png": jpeg(), "mistakes.png": jpeg()}
    read, plain = (harmless(page(found(said), pictures)) for said in (name, "plain"))
    assert [tag for tag, _ in read.tags] == [tag for tag, _ in plain.tags]
    assert text.terminal(name) in read.texts["td"]
    shown = [one["src"] for tag, one in read.tags if tag == "img"]
    assert [base64.b64decode(str(src).partition(",")[2]) for src in shown] == [jpeg(), jpeg()]
    assert page(found(name), pictures) == page(found(name), pictures)


def test_it_says_what_the_report_says() -> None:
    read = harmless(page(found("other"), {}))
    assert read.texts["strong"] == ["90.2 (89.2 to 92.2) %"]
    cells = read.texts["td"]
    assert cells[:6] == [
        *("ridge", "70.0 (69.0 to 72.0)", "90.2 (89.2 to 92.2)"),
        *("other", "67.5 (66.5 to 69.5), 2 diverged", "–"),
    ]
    assert "-2.5 (-4.0 to -1.0), p <0.001" in cells
    assert "other at all labels: the minutes did not reach 2 of 3 draws." in read.texts["li"]
    assert read.texts["span"] == ["metatl", "transfer", "other"]


def test_another_score_has_no_percent_and_sections_of_predictions_take_the_place_of_pictures() -> None:
    given = [html.Section("Confusion", html.confusion([[1, 2], [0, 3]], ["a", "b"]))]
    values = found("other", score="MAE", unit="", better="lower")
    read = harmless(page(values, {"confusion.png": jpeg()}, given))
    assert read.texts["strong"] == ["90.25 (89.25 to 92.25)"]
    assert "Confusion" in read.texts["h2"]
    assert not [tag for tag, _ in read.tags if tag == "img"]
    assert "MAE with its 95 % interval, lower is better; bold: the saved row." in read.texts["p"]

"""Inputs as a person sees them: from the tensor that a net is given back to what it was made of."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metatl.data import Arrays, Fewer, Sentences, Table, Tasks
from metatl.data.rows import rows_of
from metatl.data.shown import from_tensor
from metatl.data.tables import Encoder, read_table, told
from metatl.engines.engine import task
from metatl.evaluation.predicted import surest
from metatl.lab.render import html
from metatl.language import extra
from tests import tiny_texts

needs_text = pytest.mark.skipif(not extra.has("transformers"), reason="the extra text is not installed")
ONE = Tasks(way=2, shot=1, query=1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pixels", [(1 / 255, 0.0), (-1 / 255, 1.0), (0.02, -2.1)])
def test_a_picture_has_the_bytes_of_its_file(channels: int, pixels: tuple[float, float]) -> None:
    before = np.random.default_rng(0).integers(0, 256, (channels, 5, 4), dtype=np.uint8)
    scale, shift = pixels
    seen = from_tensor(torch.from_numpy(before).float() * scale + shift, pixels)
    assert isinstance(seen, Image.Image)
    assert np.array_equal(np.asarray(seen).reshape(5, 4, channels), before.transpose(1, 2, 0))


def test_what_nobody_knows_is_shown_from_black_to_white() -> None:
    seen = from_tensor(torch.tensor([[[-3.0, 1.0], [0.0, -3.0]]]))
    assert isinstance(seen, Image.Image)
    assert np.asarray(seen).tolist() == [[0, 255], [191, 0]]
    assert np.asarray(from_tensor(torch.full((1, 2, 2), 7.0))).max() == 0


def test_signals_rows_and_what_is_neither() -> None:
    signal = torch.arange(6.0).view(2, 3)
    seen = from_tensor(signal)
    assert isinstance(seen, np.ndarray)
    assert seen.tolist() == signal.tolist()
    assert from_tensor(torch.tensor([0.5, -2.0])) == [("x0", "0.5"), ("x1", "-2")]
    assert from_tensor(torch.zeros(2, 3, 4, 5)) == [("shape", "2 x 3 x 4 x 5")]


TABLE = """age,sex,smoker,seen,weight,city,outcome
31,f,yes,2020-01-02,70.25,Bonn,a
45,m,no,2021-12-31,,Lyon,a
52,f,no,,81,,b
28,,yes,2019-06-15,64.5,Bonn,b
"""


def test_a_row_of_a_table_is_shown_as_people_read_it() -> None:
    columns = read_table(
        {
            "n": [1.0, np.nan, 2.123456789],
            "day": np.array(["2021-01-02", "NaT", "2021-01-02T03:04:05"], "M8[s]"),
            "word": ["a", None, "2021-01-02T00:00:00 b"],
        }
    )
    rows = rows_of(columns, ("1", "2", "3"))
    assert rows.shown(0) == [("n", "1"), ("day", "2021-01-02"), ("word", "a")]
    assert [value for _, value in rows.shown(1)] == ["", "", ""]
    assert [value for _, value in rows.shown(2)] == [
        "2.12346",
        "2021-01-02T03:04:05",
        "2021-01-02T00:00:00 b",
    ]


def test_an_encoded_row_says_what_its_columns_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE, encoding="utf-8")
    columns = read_table(tmp_path / "t.csv").drop(["outcome"])
    encoder = Encoder.fit(columns)
    rows = [dict(told.row(encoder, x)) for x in encoder(columns)]
    assert [row["age"] for row in rows] == ["31", "45", "52", "28"]
    assert [row["sex"] for row in rows] == ["f", "m", "f", "missing"]
    assert [row["smoker"] for row in rows] == ["yes", "no", "no", "yes"]
    assert [row["seen"] for row in rows] == ["2020-01-02", "2021-12-31", "missing", "2019-06-15"]
    assert [row["weight"] for row in rows] == ["70.25", "missing", "81", "64.5"]
    assert [row["city"] for row in rows] == ["Bonn", "Lyon", "missing", "Bonn"]
    assert list(rows[0]) == list(columns)
    (tmp_path / "u.csv").write_text(TABLE.replace("Bonn", "Rome"), encoding="utf-8")
    other = read_table(tmp_path / "u.csv", formats=encoder.formats)
    assert dict(told.row(encoder, encoder(other)[0]))["city"] == "unknown"


def test_data_of_a_table_shows_its_rows(tmp_path: Path) -> None:
    rows = [f"{age},{'ab'[age % 2]},c{age % 4}" for age in range(10, 50)]
    (tmp_path / "t.csv").write_text("\n".join(["age,kind,label", *rows, ""]), encoding="utf-8")
    data = Table(str(tmp_path / "t.csv"), "label", train=("c0", "c1"), test=("c2", "c3")).load()
    seen: list[Any] = [data.shown(x) for x in data.rows("meta_test")]
    assert {dict(row)["age"] for row in seen} == {str(age) for age in range(10, 50) if age % 4 > 1}


@needs_text
def test_data_of_sentences_shows_their_texts(tmp_path: Path) -> None:
    net = tiny_texts.folder(tmp_path / "net")
    rows = [f"{text},{label}" for text, label in (("pay my bill", "a"), ("rain", "b")) for _ in range(2)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows, ""]), encoding="utf-8")
    source = Sentences(str(tmp_path / "t.csv"), "text", "label", str(net), test=("a", "b"))
    data = source.load()
    seen = [data.shown(x) for x in data.rows("meta_test")]
    assert seen == 2 * ["<s> pay my bill </s>"] + 2 * ["<s> rain </s>"]


def test_a_source_around_another_shows_what_that_shows(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (12, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=np.repeat(np.arange(6), 2))
    source = Arrays(str(tmp_path / "a.npz"), fractions=(0.4, 0.2, 0.4))
    row = task(source.load().draw("meta_test", ONE, 0, 0, 1), 0).query.x[0]
    assert np.asarray(Fewer(source).load().shown(row)).tolist() in x.tolist()


def test_inputs_on_a_page_are_small() -> None:
    tiny, large = Image.new("L", (28, 20), 255), Image.effect_noise((900, 500), 80).convert("RGB")
    made: list[Any] = [html.small(one) for one in (tiny, large)]
    sizes = [Image.open(io.BytesIO(content)).size for content in made]
    assert sizes == [(112, 80), (240, 133)]
    assert html.small("x" * 5000) == "x" * 400 + " ..."
    assert html.small([(str(i), "1") for i in range(50)])[-2:] == [("11", "1"), ("", "and 38 more")]
    assert html.small([("a", "1")]) == [("a", "1")]
    signal = np.random.default_rng(0).normal(size=(40, 5000))
    drawn = html.small(signal)
    assert isinstance(drawn, bytes)
    assert len(drawn) < 20_000
    assert drawn == html.small(signal)
    assert isinstance(html.small(np.zeros((1, 1))), bytes)


def test_the_surest_mistakes_come_first_and_equal_ones_in_order() -> None:
    wrong = np.array([True, False, True, True, True])
    assert surest(wrong, np.array([0.5, 0.99, 0.7, 0.5, 0.9])).tolist() == [4, 2, 0, 3]

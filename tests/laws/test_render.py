"""Tables say what the rows say and fit; pictures have the pixels, marks and labels they promise."""

import io
import itertools
import re
import sys
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metatl.lab import render
from metatl.lab.render.plots import FAMILIES
from metatl.types import Batch, Episode, MetatlError

PROTOCOL = dict(
    data="omniglot", split="meta_test", way=5, shot=1, query=15, seed=3, episodes=600, score="accuracy",
    episodes_hash="0123456789abcdef", reference="finetune", no_transfer="scratch", harmed_against="scratch",
)  # fmt: skip


def row(method: str, accuracy: float, **changed: Any) -> dict[str, Any]:
    told = dict(
        method=method, transductive=False, accuracy=accuracy, ci95=0.5, episodes=600, harmed=2.25, p=0.02
    )
    told |= dict(difference=accuracy - 70, difference_ci95=0.25, worst_decile=accuracy - 20, selected={})
    return told | dict(trainable=112_005, seconds_to_learn=12.34, ms_per_task=2.5) | changed


def rows() -> list[dict[str, Any]]:
    return [
        row("scratch", 40.0, p=1e-9, family="no transfer"),
        row("finetune", 70.0, difference_ci95=0.0, p=1.0, family="fine-tuning"),
        row("maml", 95.5, transductive=True, p=0.0004, family="meta-learned", selected=dict(lr=0.4, steps=5)),
        row("gtl|raw", 69.999, p=0.4567, family="guided", trainable=None, seconds_to_learn=None),
    ]


def cells(text: str) -> dict[str, list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    split = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {line[0].strip("*"): line for line in split}


def test_markdown_says_what_the_rows_say():
    text = render.markdown(rows(), PROTOCOL)
    first = text.splitlines()[0]
    for said in (
        "omniglot",
        "meta_test",
        "5-way",
        "1-shot",
        "15 queries",
        "600 episodes",
        "seed 3",
        "0123456789ab",
    ):
        assert said in first
    table = cells(text)
    assert table["maml"][:5] == ["**maml**", "transductive", "**95.50 ± 0.50**", "+25.50 ± 0.25", "<0.001"]
    assert table["maml"][5:] == ["2.2", "75.50", "112,005", "12.3", "2.50"]
    assert table["finetune"][3:5] == ["reference", ""]
    assert table["scratch"][3:6] == ["-30.00 ± 0.25", "<0.001", ""]  # harm is counted against scratch itself
    assert table[r"gtl\|raw"][3:5] == ["+0.00 ± 0.25", "0.46"]  # the bar is escaped, and zero has no minus
    assert table[r"gtl\|raw"][7:9] == ["–", "–"]
    assert text.count("**") == 4  # one method is the best
    assert "maml: lr 0.4, steps 5" in text
    assert "worse than scratch on the same episode" in text


def grid(**values: Any) -> list[dict[str, Any]]:
    return [
        {"values": dict(zip(values, each, strict=True)), "meta_val": 0.5}
        for each in itertools.product(*values.values())
    ]


def test_what_was_chosen_at_an_end_of_its_grid_is_said():
    """A row that chose the lowest or highest value tried may be unfairly low; a weight of 0 is no end."""
    tried = grid(
        lr=[0.3, 0.1, 1.0], steps=[5, 10, 20], alpha=[0.0, 0.5], method=["a", "b"], slow=[1], on=[True, False]
    )
    chosen = dict(lr=0.1, steps=20, alpha=0.0, method="a", slow=1, on=True)
    one = row("one", 70.0, selected=chosen, selection=tried)
    assert render.at_an_end(one) == {"lr": "lowest", "steps": "highest"}
    assert render.at_an_end({**one, "selected": dict(lr=0.3, steps=10, alpha=0.5)}) == {"alpha": "highest"}
    assert render.at_an_end(row("none", 70.0)) == {}  # nothing was chosen
    assert render.at_an_end(row("told", 70.0, selected=dict(lr=0.1))) == {}  # a report without what was tried
    text = render.markdown([*rows(), one], PROTOCOL)
    assert (
        "- one: lr 0.1 (lowest tried), steps 20 (highest tried), alpha 0.0, method a, slow 1, on True" in text
    )


def test_markdown_columns_are_aligned():
    lines = [line for line in render.markdown(rows(), PROTOCOL).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(rows())
    assert len({len(line) for line in lines}) == 1
    assert len({tuple(m.start() for m in re.finditer(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert re.fullmatch(r"\| -+ \| -+ (\| -+: )+\|", lines[1])


def test_a_study_s_table_holds_nothing_that_differs_between_two_runs():
    slower = [{**r, "seconds_to_learn": 99.0, "ms_per_task": 77.0} for r in rows()]
    text = render.markdown(rows(), PROTOCOL, times=False)
    assert text == render.markdown(slower, PROTOCOL, times=False)
    assert cells(text)["maml"] == cells(render.markdown(rows(), PROTOCOL))["maml"][:-2]
    assert "seconds" not in text


@pytest.mark.parametrize(
    ("p", "said"),
    [
        (0.0, "<0.001"),
        (0.00099, "<0.001"),
        (0.001, "0.001"),
        (0.0494, "0.049"),
        (0.0996, "0.10"),
        (1.0, "1.00"),
    ],
)
def test_p_value(p, said):
    assert cells(render.markdown([row("a", 1.0, p=p)], PROTOCOL))["a"][4] == said


def test_console_fits_the_terminal():
    many = [*rows(), row("a method whose name nobody would want to read", 12.345, trainable=11_173_962)]
    many[2] |= dict(accuracy=100.0, difference=-100.0, seconds_to_learn=123_456.7, ms_per_task=98_765.4)
    text = render.console(many, PROTOCOL)
    assert max(map(len, text.splitlines())) <= 110
    assert "*" not in text.replace("*100.00", "").replace("*:", "")  # one star, on the best
    assert "11.2M" in text
    assert "112k" in text
    body = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "-30.00 ± 0.25" in body["scratch"]
    assert "reference" in body["finetune"]
    assert " trans " in body["maml"]
    assert any(line.startswith("a method whose") and "…" in line for line in body)


def test_losses_are_told_in_their_unit_and_the_least_is_best():
    told = {**PROTOCOL, "score": "loss", "way": None, "data": "sinusoid"}
    losses = [{**r, "loss": r["accuracy"] / 100} for r in rows()]
    assert cells(render.markdown(losses, told))["scratch"][2] == "**0.4000 ± 0.5000**"
    assert "15 queries," in render.markdown(losses, told)
    axes = render.benchmark_plot(losses, told).axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()][-1] == "scratch"  # the last height is the top


def test_benchmark_plot_marks_what_it_promises():
    figure = render.benchmark_plot(rows(), PROTOCOL)
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["scratch", "gtl|raw", "finetune", "maml"]
    dots = {names[int(d.get_ydata()[0])]: d for d in axes.lines if d.get_marker() == "o"}
    assert [float(dots[r["method"]].get_xdata()[0]) for r in rows()] == [r["accuracy"] for r in rows()]
    assert dots["maml"].get_markerfacecolor() == "white"  # open: transductive
    assert dots["maml"].get_color() == FAMILIES["meta-learned"]
    assert dots["gtl|raw"].get_markerfacecolor() == FAMILIES["guided"]
    bars = [
        line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"
    ]
    assert [tuple(bar) for bar in bars] == [(39.5, 40.5), (69.499, 70.499), (69.5, 70.5), (95.0, 96.0)]
    assert any(list(line.get_xdata()) == [70.0, 70.0] for line in axes.lines)  # the reference
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert set(words) == {"no transfer", "fine-tuning", "guided", "meta-learned", "open: transductive"}


def test_benchmark_plot_names_stay_on_the_page():
    long = [row("a rather long name of a method, of the kind people give", 50.0), row("finetune", 70.0)]
    for figure in (
        render.benchmark_plot(long, PROTOCOL),
        render.benchmark_plot([row("finetune", 70.0)], PROTOCOL),
    ):
        assert render.picture(figure).shape == (3, 1080, 1920)
        for label in figure.axes[0].get_yticklabels():
            assert label.get_window_extent().x0 >= 0


def test_families_of_other_names_get_colours_of_their_own():
    named = [
        row("a", 1.0, family="mine"),
        row("b", 2.0, family="yours"),
        row("finetune", 3.0, family="fine-tuning"),
    ]
    dots = [d for d in render.benchmark_plot(named, PROTOCOL).axes[0].lines if d.get_marker() == "o"]
    assert len({d.get_color() for d in dots}) == 3


def test_png_is_the_same_bytes_and_an_image():
    data = render.png(render.benchmark_plot(rows(), PROTOCOL))
    assert data == render.png(render.benchmark_plot(rows(), PROTOCOL))
    assert Image.open(io.BytesIO(data)).size == (1920, 1080)


def test_pyplot_is_never_touched(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it now raises
    assert render.png(render.benchmark_plot(rows(), PROTOCOL)).startswith(b"\x89PNG")


def test_learning_curves_label_every_line_once():
    steps = np.arange(10)
    curves = {f"line {i}": (steps, np.full(10, 1.0) + 1e-3 * i) for i in range(5)}
    curves["diverged"] = (steps, np.full(10, np.nan))
    figure = render.learning_curves(curves, ci95={"line 0": np.full(10, 0.1)})
    figure.canvas.draw()
    labels = figure.axes[0].texts
    assert [text.get_text() for text in labels] == [f"line {i}" for i in range(5)]
    boxes = sorted((t.get_window_extent() for t in labels), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 + 1 for below, above in itertools.pairwise(boxes))
    assert len(figure.axes[0].collections) == 1  # one band


def test_guide_pictures():
    guide = {"conv.weight": torch.rand(4, 3, 3, 3), "conv.bias": torch.zeros(4), "scale": torch.tensor(2.0)}
    histogram = render.guide_histogram(guide)
    assert [axes.get_title(loc="left") for axes in histogram.axes] == [
        "conv.weight\n0 % frozen",
        "conv.bias\n100 % frozen",
        "scale\n0 % frozen",
    ]
    assert sum(bar.get_height() for bar in histogram.axes[0].patches) == 4 * 3 * 3 * 3
    shown = render.filter_map(guide).axes[0].images[0].get_array()
    np.testing.assert_allclose(shown, guide["conv.weight"].mean((2, 3)), rtol=1e-6)
    profile = render.depth_profile({"conv": 0.5, "head": 1.5}, {"conv": 0.25, "head": 0.0}).axes[0]
    assert [list(line.get_ydata()) for line in profile.lines] == [[0.5, 1.5], [0.25, 0.0]]
    assert profile.get_ylim()[1] >= 1.5
    assert (
        render.picture(render.filter_map({"bias": torch.ones(3)})).dtype == np.uint8
    )  # nothing to show is no crash


def episode(channels: int, way: int = 3, shot: int = 2, query: int = 4) -> Episode:
    def batch(n: int) -> Batch:
        return Batch(torch.randn(way * n, channels, 8, 8), torch.arange(way).repeat(n))

    return Episode(batch(shot), batch(query))


@pytest.mark.parametrize("channels", [1, 3])
def test_episode_grid_marks_the_wrong_ones(channels):
    asked = episode(channels)
    guesses = asked.query.y.clone()
    guesses[4] = 2  # the second query of class 1
    axes = render.episode_grid(asked, guesses, way=3).axes[0]
    assert len(axes.images) == 3 * (2 + 4)
    badges = [text.get_text() for text in axes.texts if text.get_text().startswith("×")]
    assert badges == ["×2"]
    assert "query, 92 % right" in [text.get_text() for text in axes.texts]
    wrong = [p for p in axes.patches if p.get_edgecolor()[:2] != axes.patches[0].get_edgecolor()[:2]]
    assert len(wrong) == 1
    assert 1 < wrong[0].get_y() < 2  # in the row of class 1


def test_episode_grid_names_its_classes():
    asked, names = episode(1), ["ant", "<b> $x$", "a/very/long/name/of/a/class/17"]
    axes = render.episode_grid(asked, asked.query.y, way=3, names=names).axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert texts[0] == "ant  0"
    left = axes.get_xlim()[0]
    canvas = axes.figure.canvas
    canvas.draw()
    for text in axes.texts:
        assert axes.transData.inverted().transform(text.get_window_extent())[0, 0] > left
    assert any(said.endswith("class/17  2") for said in texts)
    assert any(r"\$x\$" in said for said in texts)


def test_episode_grid_refuses_what_is_no_image():
    with pytest.raises(MetatlError, match="only images"):
        render.episode_grid(Episode(*[Batch(torch.randn(2, 5), torch.arange(2))] * 2), torch.arange(2), way=2)

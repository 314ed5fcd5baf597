"""The pictures of hapt_personal.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hapt_personal_stats import PUBLISHED
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank

SHOWN = ("fine-tune", "kl-anchor", "kl-anchor-l2", "l2-sp", "head-only", "fish-support", "gtl")
COLOURS = dict(zip(SHOWN, (PALETTE[6], *PALETTE[:6]), strict=True))
MEASURES = {"accuracy": "accuracy, %", "ece": "calibration error, points"}


def curves(summary: Mapping[int, Any], tests: Sequence[Mapping[str, Any]]) -> Figure:
    """Accuracy over the amount of data, and paired differences to plain fine-tuning with their intervals."""
    figure = blank(12.8, 6.4)
    left = _axes(figure, (0.055, 0.11, 0.36, 0.7), "labelled windows per activity")
    right = _axes(figure, (0.56, 0.11, 0.42, 0.7), "labelled windows per activity")
    shots = [*summary]
    at = np.arange(len(shots), dtype=float)
    ends: list[tuple[float, str, str]] = []
    for method in SHOWN:
        values = [summary[shot][method]["accuracy"] for shot in shots]
        left.plot(at, values, color=COLOURS[method], linewidth=2, marker="o", markersize=5)
        ends.append((values[-1], method, COLOURS[method]))
    still = [summary[shot]["moments-only"]["accuracy"] for shot in shots]
    left.plot(at, still, color=PALETTE[7], linewidth=2, linestyle=(0, (1, 1)), marker="s", markersize=4)
    ends.append((still[-1], "moments-only", PALETTE[7]))
    none = summary[shots[0]]["no-personalisation"]["accuracy"]
    left.plot([at[0], at[-1]], [none, none], color=FAINT, linewidth=1.4, linestyle=(0, (4, 3)))
    ends.append((none, "no personalisation", FAINT))
    _label(left, ends)
    left.yaxis.set_major_formatter("{x:g} %")
    others = SHOWN[1:]
    for place, method in enumerate(others):
        own = [t for t in tests if t["method"] == method and t["against"] == "fine-tune"]
        x = at + 0.11 * (place - (len(others) - 1) / 2)
        means, halves = [t["difference"] for t in own], [t["ci95"] or 0.0 for t in own]
        style: dict[str, Any] = dict(fmt="o", markersize=5, linewidth=1.6, label=method)
        right.errorbar(x, means, halves, color=COLOURS[method], **style)
    right.axhline(0, color=INK, linewidth=1)
    right.axhline(PUBLISHED, color=COLOURS["kl-anchor"], linewidth=1.2, linestyle=(0, (4, 3)))
    right.annotate(
        "published gain of the anchor, +2.2", (1.0, PUBLISHED), xycoords=right.get_yaxis_transform(),
        xytext=(0, 4), textcoords="offset points", ha="right", fontsize=9, color=COLOURS["kl-anchor"],
    )  # fmt: skip
    right.legend(loc="lower right", ncols=2, fontsize=9.5, labelcolor=INK, edgecolor="white", framealpha=0.9)
    for axes in (left, right):
        axes.set_xticks(at, [str(shot) for shot in shots])
    people = summary[shots[0]]["fine-tune"]["people"]
    figure.text(0.02, 0.94, "Personalisation on HAPT", fontsize=19, fontweight="bold", color=INK)
    told = f"{people} test people, five draws each, three nets; scored on the person's other recording. "
    told += "Bars: 95 % t-interval over people."
    figure.text(0.02, 0.9, told, fontsize=11, color=FAINT)
    _title(left, "Accuracy, mean over people")
    _title(right, "Difference to fine-tune, points")
    return figure


def steps(means: Mapping[str, Any], people: int) -> Figure:
    """Accuracy and calibration error after so many steps, by alpha, with 5 windows per activity."""
    figure = blank(11.6, 7.6)
    shown = {kind: of for kind, of in means.items() if kind.startswith("5 ")}
    for row, (kind, by_alpha) in enumerate(shown.items()):
        for column, (name, told) in enumerate(MEASURES.items()):
            box = (0.065 + 0.48 * column, 0.51 - 0.44 * row, 0.36, 0.33)
            axes = _axes(figure, box, "steps" if row == len(shown) - 1 else "")
            ends: list[tuple[float, str, str]] = []
            for index, (alpha, run) in enumerate(by_alpha.items()):
                values = [100 * of[name] for of in run.values()]
                colour = (PALETTE[6], PALETTE[2], PALETTE[0], PALETTE[1])[index]
                at = np.arange(len(values))
                axes.plot(at, values, color=colour, linewidth=2, marker="o", markersize=4)
                axes.set_xticks(at, [*run])
                ends.append((values[-1], f"alpha {alpha}", colour))
            _label(axes, ends)
            _title(axes, f"{kind}: {told}")
    title = "Does the anchor prevent over-fitting?"
    figure.text(0.02, 0.945, title, fontsize=17, fontweight="bold", color=INK)
    told = (
        f"Adam at rate 0.003, mean over {people} people, each left out once, five draws each; alpha 0: plain."
    )
    figure.text(0.02, 0.91, told, fontsize=11, color=FAINT)
    return figure


def people(outside: Mapping[int, Any]) -> Figure:
    """Every person's gain over no personalisation, with fine-tuning and with the anchor."""
    figure = blank(12.8, 6.4)
    for column, (shot, summary) in enumerate(outside.items()):
        none = summary["no-personalisation"]["by_person"]
        order = sorted(none, key=lambda person: none[person])
        axes = _axes(figure, (0.055 + 0.49 * column, 0.14, 0.44, 0.66), "person (accuracy without, %)")
        at = np.arange(len(order), dtype=float)
        for place, method in enumerate(("fine-tune", "kl-anchor")):
            own = summary[method]["by_person"]
            gains = [100 * (own[person] - none[person]) for person in order]
            x = at + 0.26 * (place - 0.5)
            axes.vlines(x, 0, gains, color=COLOURS[method], linewidth=2.4, label=method)
            axes.plot(x, gains, "o", color=COLOURS[method], markersize=4)
        axes.axhline(0, color=INK, linewidth=1)
        labels = [f"{person} ({100 * none[person]:.0f})" for person in order]
        axes.set_xticks(at, labels, rotation=90, fontsize=8)
        axes.legend(loc="upper right", fontsize=9.5, labelcolor=INK, edgecolor="white", framealpha=0.9)
        _title(axes, f"{shot} window{'s' * (int(shot) > 1)} per activity")
    told = f"{len(order)} people, each left out once, from worst to best without personalisation; "
    told += "mean of five draws. Points of accuracy gained or lost, each arm at its chosen rate."
    title = "Whom does personalisation help?"
    figure.text(0.02, 0.94, title, fontsize=19, fontweight="bold", color=INK)
    figure.text(0.02, 0.9, told, fontsize=11, color=FAINT)
    return figure


def _axes(figure: Figure, box: tuple[float, float, float, float], x: str) -> Axes:
    axes = bare(figure.add_axes(box), keep=("bottom", "left"))
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(x, color=FAINT)
    return axes


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=12, color=INK, pad=10)


def _label(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names beside the ends of their lines, spread around their mean where they would overlap."""
    low, high = axes.get_ylim()
    inches = axes.get_position().height * axes.figure.get_size_inches()[1]
    falling = sorted(ends, reverse=True)
    heights = _spread([value for value, _, _ in falling], 0.19 / inches * (high - low), high)
    for height, (_, name, colour) in zip(heights, falling, strict=True):
        axes.annotate(
            name, (1.02, height), xycoords=axes.get_yaxis_transform(), fontsize=10.5, color=colour,
            va="center", annotation_clip=False,
        )  # fmt: skip


def _spread(falling: Sequence[float], gap: float, roof: float) -> list[float]:
    """The nearest heights (least squares) that are a gap apart, none above the roof."""
    groups = list[list[float]]()  # neighbours that touch move together, and lie around their mean
    for i, value in enumerate(falling):
        groups.append([value + i * gap])
        while len(groups) > 1 and np.mean(groups[-2]) < np.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    level = [min(float(np.mean(group)), roof) for group in groups for _ in group]
    return [height - i * gap for i, height in enumerate(level)]

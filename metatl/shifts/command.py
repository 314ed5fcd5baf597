"""What the command `shift` prints."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from metatl import importing
from metatl.lab.render.tables import p_value
from metatl.shifts.shift import shift as found_between
from metatl.text import say
from metatl.transferring.opened import Words


def shift(words: argparse.Namespace) -> None:
    """`metatl shift`: spaces, a line for every test, three sentences, and where the rest lies."""
    with importing.received(trust=True) if words.trust else nullcontext():
        columns = Words(target=words.target, text=words.text, drop=words.drop)
        found = found_between(words.source, words.data, columns, words.net, words.out, words.seed)
    for line in lines(found.report):
        say(line)
    say(f"written to {found.folder}: report.json, shift.png")


def lines(report: Mapping[str, Any]) -> list[str]:
    """The report for a terminal."""
    said = [f"{report['source']['name']} ({report['source']['rows']} rows) to {report['target']['name']}"]
    said = [f"{said[0]} ({report['target']['rows']} rows)"]
    said += [f"feature space: {_space(report['feature_space'])}"]
    if "is" in report["label_space"]:
        said.append(f"label space: {_label_space(report['label_space'])}")
    rows = [("", "p, Holm", "effect", "")]
    for test in report["tests"]:
        effect = "" if test["effect"] is None else f"{test['effect']:.2f}"
        measure = test["why"] or test["measure"]
        asked = f"{test['question']}, {test['name']}"
        rows.append((asked, p_value(test["p_holm"]) or "–", effect, measure))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    said.append("")
    for row in rows:
        cells = row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].rjust(widths[2])
        said.append("  ".join([*cells, row[3]]).rstrip())
    said.append("")
    p = [t["p_holm"] for t in report["tests"] if t["question"] == "P(X)" and t["p_holm"] is not None]
    if report["furthest"] and min(p, default=1.0) < 0.05:
        each = [f"{one['input']} {one['distance']:.2f}" for one in report["furthest"]]
        said += [f"furthest apart, by Wasserstein distance in standard deviations: {', '.join(each)}"]
    alone = [one["input"] for one in report["telling"] if one["area"] > 0.99]
    if alone:
        said.append(
            f"{', '.join(alone)}: enough to tell the domains apart; leave out with --drop what is an id, a "
            "date or a batch"
        )
    return [*said, *report["because"]]


def _space(space: Mapping[str, Any]) -> str:
    if space["is"] == "the same":
        return "the same"
    parts = [("only in the source", "source_only"), ("only in the target", "target_only")]
    parts += [("of another type", "changed_type")]
    told = [f"{word}: {', '.join(space[key][:6])}" for word, key in parts if space[key]]
    return f"{space['is']} ({'; '.join(told)})"


def _label_space(space: Mapping[str, Any]) -> str:
    parts = [("the source never saw", "unseen"), ("the target lacks", "absent")]
    told = [f"{word} {', '.join(map(repr, space[key][:6]))}" for word, key in parts if space[key]]
    return f"another: {'; '.join(told)}" if told else "the same"

"""report.html of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.evaluation.scores import of_protocol
from metatl.evaluation.statistics import worst_decile
from metatl.lab.render import html
from metatl.lab.render.ends import at_an_end
from metatl.lab.render.html import Html, Section
from metatl.lab.render.reports.curves import curves
from metatl.lab.render.reports.drawn import left_out, shapes
from metatl.lab.render.reports.measure import Measure
from metatl.lab.render.reports.origin import code, command_words
from metatl.lab.render.reports.plots import distribution
from metatl.lab.render.reports.predictions import Mistake, confusion, mistakes

Values = Mapping[str, Any]


@dataclass(frozen=True)
class RunFiles:
    """What lies in the folder of a report, as read; empty what is not there.

    report, scores: `report.json` and `episodes.npy`; learned, provenance, predicted: the JSON files of these
    names; mistakes: the surest ones that `predicted.json` holds; metrics: the lines of `metrics.jsonl`;
    config: `config.yaml`.
    """

    report: Values
    scores: NDArray[np.float64]
    config: Values = field(default_factory=dict[str, Any])
    learned: Values = field(default_factory=dict[str, Any])
    provenance: Values = field(default_factory=dict[str, Any])
    metrics: Sequence[Values] = ()
    predicted: Values = field(default_factory=dict[str, Any])
    mistakes: Sequence[Mistake] = ()

    @property
    def protocol(self) -> Values:
        """How the scores were taken."""
        return self.report["protocol"]

    @property
    def facts(self) -> Values:
        """What it cost, and what was chosen."""
        return self.report["facts"]


def run_page(files: RunFiles) -> str:
    """The page of a run; the same bytes for the same files."""
    sections = [
        Section("", _headline(files)),
        Section("Episodes", html.side_by_side(_distribution(files), html.facts(_numbers(files)))),
        Section("Learning", curves(files.metrics, Measure.of(files.protocol))),
        Section("Predictions", _predictions(files.predicted)),
        mistakes(files.mistakes),
        Section("What was chosen", _chosen(files)),
        Section("Notes", html.notes(_notes(files))),
        Section("What it belongs to", _origin(files)),
        Section("The command that repeats it", html.command(_command(files.provenance))),
    ]
    return html.page(f"{files.report['method']} on {files.protocol['data']}", sections)


def _headline(files: RunFiles) -> Html:
    protocol, measure = files.protocol, Measure.of(files.protocol)
    factor = float(measure.scaled(1.0))
    ci95 = files.report.get("ci95")
    number = measure.said(factor * files.report["mean"], None if ci95 is None else factor * ci95)
    interval = "" if ci95 is None else "; ±: 95 % interval, Student's t over episodes"
    return html.headline(
        number,
        f"{measure.name} of {files.report['method']}: the mean of {len(files.scores)} {protocol['split']} "
        f"episodes of {protocol['data']}, {_shape(protocol)}{interval}.",
    )


def _shape(protocol: Values) -> str:
    mode = "transductive" if protocol.get("transductive") else "inductive"
    classes = protocol.get("way") and "classes" in of_protocol(protocol).takes
    each = " a class" if classes else ""
    way = f"{protocol['way']}-way " if each else ""
    return f"{way}{protocol['shot']}-shot, {protocol['query']} queries{each}, {mode}"


def _distribution(files: RunFiles) -> Html:
    measure = Measure.of(files.protocol)
    scores = measure.scaled(files.scores)
    ordered = measure.worst_first(scores)
    worst = float(ordered[math.ceil(len(ordered) / 10) - 1])
    plot = distribution(scores, worst, measure.titled)
    return html.figure(plot, f"{measure.titled} of every episode; orange: the worst tenth.")


def _numbers(files: RunFiles) -> dict[str, Any]:
    measure, facts = Measure.of(files.protocol), files.facts
    scores = measure.scaled(files.scores)
    lost = facts.get("diverged")
    worst = worst_decile(files.scores, measure.name)
    found = {
        "median episode": measure.said(float(np.median(scores))),
        "worst tenth": measure.said(float(measure.scaled(worst))),
        "standard deviation": measure.said(float(scores.std(ddof=1))),
        "diverged episodes": None if lost is None else len(lost),
        **shapes(facts),
        "inner steps": files.protocol.get("steps"),
        "moments of batch norm": files.protocol.get("moments"),
        "weights that may change": facts.get("trainable"),
        "seconds to learn": facts.get("seconds_to_learn"),
        "milliseconds a task": facts.get("ms_per_task"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _predictions(said: Values) -> Html:
    if not said:
        return Html()
    named, true = (np.asarray(said[key], np.int64) for key in ("named", "true"))
    counts = confusion(said["classes"], true, named) if said.get("classes") else Html()
    first = html.paragraph(f"Every query of the first {said['episodes']} episodes.")
    return html.joined(
        (first, html.side_by_side(html.calibration(said["probability"], named == true), counts))
    )


def _chosen(files: RunFiles) -> Html:
    tried, measure = files.facts.get("selection") or [], Measure.of(files.protocol)
    names = list(dict.fromkeys(name for option in tried for name in option["values"]))
    rows = [
        {
            **option["values"],
            "meta_val": None if option.get("meta_val") is None else _val(measure, option["meta_val"]),
            "diverged": option.get("diverged", 0),
            "": "chosen" if option["values"] == files.facts.get("selected") else "",
        }
        for option in tried
    ]
    asked = (files.config.get("evaluation") or {}).get("select_episodes")
    on = f"Chosen by the mean on {asked or 'the'} meta_val episodes."
    columns = {**{name: name for name in names}, "meta_val": f"{measure.name} on meta_val"}
    columns |= {"diverged": "diverged"} if any(row["diverged"] for row in rows) else {}
    table = html.table(rows, {**columns, "": ""}, strong=lambda row: row[""] == "chosen")
    return html.joined((html.paragraph(on), table)) if rows else Html()


def _val(measure: Measure, mean: float) -> str:
    return measure.said(float(measure.scaled(mean)))


def _notes(files: RunFiles) -> list[str]:
    """What a reader should know before relying on the number."""
    facts, lost = files.facts, files.facts.get("diverged") or []
    said = [
        f"The chosen {name} is the {end} that was tried; a wider `select` may do better."
        for name, end in at_an_end(facts).items()
    ]
    if lost:
        said.append(f"{len(lost)} of {len(files.scores)} episodes diverged and count as wrong: {lost[:20]}.")
    if "learned_on" in facts:
        said.append(f"Learned on {facts['learned_on']}, evaluated on {files.protocol['data']}.")
    said += left_out(facts)
    if remark := files.learned.get("remark"):
        said.append(f"While learning: {remark}.")
    if files.provenance.get("resumed"):
        said.append("The run was interrupted and resumed; provenance.json says what was otherwise then.")
    return said


def _evaluated(provenance: Values) -> Values:
    return provenance.get("evaluated") or provenance


def _command(provenance: Values) -> list[str]:
    return command_words(_evaluated(provenance).get("command") or [])


def _origin(files: RunFiles) -> Html:
    said = {
        "run": files.facts.get("learned"),
        "evaluation": files.facts.get("evaluation"),
        "episodes hash": files.protocol.get("episodes_hash"),
        "evaluation seed": files.protocol.get("seed"),
        "started from run": (files.learned.get("start") or {}).get("digest"),
        "report.json, sha256": files.report.get("sha256"),
        **code(_evaluated(files.provenance)),
        "content it was learned from": files.learned.get("inputs"),
        "config": files.config,
    }
    return html.facts({name: value for name, value in said.items() if value})

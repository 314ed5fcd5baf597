"""The families that a config names, found by walking their packages, and what their members are."""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import docstring_parser

from metatl.evaluation.evaluate import Evaluation
from metatl.lab.experiment import Experiment
from metatl.text import near
from metatl.types import MetatlError

FAMILIES: Mapping[str, tuple[str, str, str]] = {
    "source": ("metatl.data metatl.features", "metatl.data.Source", "data"),
    "rule of shots": ("metatl.data", "metatl.data.Shots", "evaluation.tasks.shot"),
    "stream": ("metatl.data", "metatl.data.Stream", "learner.streams"),
    "model": ("metatl.models", "torch.nn.Module", "model"),
    "learner": ("metatl.learners", "metatl.learners.Learner", "learner"),
    "adaptation": ("metatl.adapt metatl.learners", "metatl.adapt.Adaptation", "adaptation"),
    "solver": ("metatl.adapt.solvers", "metatl.adapt.solvers.Solver", "adaptation.solver"),
    "alignment": ("metatl.alignments", "metatl.alignments.Alignment", "adaptation.alignment"),
    "density ratio": (
        "metatl.density_ratio",
        "metatl.density_ratio.DensityRatio",
        "adaptation.alignment.ratio",
    ),
    "rule": ("metatl.rules", "metatl.rules.Rule", "adaptation.rule"),
    "schedule": ("metatl.rules", "metatl.rules.Schedule", "adaptation.schedule"),
    "head": ("metatl.heads", "metatl.heads.Head", "adaptation.head"),
    "term": ("metatl.objectives", "metatl.objectives.Term", "adaptation.terms"),
    "view": ("metatl.views", "metatl.views.View", "adaptation.views"),
    "guide": ("metatl.guides", "metatl.guides.TransferGuide", "guide"),
    "support guide": ("metatl.guides", "metatl.adapt.SupportGuide", "adaptation.guide_from_support"),
    "shape": ("metatl.guides", "metatl.guides.Shape", "guide.shape"),
    "transform": ("metatl.transforms", "metatl.transforms.Transform", "transforms"),
    "aggregate": ("metatl.aggregates", "metatl.aggregates.Aggregate", "learner.aggregate"),
    "estimate": ("metatl.estimates", "metatl.estimates.TransferabilityEstimate", "--estimates"),
    "engine": ("metatl.engines", "metatl.engines.Engine", "engine"),
}
"""Packages, class of which all are, and the key of a config (or a command's word) that takes one, by what a
member is called."""
VALUES: Mapping[str, tuple[str, str]] = {
    "Evaluation": ("metatl.evaluation.evaluate", "evaluation: {episodes: 600}"),
    "EarlyStopping": (
        "metatl.adapt",
        "adaptation:\n  init_args: {stopping: {watch: AUROC, patience: 10}}",
    ),
    "Tasks": ("metatl.data", "evaluation:\n  tasks: {way: [5, 20], shot: [1, 10], query: 10}"),
}
"""Values that stand at a key without being named: module, and an example."""
_LISTS, _BY_NAME = ("terms", "views", "transforms"), ("streams",)


def members(family: str) -> dict[str, type[Any]]:
    """The classes of a family that can be made, by name."""
    packages, path, _ = FAMILIES[family]
    doors, (module, _, name) = map(import_module, packages.split()), path.rpartition(".")
    base = getattr(import_module(module), name)
    return {
        name: one
        for name, one in sorted((name, getattr(door, name)) for door in doors for name in door.__all__)
        if inspect.isclass(one)
        and issubclass(one, base)
        and not inspect.isabstract(one)
        and one is not base
        and one.__module__.startswith("metatl.")
    }


def listing() -> list[str]:
    """A line for every family: what it is called, and its members."""
    lines = [f"{family}: {', '.join(members(family))}" for family in FAMILIES]
    return [*lines, f"values: {', '.join(VALUES)}"]


def told(name: str | None) -> list[str]:
    """What a member is, its keys with types and defaults, and an example; of None all members.

    Raises MetatlError with the nearest names.
    """
    if name is None:
        return listing()
    if name in VALUES:
        module, example = VALUES[name]
        return [*_told(name, "a value", getattr(import_module(module), name)), *example.split("\n")]
    found = {one: (family, made) for family in FAMILIES for one, made in members(family).items()}
    if name not in found:
        listed = "sources, rules, learners and the like ('metatl describe' lists all)"
        raise MetatlError(f"there is no {name!r} among {listed}{near(name, [*found, *VALUES])}")
    family, made = found[name]
    article = "an" if family[0] in "aeiou" else "a"
    needed = [key for key, _, default in _keys(made) if default is None]
    return [*_told(name, f"{article} {family}", made), *_example(name, family, needed)]


def _told(name: str, what: str, made: type[Any]) -> list[str]:
    """What it is, and its keys."""
    about = (inspect.getdoc(made) or "").partition("\n\n")[0].replace("\n", " ")
    keys = list(_keys(made))
    width = max((len(key) for key, _, _ in keys), default=0)
    said = [f"{key:<{width}}  {kind}" + ("" if one is None else f" = {one}") for key, kind, one in keys]
    return [f"{name}, {what}: {about}", *(f"  {line}" for line in said)]


def config_keys() -> list[str]:
    """Every key of a config: its type, its default, what it says, and the members that may stand there."""
    doc = docstring_parser.parse(inspect.getdoc(Experiment) or "", docstring_parser.DocstringStyle.GOOGLE)
    about = {param.arg_name: " ".join((param.description or "").split()) for param in doc.params}
    at = {key: family for family, (_, _, key) in FAMILIES.items()}
    lines = ["A config is a YAML mapping of these keys; '--KEY VALUE' on the command line overrides one."]
    for name, kind, default in _keys(Experiment):
        lines.append(f"{name}: {kind}" + ("" if default is None else f" = {default}"))
        lines += textwrap.wrap(about[name], 104, initial_indent="    ", subsequent_indent="    ")
        if name in at:
            listed = ", ".join(members(at[name]))
            lines += textwrap.wrap(listed, 104, initial_indent="      ", subsequent_indent="      ")
        elif name == "evaluation":
            lines += [f"      {line}" for line in _inner(Evaluation, name)]
    return [*lines, "'metatl describe NAME' shows the keys of a member and an example"]


def _inner(made: type[Any], key: str) -> Iterator[str]:
    """The keys of a dataclass that stands at a key without being named, those of dataclasses in it too."""
    for one in dataclasses.fields(made):
        default = one.default
        if dataclasses.is_dataclass(default) and not isinstance(default, type):
            yield from _inner(type(default), f"{key}.{one.name}")
        else:
            yield f"{key}.{one.name}: {one.type} = {_default(default)}"


def _keys(made: type[Any]) -> Iterator[tuple[str, str, str | None]]:
    """Name, type and default (None without one) of what a class is made from."""
    for one in inspect.signature(made).parameters.values():
        kind = one.annotation if isinstance(one.annotation, str) else inspect.formatannotation(one.annotation)
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        yield one.name, str(kind), None if one.default is one.empty else _default(one.default)


def _default(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{type(value).__name__}(...)"


def _example(name: str, family: str, needed: list[str]) -> list[str]:
    """YAML that stands in a config; of what a command takes, the command."""
    *above, key = FAMILIES[family][2].split(".")
    if key.startswith("--"):
        return [f"metatl affinity DATA {key} {name}"]
    given = f", init_args: {{{', '.join(f'{one}: ...' for one in needed)}}}" if needed else ""
    value = f"{{class_path: {name}{given}}}"
    value = f"[{value}]" if key in _LISTS else f"{{NAME: {value}}}" if key in _BY_NAME else value
    if above == ["evaluation", "tasks"]:
        return ["evaluation:", f"  tasks: {{{key}: {value}}}"]
    if above:
        return [f"{above[0]}:", f"  init_args: {{{key}: {value}}}"]
    return [f"{key}: {value}"]

"""What rows start from that learn on a source: once for each learner, kept, shared by all draws."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from metatl.lab import store
from metatl.lab.store.tensors import digest
from metatl.transferring.backbone import Backbone
from metatl.transferring.features import Computed, Features, features, readable
from metatl.transferring.learning import Learning, learn_on
from metatl.transferring.problem import Problem
from metatl.transferring.rows import Row
from metatl.transferring.source import SourceRows
from metatl.types import MetatlError, Transfer

SHARE = 0.25
"""Of the minutes, what learning on the source may take; one step of each learner is always done."""


@dataclass(frozen=True)
class LearnedStart:
    """What rows with the same learner start from.

    net: the backbone with what was learned, weights and guide; features: of its body, of width 0 where no
    row reads them; facts: of the learning, plain values.
    """

    net: Backbone
    features: Features
    facts: Mapping[str, Any]


def learn(rows: Mapping[str, Row], problem: Problem, work: Learning) -> dict[str, LearnedStart]:
    """By row, what each learns on the source before it sees a row of the problem.

    Rows with the same learner share it. What is done is loaded, what was begun goes on. Learners have equal
    parts of their share of the minutes, later ones what earlier ones left too. Rows whose learner refuses
    are not among what is found: `work.refused` says why.
    """
    groups: dict[str, list[str]] = {}
    for name, row in rows.items():
        if row.learner is not None:
            groups.setdefault(str(work.place(row.learner)), []).append(name)
    found: dict[str, LearnedStart] = {}
    left = SHARE * work.budget.seconds
    for done, names in enumerate(groups.values()):
        try:
            transfer, facts = _transfer(work, names, rows[names[0]], left / (len(groups) - done))
        except MetatlError as error:
            work.refused |= dict.fromkeys(names, str(error))
            continue
        left -= float(facts["seconds"])
        carried = _carried(work.net, transfer)
        read = any(rows[name].moves == "head" or rows[name].probe is not None for name in names)
        found |= dict.fromkeys(
            names, LearnedStart(carried, _features(carried, work.net, problem, read), facts)
        )
    return found


def _transfer(
    work: Learning, names: Sequence[str], row: Row, seconds: float
) -> tuple[Transfer, dict[str, Any]]:
    assert row.learner is not None
    place = work.place(row.learner)
    facts_file = place.with_suffix(".json")
    if facts_file.is_file() and place.is_file():
        return store.load_transfer(place, place.stem, older=True), store.read_json(facts_file)
    transfer, facts = learn_on(work, row.learner, names[0], seconds)
    store.save_transfer(place, transfer, {"digest": place.stem})
    store.write_json(facts_file, facts)
    for left in place.parent.glob(f"{place.stem}.ckpt*"):
        store.remove(left)
    return transfer, facts


def _carried(net: Backbone, transfer: Transfer) -> Backbone:
    """The backbone with the learned weights, buffers and guide; another key where weights moved."""
    module = copy.deepcopy(net.module)
    same = all(torch.equal(leaf, transfer.params[name]) for name, leaf in module.named_parameters())
    module.load_state_dict({**transfer.params, **transfer.buffers}, strict=False)
    key = net.key if same else hashlib.sha256((net.key + digest(transfer.params)).encode()).hexdigest()[:24]
    return replace(net, module=module, key=key, guide=transfer.guide, memory=transfer.memory)


def _features(carried: Backbone, net: Backbone, problem: Problem, read: bool) -> Features:
    if carried.key == net.key:
        return problem.features
    if not read:
        return Computed(torch.zeros(len(problem.digests), 0))
    batch = readable(problem.prepared.one, net.preparation.stacked)
    found = features(carried.body, carried.key, problem.digests, batch)
    return Computed(torch.stack([row for row in found if row is not None]))


def told(
    learned: Mapping[str, LearnedStart], source: SourceRows, beside: bool
) -> tuple[dict[str, Any], list[str]]:
    """The source in plain values, and notes: how much was learned, what was cut, smaller or left out.

    beside: whether a row reads the source's rows in every fit.
    """
    groups: dict[int, list[str]] = {}
    for name, one in learned.items():
        groups.setdefault(id(one), []).append(name)
    facts = [{"methods": names, **learned[names[0]].facts} for names in groups.values()]
    unreadable = sorted({file for one in facts for file in one["unreadable"]})
    data, unit, names = source.name, source.inputs.unit, source.targets.names
    count = len(source.inputs) - len(unreadable)
    kind = "clusters without labels" if source.targets.clusters else source.targets.kind
    notes = [f"Source: {data}, {len(names)} {kind}, {count} {unit}s.", *map(_note, facts)]
    if source.shared:
        alike = ", ".join(source.shared)
        notes.append(f"The source has targets with names of the problem's: {alike}; other {unit}s of them.")
        if not beside and len(source.shared) > 1:
            notes.append("Rows of two domains read these too (--methods usual,domains, or --labelled 0).")
    notes += [f"Left out of the source: {file} (cannot be read)." for file in unreadable]
    said = {"data": data, "classes": list(names), f"{unit}s": count, "unreadable": unreadable}
    return {**said, "learned": facts}, notes


def _note(one: Mapping[str, Any]) -> str:
    cut = "; their share of the minutes allowed no more" if one["done"] < one["steps"] else ""
    said = f"{', '.join(one['methods'])}: {one['done']} of {one['steps']} steps on the source"
    return f"{said}, {one['seconds']:.0f} s{cut}." + "".join(f" {more}." for more in one["remarks"])

"""What rows have to say of a source that they read, and of the layers that they add weights to."""

from __future__ import annotations

from collections.abc import Mapping

from metatl.adapt import AcrossDomains
from metatl.transferring.backbone import Backbone
from metatl.transferring.fit import started
from metatl.transferring.rows import Row
from metatl.transferring.study import Study
from metatl.transforms import told


def told_of_source(study: Study) -> list[str]:
    """Notes: classes, what is shrunk, what weights leave of the source in the first draw."""
    found = [] if study.beside is None else list(study.beside.notes)
    for name, row in study.rows.items():
        key = next(study.keys(name), None)
        if study.beside is None or key is None or not isinstance(row.adaptation, AcrossDomains):
            continue
        inside, _, _ = study.given(name, study.part(key), study.seed * 1000)
        if said := row.adaptation.told(inside.support):
            found.append(f"{name}: {said}.")
    return found


def told_of_additions(rows: Mapping[str, Row], net: Backbone) -> list[str]:
    """A note on rows that add weights at some of the net's layers alone, those at the same ones together."""
    alike = dict[str, list[str]]()
    for name, row in rows.items():
        if row.transform is not None:
            alike.setdefault(told(started(row, net, net.module, 2)[0]), []).append(name)
    return [
        f"{', '.join(names)} add{'s' * (len(names) == 1)} weights {said}."
        for said, names in alike.items()
        if said
    ]

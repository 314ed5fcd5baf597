"""What rows that read a source have to say of it."""

from __future__ import annotations

from metatl.adapt import AcrossDomains
from metatl.transferring.study import Study


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

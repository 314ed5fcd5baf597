"""`metatl transfer TARGET --cluster k`: rows without labels, clustered in what was carried over."""

from __future__ import annotations

import argparse
import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metatl.data.clustered import clusters_of
from metatl.data.examples import Examples
from metatl.data.table_rows import TableReader
from metatl.data.targets import no_targets
from metatl.lab import store
from metatl.shifts.domains import ComparedDomain, one_domain
from metatl.shifts.numbers import as_numbers, features_of, space
from metatl.text import say
from metatl.transferring.opened import Words, opened
from metatl.transferring.pretraining import learned_on
from metatl.transferring.several import only
from metatl.types import MetatlError

DIMS = 30
"""Principal directions that are clustered, at most; as in `metatl.data.Clustered`."""
Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Clusters:
    """A cluster for every row, [n], in the features of this name; rand: adjusted Rand index, with labels."""

    features: str
    label: Numbers
    rand: float | None


def clustered(x: Numbers, k: int, called: tuple[str | None, ...], name: str, seed: int = 0) -> Clusters:
    """K-means (10 starts) of the standardised rows' principal directions; no label is read but for the index.

    The adjusted Rand index (Hubert & Arabie 1985) is of the rows with a label: 1 where clusters are classes,
    0 in the mean of random clusters of their sizes. Raises MetatlError for k out of 2 .. n, and without
    scikit-learn.
    """
    if not 2 <= k <= len(x):
        raise MetatlError(f"--cluster is {k}, and there are {len(x)} rows; give 2 to {len(x)}")
    scale = x.std(0)
    scaled = (x - x.mean(0)) / np.where(scale > 0, scale, 1.0)
    label, _ = clusters_of(scaled, k, DIMS, seed, "--cluster")
    from sklearn.metrics import adjusted_rand_score

    known = [i for i, one in enumerate(called) if one is not None]
    rand = adjusted_rand_score([str(called[i]) for i in known], label[known]) if known else None
    return Clusters(name, label, None if rand is None else float(rand))


def cluster(words: argparse.Namespace) -> None:
    """`metatl transfer --cluster k`: a line for each kind of features, clusters.csv and report.json."""
    if words.source_clusters is not None:
        raise MetatlError("--source-clusters is of what is learned on a source; leave it out with --cluster")
    if words.save is not None:
        raise MetatlError("--save is of the rows of --methods; leave it out with --cluster")
    if words.paired is not None:
        raise MetatlError("--paired is of rows that read a source in every fit; leave it out with --cluster")
    columns = Words(target=words.target, text=words.text, drop=words.drop)
    found = one_domain(words.data, columns)
    found, each = _features(found, words, columns)
    made = [clustered(x, words.cluster, found.called, name, words.seed) for name, x in each.items()]
    folder = Path(words.out) if words.out else Path("runs") / f"cluster-{found.name}"
    best = made[-1]
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(
        [("row", "cluster"), *zip(found.inputs.ids, best.label + 1, strict=True)]
    )
    store.write_text(folder / "clusters.csv", stream.getvalue())
    rows = [{"features": one.features, "rand": one.rand, "sizes": _sizes(one)} for one in made]
    told = {"data": found.name, "rows": len(found.inputs), "clusters": words.cluster, "seed": words.seed}
    store.write_json(folder / "report.json", {**told, "features": rows})
    for one in made:
        rand = "no labels at hand" if one.rand is None else f"adjusted Rand index {one.rand:.3f}"
        say(f"{one.features}: {rand}; rows of each cluster: {', '.join(map(str, _sizes(one)))}")
    say(f"written to {folder}: clusters.csv (of {best.features}), report.json")


def _sizes(found: Clusters) -> list[int]:
    return np.bincount(found.label, minlength=int(found.label.max()) + 1).tolist()


def _features(
    found: ComparedDomain, words: argparse.Namespace, columns: Words
) -> tuple[ComparedDomain, dict[str, Numbers]]:
    """Rows that can be read and their numbers by name: columns as they are, then what was carried over."""
    table = found.inputs.columns is not None
    net = words.net or found.net
    if net is not None and words.source is not None:
        raise MetatlError(
            f"source: these {found.inputs.unit}s are clustered in the features of {net}; leave --source out, "
            "or name a net that was learned on it (--net RUN)"
        )
    if net is None and not table:
        raise MetatlError(f"{found.name}: {found.inputs.unit}s need a net; name one with --net")
    each: dict[str, Numbers] = {}
    if table:
        _, _, plain, _, _ = as_numbers(found, found, space(found.inputs, found.inputs), None)
        each |= {} if plain is None else {"columns as they are": plain}
    if words.source is not None:
        source = opened(only(words.source, "--cluster"), columns, strict=False)[0]
        made, notes = learned_on(source, _unlabelled(found), words.seed)
        for note in notes:
            say(note)
        found, x = features_of(found, made)
        each[f"features of {made.facts['net']}"] = x
    elif net is not None:
        from metatl.transferring.backbone import backbone

        found, x = features_of(found, backbone(net, words.size))
        each = {f"features of {net}": x}
    return found, each


def _unlabelled(found: ComparedDomain) -> Examples:
    """The rows as examples whose targets say nothing."""
    rows = np.arange(len(found.inputs))
    return Examples(found.name, TableReader(), found.inputs, no_targets(len(rows)), rows, None, "folds")

"""Sentiment of Amazon reviews across four kinds of goods: twelve pairs, without target labels and with 50.

    METATL_DATA=<folder with amazon_reviews/> python scripts/reviews.py

Writes the reviews of each pair as tables to runs/reviews, runs `metatl transfer` on each, and puts the
accuracies of all pairs side by side into table.md. A review is its 5,000 words' 1 + log(count), weighted by
inverse document frequency and scaled to length 1, on the 100 largest singular directions of both domains'
training reviews (latent semantic analysis): no label is in it. Values of every row are chosen, without labels
of the target by held-out reviews of the source. Resumable: what is done is not done again.

DANN stands beside a net of the same size that sees the source alone (`source-net`).
Duration: 60 minutes on one thread; --pairs b-d,d-b does these alone.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import study
from scipy.sparse import vstack
from scipy.stats import t, ttest_rel
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer

from metatl.evaluation.statistics import holm
from metatl.lab import store
from metatl.lab.render.tables import p_value
from metatl.types import MetatlError

GOODS = ("books", "dvd", "electronics", "kitchen")
DIRECTIONS, LABELLED, DRAWS = 100, "0,25", 3
METHODS = (
    "logistic-regression,logistic-on-columns,boosted-trees,source-only,pooled,easy-adapt,coral,"
    "subspace-alignment,weights-by-classifier,tradaboost,continued-boosting,source-net,dann"
)
FLOOR = "source-only"


def counts(name: str) -> tuple[Any, Any, Any]:
    """Counts [n, words], labels and parts of one kind of goods."""
    held = np.load(study.data(f"amazon_reviews/{name}.npz"))
    x = np.zeros((len(held["y"]), int(held["n_features"])), np.float32)
    row = np.repeat(np.arange(len(x)), np.diff(held["indptr"]))
    x[row, held["indices"]] = held["values"]
    return x, np.where(held["y"] > 0, "positive", "negative"), np.where(held["split"] == 0, "train", "test")


def tables(folder: Path, source: str, target: str) -> None:
    """The source's training reviews, and those of the target to learn from and to judge."""
    if (folder / "target" / "test.npz").is_file():
        return
    (x_s, y_s, part_s), (x_t, y_t, part_t) = counts(source), counts(target)
    x_s, y_s = x_s[part_s == "train"], y_s[part_s == "train"]
    parts = x_s, x_t[part_t == "train"], x_t[part_t == "test"]
    weighted = TfidfTransformer(sublinear_tf=True).fit(np.concatenate(parts[:2]))
    seen, free, new = (weighted.transform(one) for one in parts)
    directions = TruncatedSVD(DIRECTIONS, random_state=0).fit(vstack([seen, free]))
    x_s, x_train, x_test = (directions.transform(one).astype(np.float32) for one in (seen, free, new))
    (folder / "target").mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{source}.npz", x=x_s, y=y_s)
    for part, x in (("train", x_train), ("test", x_test)):
        np.savez(folder / "target" / f"{part}.npz", x=x, y=y_t[part_t == part])


def whole(report: Path) -> bool:
    """Whether every cell is done; one that is missing is made up for where there are more minutes now."""
    return report.is_file() and not store.read_json(report)["protocol"]["missing"]


def table(found: dict[str, dict[str, Any]]) -> str:
    """Accuracy of every row on every pair, the mean with its interval over pairs, and paired tests."""
    reports = {
        pair: {(row["method"], row["labelled"]): row for row in one["rows"] if row["score"] is not None}
        for pair, one in found.items()
    }
    pairs, lines = list(reports), list[str]()
    keys = list(dict.fromkeys(k for one in reports.values() for k in one))
    whole = [key for key in keys if all(key in one for one in reports.values())]
    score = {key: np.array([reports[pair][key]["score"] for pair in pairs]) for key in whole}
    tested = [key for key in whole if key[0] != FLOOR and (FLOOR, key[1]) in whole]
    raw = [float(ttest_rel(score[key], score[FLOOR, key[1]]).pvalue) for key in tested]
    p = dict(zip(tested, holm(raw), strict=True))
    head = ["method", "labels of each class", "draws", *pairs, "mean", f"to {FLOOR}", "p"]
    lines += ["| " + " | ".join(head) + " |", "|" + " --- |" * 3 + " ---: |" * (len(pairs) + 3)]
    for key in sorted(whole, key=lambda key: (key[1], -score[key].mean())):
        draws = min(reports[pair][key]["draws"] for pair in pairs)
        row = [
            key[0],
            str(key[1]),
            str(draws),
            *(f"{one:.1f}" for one in score[key]),
            f"{score[key].mean():.1f}",
        ]
        if key in p:
            gap = score[key] - score[FLOOR, key[1]]
            half = t.ppf(0.975, len(pairs) - 1) * gap.std(ddof=1) / np.sqrt(len(pairs))
            row += [
                f"{gap.mean():+.1f} [{gap.mean() - half:+.1f}, {gap.mean() + half:+.1f}]",
                p_value(p[key]),
            ]
        else:
            row += ["", ""]
        lines.append("| " + " | ".join(row) + " |")
    lacking = sorted({f"{name} with {k}" for name, k in keys} - {f"{name} with {k}" for name, k in whole})
    if lacking:
        lines += ["", f"Not done on every pair, and left out: {', '.join(lacking)} labels (more --minutes)."]
    return "\n".join(lines)


def readme(found: dict[str, dict[str, Any]]) -> str:
    """The table with what it is."""
    return f"""# Amazon reviews, domain to domain

Accuracy in percent on the target's test reviews, {len(found)} of 12 pairs (source-target, by first letter),
written by `scripts/reviews.py`. 2,000 labelled source reviews, the target's 2,000 training reviews without
labels, and none or 25 labels of each class. A review is its 5,000 words (tf-idf) on the {DIRECTIONS} largest
singular directions of both domains' training reviews; at most {DRAWS} draws. Without labels values are chosen
by held-out reviews of the source, else inside the labelled ones. Difference and p: paired over pairs, 95 %
interval by t, Holm over all lines. Pairs share domains, so they are not independent, and the intervals are on
the narrow side.

{table(found)}
"""


def main() -> None:
    parser = study.parser("Sentiment across domains.", "results/reviews", "runs/reviews")
    parser.add_argument(
        "--minutes", type=float, default=8.0, help="of each pair at most, all commands together [8]"
    )
    parser.add_argument("--pairs", help="b-d, d-k, ... with commas between them; all by default")
    given = parser.parse_args()
    found, every = dict[str, Any](), {f"{s[0]}-{t[0]}": (s, t) for s, t in itertools.permutations(GOODS, 2)}
    names = [*every] if given.pairs is None else given.pairs.split(",")
    if strange := sorted({*names} - {*every}):
        raise MetatlError(f"{strange[0]!r} is no pair; there are {', '.join(every)}")
    for source, target in (every[name] for name in names):
        pair, folder = f"{source[0]}-{target[0]}", Path(given.runs) / f"{source}-{target}"
        out = folder / "out"
        if not whole(out / "report.json"):
            tables(folder, source, target)
            words = [str(folder / "target"), "--target", "y", "--source", str(folder / f"{source}.npz")]
            words += ["--labelled", LABELLED, "--methods", METHODS, "--draws", str(DRAWS)]
            study.transfer([*words, "--minutes", f"{given.minutes:g}", "--out", str(out)])
        found[pair] = store.read_json(out / "report.json")
        store.make_folder(Path(given.out))
        kept = {name: [*one["rows"]] for name, one in found.items()}
        store.write_json(Path(given.out) / "reports.json", kept)
        if len(found) > 1:
            store.write_text(Path(given.out) / "README.md", readme(found))


if __name__ == "__main__":
    study.command(main)

"""What differs, in the words of the field, and what is worth trying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metatl.shifts.compared import Compared
from metatl.shifts.numbers import Space

SETTINGS: Mapping[str, str] = {
    "inductive": "the target has labels of its own",
    "transductive": "the task is the source's, and the target has no labels",
    "unsupervised": "there are no labels on either side",
}


@dataclass(frozen=True)
class Verdict:
    """The names.

    setting: a key of SETTINGS; shifts: of covariate, label, concept; empty where none was shown; either:
    whether the tests leave open which of them it is; unseen: classes of the target that the source never
    had; absent: those that the target lacks; shares: whether P(Y) differs beside shifts of other names.
    """

    setting: str
    space: Space
    shifts: tuple[str, ...]
    either: bool
    unseen: tuple[str, ...]
    absent: tuple[str, ...]
    shares: bool = False


def shifts(found: Compared) -> tuple[tuple[str, ...], bool]:
    """Names by the tests, and whether it is one of them and not all.

    Where P(Y) differs, P(X given Y) tells label shift, which leaves it alone, from covariate shift, which
    leaves P(Y given X) alone; where neither is shown to differ (too few rows, or no target labels) it is one
    of the two. Else concept shift where P(Y given X) differs, and covariate shift where P(X) does.
    """
    y, x = found.differs("P(Y)"), found.differs("P(X)")
    inside, rule = found.differs("P(X given Y)"), found.differs("P(Y given X)")
    if y and x is None:
        return ("label",), False
    if y and not inside:
        return (("label",), False) if rule else (("label", "covariate"), True)
    named = (["concept"] if rule else []) + (["covariate"] if x else [])
    return tuple(named), False


@dataclass(frozen=True)
class Advice:
    """Rows of `metatl transfer` for one kind of shift, those that fit best first, and why."""

    rows: tuple[str, ...]
    why: str


_UNLIKE = Advice(
    ("dama", "shared-latent", "cca", "boosted-trees", "logistic-on-columns", "ridge-on-columns"),
    "no net can be carried over as it is; dama and shared-latent bring unlike columns together by labels on "
    "both sides, cca by things that have a row in both (--paired), and rows on the target's own columns are "
    "to be beaten",
)
_NONE = Advice(
    ("head-only", "logistic-regression", "fine-tuning"),
    "what was learned on the source should hold as it is, and more rows of it are worth more than a "
    "method that adapts",
)
_TRY: Mapping[str, Advice] = {
    "covariate": Advice(
        ("weights-by-classifier", "coral", "subspace-alignment", "adabn", "norms-only", "surgical-first"),
        "inputs lie elsewhere: as far as the rule from them to labels stays, weighting or aligning them, or "
        "moving early layers and norms, is enough",
    ),
    "label": Advice(
        ("nearest-centroid", "ridge", "surgical-last", "head-only"),
        "classes look alike and only their shares moved, so that the output layer and its prior are to "
        "change; rows that make the inputs' distributions alike (CORAL, MMD, DANN) would mix classes up",
    ),
    "concept": Advice(
        ("tradaboost", "easy-adapt", "lp-ft", "l2-sp", "surgical-last"),
        "equal inputs have other labels here, so that some labels of the target are needed, and source rows "
        "may harm: compare with no-transfer",
    ),
}
MOST_TRIED = 6
_ALIKE = ("coral", "subspace-alignment", "adabn")
"""Rows that make all inputs alike, and harm where the shares of classes differ (results/negative)."""


def advice(found: Verdict, known: Mapping[str, bool]) -> tuple[list[str], list[str]]:
    """Rows of `metatl transfer` to try, and why in three sentences.

    known: those that can act here, and whether each serves without labels of the target; where the target has
    none these are named alone, if there are any.
    """
    unlike = found.space.named == "disjoint"
    ways = [_UNLIKE] if unlike else [_TRY[kind] for kind in found.shifts] or [_NONE]
    kept_out = _ALIKE if found.shares else ()
    rows = list(
        dict.fromkeys(row for way in ways for row in way.rows if row in known and row not in kept_out)
    )
    if found.setting == "transductive":
        rows = [row for row in rows if known[row]] or rows
    rows = rows[:MOST_TRIED]
    why = ways[0].why
    if len(ways) > 1:
        why = "; ".join(
            f"as to {kind} shift, {way.why}" for kind, way in zip(found.shifts, ways, strict=True)
        )
    if found.shares:
        why += "; rows that make all inputs alike (CORAL, MMD, DANN) would mix up classes of other shares"
    return rows, [_differs(found, unlike), f"{why[0].upper()}{why[1:]}.", _last(found, rows)]


def _differs(found: Verdict, unlike: bool) -> str:
    if unlike:
        return f"The feature spaces are disjoint; the setting is {found.setting}."
    named = " and ".join(f"{kind} shift" for kind in found.shifts) or "no shift that a test shows"
    if found.either:
        named = " or ".join(f"{kind} shift" for kind in found.shifts)
        named += (
            ", which labels of the target could tell apart"
            if found.setting != "inductive"
            else (", which more rows could tell apart")
        )
    if found.shares:
        named += ", and the shares of the classes differ"
    return f"Between these domains there is {named} ({found.setting}: {SETTINGS[found.setting]})."


def _last(found: Verdict, rows: Sequence[str]) -> str:
    tried = f"Try {', '.join(rows)} of 'metatl transfer'" if rows else "Compare rows with 'metatl transfer'"
    if found.unseen:
        few = ", ".join(map(repr, found.unseen[:5]))
        return (
            f"{tried}; the source never saw class {few} (open set), which no row without target labels names."
        )
    return f"{tried}, and judge by the target's own labels, if only a few."

"""Tables: any rows, facts by name, counts of classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from metatl.lab.render.html.markup import NONE, Html, element, joined, shown
from metatl.lab.render.html.words import folded

MOST_ROWS = 60
"""Rows that a table shows before the rest is folded away."""
MOST_CLASSES = 24
"""Classes of a confusion that is shown whole."""
_PAIRS = 20
"""Pairs of classes of a larger one."""
_NUMBER = re.compile(rf"((?:[+\-−±]|&lt;)?\d.*|{NONE}|reference|)", re.DOTALL)


def table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | Mapping[str, str],
    strong: Callable[[Mapping[str, Any]], bool] = lambda row: False,
) -> Html:
    """Rows as a table that scrolls inside its own box; nothing without rows.

    columns: the keys to show, in order, or keys to their headings; a row without a key has a dash there.
    Columns after the first whose cells all begin with a digit, a sign or a dash are set to the right.
    strong: rows in bold.
    """
    if not rows:
        return Html()
    headings = dict(columns) if isinstance(columns, Mapping) else {key: key for key in columns}
    cells = {key: [shown(row.get(key)) for row in rows] for key in headings}
    first, *others = headings
    style = {key: "number" if all(map(_NUMBER.fullmatch, cells[key])) else "text" for key in others}
    style[first] = "text"
    head = element("tr", *(element("th", name, class_=style[key]) for key, name in headings.items()))
    lines = [
        element(
            "tr",
            *(element("td", cells[key][place], class_=style[key]) for key in headings),
            **({"class_": "strong"} if strong(row) else {}),
        )
        for place, row in enumerate(rows)
    ]
    rest = lines[MOST_ROWS:]
    return joined((_box(head, lines[:MOST_ROWS]), folded(f"{len(rest)} more rows", _box(head, rest))))


def _box(head: Html, lines: Sequence[Html], **attributes: str) -> Html:
    if not lines:
        return Html()
    whole = element("table", element("thead", head), element("tbody", *lines), **attributes)
    return element("div", whole, class_="scroll")


def facts(mapping: Mapping[str, Any]) -> Html:
    """Names and values, one below the other; a nested mapping is folded; nothing without any."""
    plain = {key: value for key, value in mapping.items() if not _nested(value)}
    listed = [joined((element("dt", key), element("dd", value))) for key, value in plain.items()]
    inner = [folded(str(key), facts(value)) for key, value in mapping.items() if _nested(value)]
    return joined((element("dl", *listed) if listed else "", *inner))


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(cast(Mapping[Any, Any], value))


def confusion(counts: Any, names: Sequence[str]) -> Html:
    """Counts [classes, classes] of true class (down) and named class (across), shaded by share of a row.

    Of many classes the pairs that are confused most often are listed instead. names: of the classes.
    Raises ValueError where the shapes do not fit each other.
    """
    held: NDArray[np.int64] = np.asarray(counts, np.int64)
    if held.shape != (len(names), len(names)):
        raise ValueError(f"{len(names)} names for counts of shape {held.shape}")
    if not held.any():
        return Html()
    return _whole(held, names) if len(names) <= MOST_CLASSES else _pairs(held, names)


def _whole(held: NDArray[np.int64], names: Sequence[str]) -> Html:
    share = held / np.maximum(held.sum(1, keepdims=True), 1)
    called = [Html(shown(name).replace("_", "_<wbr>")) for name in names]  # a long one may break there
    head = element("tr", element("th", "true \\ named"), *(element("th", name) for name in called))
    lines = [
        element("tr", element("th", name), *map(_shaded, held[row].tolist(), share[row].tolist()))
        for row, name in enumerate(called)
    ]
    return _box(head, lines, class_="confusion")


def _shaded(count: int, share: float) -> Html:
    said = f"{100 * share:.0f} % of its class"
    return element("td", count or "", style=f"background: rgba(var(--hue), {0.7 * share:.2f})", title=said)


def _pairs(held: NDArray[np.int64], names: Sequence[str]) -> Html:
    wrong = held - np.diag(np.diag(held))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    pairs = [(i, j) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True) if wrong[i, j]]
    rows = [
        {"true": names[i], "named": names[j], "times": int(wrong[i, j]), "of": int(held[i].sum())}
        for i, j in pairs
    ]
    return table(rows, ("true", "named", "times", "of"))

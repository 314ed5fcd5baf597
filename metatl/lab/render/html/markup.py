"""Text and HTML told apart by their types, so that nothing is shown unescaped by mistake."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from metatl import text

NONE = "–"
"""Stands for what there is not."""
_VOID = ("br", "img", "meta")


class Html(str):
    """HTML; a plain string is text and is escaped where it is shown."""

    __slots__ = ()


def shown(value: Any) -> Html:
    """Any value as HTML: text escaped on one line, a real number to four digits, a dash for None and NaN."""
    if isinstance(value, Html):
        return value
    if isinstance(value, Mapping):
        pairs = cast(Mapping[Any, Any], value).items()
        return Html(", ".join(f"{shown(key)} {shown(item)}" for key, item in pairs) or NONE)
    if isinstance(value, list | tuple):
        return Html(", ".join(map(shown, cast(list[Any], value))) or NONE)
    return Html(text.html(_said(value)))


def _said(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NONE
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def element(tag: str, /, *inner: Any, **attributes: Any) -> Html:
    """`<tag attributes>inner</tag>`; a trailing underscore of an attribute's name is left out (`class_`)."""
    said = "".join(f' {key.rstrip("_")}="{text.html(_said(value))}"' for key, value in attributes.items())
    return Html(f"<{tag}{said}>" if tag in _VOID else f"<{tag}{said}>{joined(inner)}</{tag}>")


def joined(parts: Iterable[Any]) -> Html:
    """Several values after each other, as one."""
    return Html("".join(map(shown, parts)))

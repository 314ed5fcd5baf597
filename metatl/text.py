"""Text from files is text: what names of methods, classes, files and data sets become where they are shown.

A name may hold whatever its file system or its author allows: escape sequences that move a terminal's cursor,
newlines, marks that turn the direction of writing, HTML, the bars of a table. Every place where names are
shown takes them through one of the forms below; `each` does it for all that a report holds.
"""

from __future__ import annotations

import difflib
import html as _html
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TextIO, cast

_MARKS = re.compile(r"[\\|`*\[\]~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What Markdown reads as its own; inside a word an underscore is none."""
_ALIKE = 0.5
"""Share of letters in which a misspelt word and a name agree at least."""


def terminal(text: str) -> str:
    """For a terminal: one line; what would not be seen as a character stands as a number, as repr says it."""
    return text if text.isprintable() else "".join(map(_seen, text))


def _seen(c: str) -> str:
    return c if c.isprintable() or unicodedata.category(c) == "Zs" else repr(c)[1:-1]


def markdown(text: str) -> str:
    """For Markdown, a table's cell too: shown as it is, whatever it holds."""
    marked = _MARKS.sub(r"\\\g<0>", terminal(text))
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def html(text: str) -> str:
    """For HTML, an attribute's value too."""
    return _html.escape(terminal(text))


def drawn(text: str) -> str:
    """For matplotlib, where what stands between two dollars is a formula."""
    return terminal(text).replace("$", r"\$")


def each(value: Any, form: Callable[[str], str]) -> Any:
    """Nested values in which every string, keys included, has this form."""
    if isinstance(value, str):
        return form(value)
    if isinstance(value, Mapping):
        return {form(str(key)): each(item, form) for key, item in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [each(item, form) for item in cast(list[Any], value)]
    return value


def near(word: str, names: Iterable[str], most: int = 3) -> str:
    """What a refusal of a name ends in: "; nearest: SGD, Adam"; where no name is like the word a few of them.

    A name is as near as it is alike, or as its beginning is: rigde is RidgeRegression.
    """

    def alike(name: str) -> tuple[float, float]:
        parts = (name.lower(), name[: len(word)].lower())
        whole, start = (difflib.SequenceMatcher(None, part, word.lower()).ratio() for part in parts)
        return max(whole, start), whole

    known = sorted(dict.fromkeys(names), key=alike, reverse=True)
    found = [name for name in known if alike(name)[0] >= _ALIKE][:most]
    said = f"; nearest: {', '.join(found)}" if found else f"; known: {', '.join(known[: 2 * most])}"
    return said if known else ""


def counted(count: float, what: str) -> str:
    """1 draw, 2 draws, 0.5 minutes: a number of things whose plural ends in s."""
    return f"{count:g} {what}{'s' * (count != 1)}"


def say(text: str, file: TextIO | None = None) -> None:
    """Print a line, or the lines of a table whose cells have a terminal's form already."""
    print("\n".join(map(terminal, text.split("\n"))), file=file or sys.stdout, flush=True)

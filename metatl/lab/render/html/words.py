"""Sentences, commands and what folds them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from metatl.lab.render.html.markup import Html, element, joined


def headline(number: str, said: str) -> Html:
    """The one number to take away, large, and the sentence that says what it is of."""
    return element("p", element("strong", number), said, class_="headline")


def paragraph(said: Any) -> Html:
    """A paragraph of text."""
    return element("p", said)


def command(words: Sequence[str]) -> Html:
    """The words of a command as one types them into a shell; nothing without words."""
    said = [element("span", shlex.quote(word)) for word in words]
    return element("div", Html(" ".join(said)), class_="command") if said else Html()


def notes(said: Sequence[Any]) -> Html:
    """A list of remarks; nothing without any."""
    return element("ul", *(element("li", one) for one in said)) if said else Html()


def folded(summary: str, body: Html) -> Html:
    """What is long and seldom read, behind a line that opens it; nothing without a body."""
    return element("details", element("summary", summary), body) if body else Html()


def side_by_side(*parts: Html) -> Html:
    """Parts beside each other where the window is wide enough; empty ones take no room."""
    held = [element("div", part) for part in parts if part]
    return element("div", joined(held), class_="columns") if held else Html()

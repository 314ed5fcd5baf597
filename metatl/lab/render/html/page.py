"""The page around the sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metatl.lab.render.html.markup import Html, element, joined
from metatl.lab.render.html.style import CSS

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for a page: pictures inside it and its own style."""


@dataclass(frozen=True)
class Section:
    """A heading ("": none) and what stands below it; a section without a body is left out of the page."""

    title: str
    body: Html


def page(title: str, sections: Sequence[Section]) -> str:
    """The text of one HTML file: the same bytes for the same title and sections."""
    head = joined(
        (
            element("meta", charset="utf-8"),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", title),
            element("style", Html(CSS)),
        )
    )
    body = joined((element("h1", title), *map(_section, (one for one in sections if one.body))))
    document = element("html", element("head", head), element("body", element("main", body)), lang="en")
    return f"<!DOCTYPE html>\n{document}\n"


def _section(section: Section) -> Html:
    heading = element("h2", section.title) if section.title else Html()
    return element("section", heading, section.body)

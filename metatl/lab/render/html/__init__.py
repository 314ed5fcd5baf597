"""One self-contained page: no script, no server, no file beside it, nothing from a network.

A page is a title and sections; a section is a title and a body that the makers below return. Everything that
is not `Html` already is escaped (`metatl.text`), wherever it is given.
"""

from metatl.lab.render.html.markup import Html, element, joined, shown
from metatl.lab.render.html.page import Section, page
from metatl.lab.render.html.pictures import Shown, calibration, calibration_error, examples, figure
from metatl.lab.render.html.small import small
from metatl.lab.render.html.tables import confusion, facts, table
from metatl.lab.render.html.words import command, folded, headline, notes, paragraph, side_by_side

__all__ = [
    "Html",
    "Section",
    "Shown",
    "calibration",
    "calibration_error",
    "command",
    "confusion",
    "element",
    "examples",
    "facts",
    "figure",
    "folded",
    "headline",
    "joined",
    "notes",
    "page",
    "paragraph",
    "shown",
    "side_by_side",
    "small",
    "table",
]

"""The one error that is the user's to mend; imported where torch is not."""

from __future__ import annotations

from metatl.text import terminal


class MetatlError(Exception):
    """A user's mistake, said in one line: what was wrong and what to do. The command exits with code 2.

    Names in it, from whatever file, are shown as text (`metatl.text`).
    """

    def __str__(self) -> str:
        """One line, as a terminal shows it."""
        return terminal(" ".join(super().__str__().split()))

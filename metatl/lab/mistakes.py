"""Mistakes in a config, each one line with the whole key that it is about."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager

from metatl.types import MetatlError

_LONGEST = 500
_KEY = re.compile(r'Parser key "([^"]*)":?')
_PLAIN = (
    (_KEY, ""),
    (re.compile(r"Problem with given class_path '[^']*':?"), ""),
    (re.compile(r"[.,:]? ?Got value: *([{\[(]|Namespace\().*", re.DOTALL), ""),  # whole mappings
    (re.compile(r"<class '([^']*)'>"), r"\1"),
    (re.compile(r"typing\.|collections\.abc\.|torch\.nn\.modules\.module\."), ""),
    (re.compile(r"(: *){2,}|  +"), " "),
)
"""What jsonargparse says that is of no use to somebody who wrote a config, and what stands for it."""


def one_line(error: Exception) -> str:
    """What jsonargparse says, with the whole key in front and without mappings that it was given."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    noise = ("Subtypes:", "Errors:", "Given value", "Does not validate", "Expected a <class 'None")
    said = ": ".join(line.rstrip(":") for line in lines if not line.startswith(noise))
    key = ".".join(_KEY.findall(said))
    for form, plain in _PLAIN:
        said = form.sub(plain, said)
    said = f"{key}: {said.strip(' :')}" if key else said
    return said if len(said) <= _LONGEST else said[:_LONGEST] + " ..."


class _PlacedError(MetatlError):
    """A refusal with the key that it is about."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key}: {why}")
        self.key, self.why = key, why


@contextmanager
def at(key: str) -> Generator[None]:
    """What is refused is told with its whole key: learner.rule."""
    try:
        yield
    except _PlacedError as error:
        raise _PlacedError(f"{key}.{error.key}", error.why) from error
    except MetatlError as error:
        raise _PlacedError(key, str(error)) from error

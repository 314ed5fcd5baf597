"""Tasksets: episodes from anything that samples whole tasks, such as learn2learn's benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

from PIL import Image

from metatl import importing
from metatl.data.images import Pixels
from metatl.data.source import SPLITS, Source, device_of
from metatl.data.taskset_data import TasksetData, seeded
from metatl.types import MetatlError


@final
@dataclass(frozen=True)
class Taskset(Source):
    """Whole tasks (x, y) from the `.sample()` of three tasksets: train, validation, test.

    Each task is split as users of tasksets do: of every class (labels in ascending order) the first `shot`
    rows are support and the next `query` rows are query; of a regression task (real y) simply the first and
    the next rows. So a taskset for `shot` and `query` samples shot + query rows of each of `way` classes.

    A draw seeds Python's, numpy's and torch's generators from (seed, split, index) and puts them back. So it
    is a function of these three for every taskset that draws from them alone and remembers nothing; one with
    a fixed number of tasks (learn2learn's `num_tasks`) is asked for a task by its number.

    Args:
        path: dotted path of a callable that returns (train, validation, test), or of such a triple.
        arguments: of the callable.
        name: in reports; the path for None.
    """

    path: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    name: str | None = None

    def __post_init__(self) -> None:
        """Refuse a path that may not be imported, before anything is."""
        importing.check(self.path.replace(":", "."))

    def __hash__(self) -> int:
        """Of all values, the arguments by what they look like."""
        return hash(repr(self))

    def load(self, device: str = "cpu") -> TasksetData:
        """Call it; raises MetatlError where the path leads nowhere or what it gives samples no tasks."""
        place, found = device_of(device), _at(self.path)
        if callable(found):
            found = self._called(found)
        try:
            three = tuple(found)
        except TypeError:
            three = ()
        if len(three) != 3 or not all(hasattr(one, "sample") for one in three):
            raise MetatlError(
                f"taskset {self.path}: needs three tasksets with .sample(): (train, validation, test)"
            )
        return TasksetData(self.name or self.path, dict(zip(SPLITS, three, strict=True)), place)

    def picture(self, image: Image.Image, shape: tuple[int, ...], where: str) -> Pixels:
        """Refused: how its pictures were prepared only the taskset knows."""
        raise MetatlError(
            f"{where}: tasksets prepare their pictures themselves; give x as the taskset does, [n, *{shape}]"
        )

    def _called(self, maker: Any) -> Any:
        try:
            with seeded(0):
                return maker(**self.arguments)
        except (TypeError, ValueError, OSError, RuntimeError, LookupError) as error:
            line = (str(error).splitlines() or [type(error).__name__])[0]
            raise MetatlError(f"taskset {self.path}: calling it failed: {line}") from error


def _at(path: str) -> Any:
    """The object that a dotted path (package.module.name, or package.module:name) leads to."""
    try:
        return importing.found(path.replace(":", "."))
    except (ImportError, AttributeError, ValueError) as error:
        raise MetatlError(f"taskset {path}: there is nothing at that path ({error})") from error

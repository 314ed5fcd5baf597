"""Shapes of episodes: one for all, or each drawn from (seed, split, index)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeVar

from metatl.data.counter import number
from metatl.data.shots import Shots
from metatl.types import Episode, MetatlError, Ragged

S = TypeVar("S", bound=Hashable)
_SHAPES, _WAY, _SHOT, ROWS = 9, 0, 1, 2


class EpisodeShape(NamedTuple):
    """Of an episode: classes, and rows of each."""

    way: int
    shot: int
    query: int


@dataclass(frozen=True)
class Tasks:
    """The shape of an episode: `way` classes with `shot` support and `query` query examples each.

    way and shot may be drawn for each episode: `[5, 20]` is any number from 5 to 20, all equally likely (of
    classes at most those of the split). shot may also follow from the sizes of the classes: AsTheyCome,
    MetaDataset; then `query` is an upper bound. Tasks of one shape run at once, others one after another;
    heads are then fresh, as each task has outputs for its own classes.

    subsets: "random" draws the classes; "enumerated" gives episode i the i-th combination of classes in
    lexicographic order, modulo their number (say all C(10, 3) = 120 triples of digits), and takes subjects in
    their own order.
    """

    way: int | tuple[int, int] = 5
    shot: int | tuple[int, int] | Shots = 1
    query: int = 15
    subsets: Literal["random", "enumerated"] = "random"

    def __post_init__(self) -> None:
        """Pairs from a file are lists."""
        for name in ("way", "shot"):
            if isinstance(given := getattr(self, name), list):
                object.__setattr__(self, name, tuple(given))

    @property
    def ways(self) -> tuple[int, int]:
        """The least and the most classes of an episode."""
        return _pair(self.way)

    @property
    def shots(self) -> tuple[int, int] | None:
        """The least and the most support rows of a class; None where they follow from sizes."""
        return None if isinstance(self.shot, Shots) else _pair(self.shot)

    @property
    def varied(self) -> bool:
        """Whether episodes may differ in shape."""
        return isinstance(self.way, tuple) or not isinstance(self.shot, int)

    @property
    def support_only(self) -> Tasks:
        """The same without query rows; where shots follow from sizes, the query rows stay apart."""
        return self if isinstance(self.shot, Shots) else replace(self, query=0)

    def check(self, data: str | None = None) -> None:
        """Refuse an episode that no data can serve; raises MetatlError. data: whose tasks have one shape."""
        self._check_drawn(data)
        if self.ways[0] < 2:
            raise MetatlError(f"way is {self.way}: a task needs at least 2 classes")
        if self.shots is not None and self.shots[0] < 1:
            raise MetatlError(f"shot is {self.shot}: the support set needs at least 1 example a class")
        if self.query < 0:
            raise MetatlError(f"query is {self.query}: give 0 for no query set, or a positive number")
        if self.subsets not in ("random", "enumerated"):
            raise MetatlError(f"subsets is {self.subsets!r}: it is 'random' or 'enumerated'")

    def _check_drawn(self, data: str | None) -> None:
        for name, pair in (("way", self.ways), ("shot", self.shots or (1, 1))):
            if len(pair) != 2 or pair[0] > pair[1]:
                raise MetatlError(f"{name} is {list(pair)}: give a number, or [least, most]")
        if isinstance(self.shot, Shots):
            self.shot.check(self.ways[1])
            if self.query < 1:
                raise MetatlError(f"query is {self.query}: with shots from sizes it is a most, 1 or more")
        if isinstance(self.way, tuple) and self.subsets == "enumerated":
            raise MetatlError("subsets enumerated counts subsets of one size: give way as a number")
        if data is not None and self.varied:
            raise MetatlError(f"{data} has tasks of one shape: give way and shot as numbers")

    @property
    def one(self) -> EpisodeShape:
        """The one shape of all; MetatlError where they vary."""
        if not isinstance(self.way, int) or not isinstance(self.shot, int):
            raise MetatlError("tasks of one shape are wanted: give way and shot as numbers")
        return EpisodeShape(self.way, self.shot, self.query)

    def drawn(self, key: int, index: int, classes: int | None = None) -> Tasks:
        """The tasks of which episode `index` is one: way and shot as numbers, unless shot follows from sizes.

        key: of the stream of episodes; classes: of the split, which way does not exceed.
        """
        own = number(key, _SHAPES, index)
        least, most = self.ways
        way = _between(least, most if classes is None else min(most, classes), number(own, _WAY))
        if isinstance(self.shot, Shots):
            return replace(self, way=way)
        return replace(self, way=way, shot=_between(*_pair(self.shot), number(own, _SHOT)))

    def said(self, outputs: int) -> dict[str, int | str]:
        """way, shot and query as a protocol has them; outputs: of an episode, where that is one number."""
        way = outputs if isinstance(self.way, int) else f"{self.way[0]} to {self.way[1]}"
        if isinstance(self.shot, Shots):
            return {"way": way, "shot": self.shot.said, "query": f"at most {self.query}"}
        shot = self.shot if isinstance(self.shot, int) else f"{self.shot[0]} to {self.shot[1]}"
        return {"way": way, "shot": shot, "query": self.query}


def rows_key(key: int, index: int) -> int:
    """The key from which episode `index` draws how many rows its classes give."""
    return number(key, _SHAPES, index, ROWS)


def ragged(shapes: Sequence[S], draw: Callable[[S, tuple[int, ...]], Episode]) -> Ragged:
    """Episodes of these shapes, stacked where they are alike; draw: those at these places, all of a shape."""
    places: dict[S, list[int]] = {}
    for place, shape in enumerate(shapes):
        places.setdefault(shape, []).append(place)
    parts = tuple(draw(shape, tuple(some)) for shape, some in places.items())
    return Ragged(parts, tuple(map(tuple, places.values())))


def _pair(given: int | tuple[int, int]) -> tuple[int, int]:
    return given if isinstance(given, tuple) else (given, given)


def _between(least: int, most: int, word: int) -> int:
    """least .. most, from a random word."""
    return least + (((word >> 32) & 0xFFFFFFFF) * (most - least + 1) >> 32)

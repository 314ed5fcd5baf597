"""What every data set offers: a `Source` that a config names, and the loaded `Data` that draws episodes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from metatl.data.balance import Balance
from metatl.data.shapes import Tasks
from metatl.fields import Checked
from metatl.types import Batch, Episode, Labels, MetatlError, Ragged, Split

if TYPE_CHECKING:
    from PIL import Image

    from metatl.data.examples import Shown
    from metatl.data.images import Pixels
    from metatl.data.shown import Show

__all__ = ["SPLITS", "Data", "Kind", "Source", "Tasks", "device_of", "indices"]

SPLITS: tuple[Split, Split, Split] = ("meta_train", "meta_val", "meta_test")
"""The three disjoint sets, in the order in which reports name them."""
Kind = Literal["classification", "regression", "multilabel"]
"""What targets are: class labels (one a row, or one a pixel), real values, several labels at once."""


class Data(ABC):
    """A loaded, device-resident data set; every draw depends on (seed, split, index) and on nothing else."""

    shape: tuple[int, ...]
    """Of one example, e.g. (1, 28, 28)."""
    kind: Kind
    name: str
    labelled_support: ClassVar[bool] = True
    """Whether the support rows of episodes have targets."""
    show: Show | None = None
    """How the source shows an example, where its tensor does not say it (token ids, encoded columns)."""
    capturable: ClassVar[bool] = False
    """Whether `draw` reads nothing back from the device, and takes a 0-d tensor as `first`."""

    @abstractmethod
    def outputs(self, tasks: Tasks) -> int:
        """Output units that a net needs for an episode."""

    def numbering(self, tasks: Tasks) -> Labels:
        """Whether episodes number classes of their own, or all of them the same ones."""
        return "shared"

    def class_names(self, split: Split, tasks: Tasks, seed: int, index: int) -> tuple[str, ...] | None:
        """Of the classes that episode `index` numbers, in order; None where they have no names."""
        return None

    def group(self, split: Split, index: int, seed: int = 0, tasks: Tasks | None = None) -> Any:
        """Whose rows episode `index` is made of (a person, a hospital); None where tasks are no groups."""
        return None

    @abstractmethod
    def check(self, split: Split, tasks: Tasks) -> None:
        """Raise MetatlError if `split` cannot serve such episodes, naming what is too small."""

    @abstractmethod
    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode | Ragged:
        """Episodes `first` to `first + count - 1`, stacked: support.x [count, way * shot, *shape].

        Where their shapes vary (`tasks.varied`), stacked where they are alike. x is float32, or int64 (token
        ids, counts). Rows lie round by round (see `Episode`);
        query = 0 gives an empty query. MetatlError as `check`.
        """

    @abstractmethod
    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """16 hex digits of SHA-256 over the data's content and what episodes 0 .. count - 1 draw from it."""

    @abstractmethod
    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """One ordinary mini-batch for supervised training; y = class index within the split's classes."""

    def rows(self, split: Split) -> Tensor:
        """All rows of a split [n, *shape]; MetatlError where there is no end of them."""
        raise MetatlError(f"{self.name} draws its rows anew; there is no table of them")

    def balanced(self, split: Split, size: int, seed: int, step: int, balance: Balance) -> Batch:
        """A mini-batch from epochs with as many rows of every class; MetatlError where there are none."""
        raise MetatlError(f"{self.name} has no classes to balance its mini-batches by; leave balance out")

    def of_domain(self, name: str | None, size: int, seed: int, step: int) -> Batch:
        """A mini-batch of a domain's training rows without labels; MetatlError where there are no domains."""
        raise MetatlError(f"{self.name} has no domains; a source Domains has (Unlabelled takes splits)")

    @abstractmethod
    def classes(self, split: Split) -> int:
        """Number of classes that `batch` labels (0 for regression)."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Plain values for reports: name, counts, split rule, preparation, content fingerprint."""

    def shown(self, x: Tensor) -> Shown:
        """An example [*shape] of an episode as a report shows it."""
        from metatl.data.shown import from_tensor

        return from_tensor(x, self.pixels()) if self.show is None else self.show(x)

    def pixels(self) -> tuple[float, float] | None:
        """(scale, shift) of pictures: what a picture file's byte v is to a net, scale * v + shift.

        None where examples are no square pictures, grey or in three colours, or nobody knows.
        """
        return None

    def scales(self) -> tuple[Sequence[float], Sequence[float]] | None:
        """(mean, deviation) of every channel that windows [channels, time] were standardised by.

        None where examples are no windows, or nobody knows.
        """
        return None


class Further(NamedTuple):
    """Somebody's further rows, prepared as a source prepares its own.

    x [n, ...]; labels [n]: names of classes, None where they are not asked for; ids [n]: what a prediction
    calls the rows; id_name: what these names are (line, file); unit: what a row is; lost: rows that cannot be
    read and are not among the n, by their place among all, with their names.
    """

    x: Tensor
    labels: tuple[str, ...] | None
    ids: tuple[str, ...]
    id_name: str = "row"
    unit: str = "row"
    lost: tuple[tuple[int, str], ...] = ()


class Source(Checked, ABC):
    """What a config's `data:` names; concrete ones are frozen dataclasses with plain typed fields."""

    embedded = False
    """Whether its fields alone fix what it holds: nothing is read from files. No annotation: no field."""

    @abstractmethod
    def load(self, device: str = "cpu") -> Data:
        """Read, verify and place the data; raises MetatlError where something is missing or damaged."""

    def further(self, place: Path, data: Data, labelled: bool) -> Further:
        """Rows of a file or folder like this source's own; data: what `load` gave.

        Raises MetatlError for a source that reads none, and for a place that is none.
        """
        raise MetatlError(
            f"{type(self).__name__} reads no further files; in Python metatl.load(RUN).adapt(x, y) takes "
            "arrays"
        )

    def picture(self, image: Image.Image, shape: tuple[int, ...], where: str) -> Pixels:
        """Somebody's picture as this source prepares its own, for data of this shape [channels, h, w]: uint8.

        As a person sees it, in colour or grey, every pixel the mean over its area; the same values mean what
        they mean in the source's files. Raises MetatlError naming `where`.
        """
        from metatl.data.images import read_image, resize_area

        pixels = read_image(image, where, shape[0] == 1)
        return resize_area(pixels.reshape(-1, *pixels.shape[-2:]), (shape[1], shape[2]))


def indices(first: int | Tensor, count: int, device: torch.device) -> Tensor:
    """first .. first + count - 1 [count] int64; a 0-d tensor `first` is not read by the host."""
    return torch.arange(count, device=device) + first


def device_of(name: str) -> torch.device:
    """The device called `name`; raises MetatlError where torch has no such device."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        gpus = torch.cuda.device_count()
        raise MetatlError(
            f"device {name!r} is not there: use 'cpu'" + (" or 'cuda'" if gpus else "")
        ) from error
    return device

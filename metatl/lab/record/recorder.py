"""What every recorder is, and several of them as one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import torch
from matplotlib.figure import Figure
from torch import Tensor

from metatl.types import Episode, MetatlError, Metrics


def floats(metrics: Metrics) -> dict[str, float]:
    """0-d tensors as numbers, with one transfer from the device for all of them."""
    if not metrics:
        return {}
    values = torch.stack([value.detach().to(torch.float64) for value in metrics.values()]).tolist()
    return dict(zip(metrics, values, strict=True))


def interval(tag: str, mean: float, ci95: float | None) -> dict[str, float]:
    """A mean and the ends of its 95 % interval, as three scalars that TensorBoard draws as one margin.

    The mean alone where there is no interval (`evaluation.statistics`).
    """
    return {tag: mean} if ci95 is None else {tag: mean, f"{tag}_low": mean - ci95, f"{tag}_high": mean + ci95}


class Recorder(ABC):
    """Takes what a run has to say and keeps what it can show; the rest it ignores."""

    @abstractmethod
    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a step, by tag."""

    def tick(self, step: int) -> None:  # noqa: B027 - most recorders have nothing to do here
        """This many steps are done; cheap, for every step."""

    def images(self, step: int, images: Mapping[str, Any]) -> None:  # noqa: B027
        """Pictures by tag, uint8 [3, height, width]."""

    def figure(self, tag: str, figure: Figure, step: int) -> None:  # noqa: B027
        """A matplotlib figure."""

    def episode(  # noqa: B027
        self, tag: str, episode: Episode, predictions: Tensor, step: int, names: Sequence[str] | None = None
    ) -> None:
        """Support and query images with the classes [queries] that were said; names: of the classes."""

    def text(self, tag: str, text: str, step: int = 0) -> None:  # noqa: B027
        """Markdown."""

    def warn(self, text: str, step: int) -> None:  # noqa: B027
        """What a person should know now, in a line."""

    def histogram(self, tag: str, values: Tensor, step: int) -> None:  # noqa: B027
        """Many numbers [...], shown by their distribution."""

    def hparams(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:  # noqa: B027
        """The resolved configuration, and the metrics to show beside it; once, at the end of a run."""

    def flush(self) -> None:  # noqa: B027
        """Everything said so far is safe; call it before a checkpoint is written."""

    def close(self) -> None:  # noqa: B027
        """Flush and let go."""


@contextmanager
def one_line(place: Path | str) -> Generator[None]:
    """A file system that refuses becomes a MetatlError that says why and where."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise MetatlError(
            f"cannot write records in {place}: {why}; mend that and run again to resume"
        ) from error


@final
class Recorders(Recorder):
    """Says everything to each of several recorders; a full or vanished disk becomes one clear line."""

    def __init__(self, recorders: Sequence[Recorder], place: Path | str = "the run directory") -> None:
        self._recorders, self._place = tuple(recorders), place

    def _each(self, said: Callable[[Recorder], None]) -> None:
        with one_line(self._place):
            for recorder in self._recorders:
                said(recorder)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """To each."""
        self._each(lambda recorder: recorder.scalars(step, values))

    def tick(self, step: int) -> None:
        """To each."""
        self._each(lambda recorder: recorder.tick(step))

    def images(self, step: int, images: Mapping[str, Any]) -> None:
        """To each."""
        self._each(lambda recorder: recorder.images(step, images))

    def figure(self, tag: str, figure: Figure, step: int) -> None:
        """To each."""
        self._each(lambda recorder: recorder.figure(tag, figure, step))

    def episode(
        self, tag: str, episode: Episode, predictions: Tensor, step: int, names: Sequence[str] | None = None
    ) -> None:
        """To each."""
        self._each(lambda recorder: recorder.episode(tag, episode, predictions, step, names))

    def text(self, tag: str, text: str, step: int = 0) -> None:
        """To each."""
        self._each(lambda recorder: recorder.text(tag, text, step))

    def warn(self, text: str, step: int) -> None:
        """To each."""
        self._each(lambda recorder: recorder.warn(text, step))

    def histogram(self, tag: str, values: Tensor, step: int) -> None:
        """To each."""
        self._each(lambda recorder: recorder.histogram(tag, values, step))

    def hparams(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """To each."""
        self._each(lambda recorder: recorder.hparams(config, metrics))

    def flush(self) -> None:
        """Each."""
        self._each(lambda recorder: recorder.flush())

    def close(self) -> None:
        """Each, also when one of them fails."""
        failed: list[OSError] = []
        for recorder in self._recorders:
            try:
                recorder.close()
            except OSError as error:
                failed.append(error)
        with one_line(self._place):
            for error in failed:
                raise error

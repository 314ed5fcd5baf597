"""TensorBoard event files: one run, one curve a tag, whatever was killed on the way."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, final

from matplotlib.figure import Figure
from torch import Tensor

from metatl.lab.record.recorder import Recorder, one_line
from metatl.lab.render import episode_grid, picture
from metatl.types import Episode

# Shown under "custom scalars": a margin takes the three tags of `interval`, a multiline a pattern.
LAYOUT = {
    "meta_val": {
        "accuracy with its 95 % interval": [
            "Margin",
            ["meta_val/accuracy", "meta_val/accuracy_low", "meta_val/accuracy_high"],
        ]
    },
    "meta_train": {"loss by inner step": ["Multiline", ["meta_train/inner_loss/.*"]]},
}


@final
class TensorBoard(Recorder):
    """Event files in `directory`; events from `purge_step` on that an earlier process left there are hidden.

    Raises MetatlError for a place that cannot be written.
    """

    def __init__(self, directory: Path, purge_step: int | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter  # a second of importing that --help need not pay

        self._tags: set[str] = set()
        _hush_writers()
        with one_line(directory):
            directory.mkdir(parents=True, exist_ok=True)
            _age_event_files(directory)
            self._writer = SummaryWriter(str(directory), purge_step=purge_step, flush_secs=10)
            self._writer.add_custom_scalars(LAYOUT)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One point on each curve."""
        self._tags |= values.keys()
        for tag, value in values.items():
            self._writer.add_scalar(tag, value, step)

    def images(self, step: int, images: Mapping[str, Any]) -> None:
        """Shown under images."""
        for tag, image in images.items():
            self._writer.add_image(tag, image, step)

    def figure(self, tag: str, figure: Figure, step: int) -> None:
        """Shown under images."""
        self.images(step, {tag: picture(figure)})  # add_figure would go through pyplot

    def episode(self, tag: str, episode: Episode, predictions: Tensor, step: int) -> None:
        """Shown under images."""
        self.figure(tag, episode_grid(episode, predictions, int(episode.support.y.max()) + 1), step)

    def text(self, tag: str, text: str, step: int = 0) -> None:
        """Shown under text."""
        self._writer.add_text(tag, text, step)

    def warn(self, text: str, step: int) -> None:
        """Shown under text."""
        self.text("warning", text, step)

    def histogram(self, tag: str, values: Tensor, step: int) -> None:
        """Shown under histograms and distributions."""
        self._writer.add_histogram(tag, values, step)

    def hparams(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Shown under hparams; in this run itself, where `add_hparams` would open a run of its own.

        The page shows the newest scalar of each metric's tag; one that was not recorded yet is recorded now.
        """
        from torch.utils.tensorboard.summary import hparams

        file = self._writer._get_file_writer()  # pyright: ignore[reportPrivateUsage]
        for summary in hparams(flat(config), dict(metrics)):
            file.add_summary(summary)
        self.scalars(0, {tag: value for tag, value in metrics.items() if tag not in self._tags})

    def flush(self) -> None:
        """Write what waits in the queue."""
        self._writer.flush()

    def close(self) -> None:
        """Write what waits in the queue, end the thread."""
        self._writer.close()


@cache
def _hush_writers() -> None:
    """A writer's thread that a disk refuses prints no traceback: the recorder raises the error itself."""
    before = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        writer = type(failed.thread).__name__ == "_AsyncWriterThread"
        if not (writer and isinstance(failed.exc_value, OSError)):
            before(failed)

    threading.excepthook = hook


def _age_event_files(directory: Path) -> None:
    """Rename event files that would sort behind one opened now: TensorBoard reads them by name.

    There are such files when the clock went back, or when a run is resumed within a second of its last start.
    """
    files = sorted(directory.glob("events.out.tfevents.*"))
    stamps = [re.match(r"events\.out\.tfevents\.(\d{10})\.(.*)", file.name, re.DOTALL) for file in files]
    limit = int(time.time())
    for file, stamp in reversed(list(zip(files, stamps, strict=True))):
        if stamp is not None:
            limit = min(limit - 1, int(stamp[1]))
            if limit < int(stamp[1]):
                file.rename(directory / f"events.out.tfevents.{limit:010d}.{stamp[2]}")


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str | float | bool]:
    """A nested configuration by dotted key; what is neither a number nor text becomes text."""
    found: dict[str, str | float | bool] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, bool | int | float | str) else str(value)
    return found

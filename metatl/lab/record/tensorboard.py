"""TensorBoard event files: one run, one curve a tag, whatever was killed on the way."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, final

from matplotlib.figure import Figure
from torch import Tensor

from metatl.lab.record.recorder import Recorder, one_line
from metatl.lab.render import episode_grid, picture
from metatl.types import Episode

_GROUPS = (
    (r"/episode$", "3_episodes"),
    (r"^guide/", "5_guide"),
    (r"^(time|memory)/", "4_cost"),
    (r"loss", "1_loss"),
    (r"^meta_(val|test)/|/query_", "2_score"),
    (r"/", "3_training"),
)
"""The group of a tag, by the first pattern that is found in it; TensorBoard sorts groups by name."""


def shown_tag(tag: str) -> str:
    """The tag under which TensorBoard shows a recorded one: losses first, then scores; guides last."""
    group = next((group for pattern, group in _GROUPS if re.search(pattern, tag)), None)
    return tag if group is None else f"{group}/{tag.removeprefix('guide/')}"


# Shown under "custom scalars": a margin takes the three tags of `interval`, a multiline a pattern.
LAYOUT = {
    "meta_val": {
        "accuracy with its 95 % interval": [
            "Margin",
            [shown_tag(f"meta_val/accuracy{end}") for end in ("", "_low", "_high")],
        ]
    },
    "meta_train": {"loss by inner step": ["Multiline", [shown_tag("meta_train/inner_loss/.*")]]},
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
            self._writer.add_scalar(shown_tag(tag), value, step)

    def images(self, step: int, images: Mapping[str, Any]) -> None:
        """Shown under images."""
        for tag, image in images.items():
            self._writer.add_image(shown_tag(tag), image, step)

    def figure(self, tag: str, figure: Figure, step: int) -> None:
        """Shown under images."""
        self.images(step, {tag: picture(figure)})  # add_figure would go through pyplot

    def episode(
        self, tag: str, episode: Episode, predictions: Tensor, step: int, names: Sequence[str] | None = None
    ) -> None:
        """Shown under images."""
        way = int(episode.support.y.max()) + 1
        self.figure(tag, episode_grid(episode, predictions, way, names), step)

    def text(self, tag: str, text: str, step: int = 0) -> None:
        """Shown under text."""
        self._writer.add_text(tag, text, step)

    def warn(self, text: str, step: int) -> None:
        """Shown under text."""
        self.text("warning", text, step)

    def histogram(self, tag: str, values: Tensor, step: int) -> None:
        """Shown under histograms and distributions."""
        self._writer.add_histogram(shown_tag(tag), values, step)

    def hparams(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Shown under hparams; in this run itself, where `add_hparams` would open a run of its own.

        The page shows the newest scalar of each metric's tag; one that was not recorded yet is recorded now.
        """
        from torch.utils.tensorboard.summary import hparams

        file = self._writer._get_file_writer()  # pyright: ignore[reportPrivateUsage]
        for summary in hparams(flat(config), {shown_tag(tag): value for tag, value in metrics.items()}):
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
    """Rename event files that would sort after one opened now: TensorBoard reads them by name.

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

"""A progress bar for people, few lines for logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO, final

from tqdm import tqdm

from metatl.lab.record.recorder import Recorder
from metatl.text import terminal as as_seen


class _Bar(tqdm):  # pyright: ignore[reportMissingTypeArgument]
    monitor_interval = 0  # no thread that outlives the bar


@final
class Console(Recorder):
    """A progress bar with rate, time left, loss and accuracy; few plain lines where no terminal listens.

    Lines come at most every ten seconds: then at each further 10 %, or each minute, and at the end.
    """

    def __init__(
        self,
        total: int,
        start: int = 0,
        label: str = "",
        unit: str = "step",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream, self._clock, self._unit = stream or sys.stderr, clock, f" {unit}"
        self._label = as_seen(label)
        self._total, self._start, self._done, self._shown = total, start, start, start
        self._began = self._said = clock()
        self._told: dict[str, str] = {}
        terminal = self._stream.isatty()
        style: dict[str, Any] = dict(
            unit=self._unit, dynamic_ncols=True, file=self._stream, desc=self._label or None
        )
        style["leave"] = None  # of nested bars the outermost alone stays on the screen
        self._bar = _Bar(total=total, initial=start, **style) if terminal else None

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Keep the newest loss and accuracy for the end of the line."""
        for tag, value in values.items():
            leaf = tag.rsplit("/", 1)[-1]
            if leaf in ("loss", "accuracy"):
                self._told[f"val {leaf}" if "val" in tag else leaf] = f"{value:.4g}"
        if self._bar is not None:
            self._bar.set_postfix_str(self._postfix(), refresh=False)
        self.tick(step)

    def tick(self, step: int) -> None:
        """Move the bar."""
        self._done = max(step, self._done)
        if self._bar is not None:
            self._bar.update(self._done - self._bar.n)
            return
        waited, further = self._clock() - self._said, self._done - self._shown
        if waited >= 60 or (waited >= 10 and 10 * further >= self._total):
            self._line()

    def warn(self, text: str, step: int) -> None:
        """A line of its own, above the bar."""
        label = f"{self._label}: " if self._label else ""
        _Bar.write(f"{label}warning, step {step}: {as_seen(text)}", file=self._stream)

    def _postfix(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self._told.items())

    def _line(self) -> None:
        self._said, self._shown = self._clock(), self._done
        form = "{desc}{n_fmt}/{total_fmt} ({percentage:.0f} %), {rate_fmt}, {remaining} left{postfix}"
        label = f"{self._label}: " if self._label else ""
        told: dict[str, Any] = dict(
            prefix=label, unit=self._unit, postfix=self._postfix(), initial=self._start
        )
        line = tqdm.format_meter(self._done, self._total, self._said - self._began, bar_format=form, **told)
        print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Leave the last state on the screen."""
        if self._bar is not None:
            self._bar.close()
        elif self._done > self._shown:
            self._line()

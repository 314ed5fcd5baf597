"""Recordings as columns: what a wav file is in a fixed number of values."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from metatl.data.class_folder import FileKind, content, content_digest
from metatl.data.tables import Columns
from metatl.data.tables.columns import as_text
from metatl.data.waves import Signals
from metatl.types import MetatlError

RECORDINGS = FileKind("recording", (".wav",))
RATE, LENGTH, HOP, BANDS, PARTS = 16_000, 400, 160, 40, 3
"""Samples a second, of a frame, and between two; mel bands; equal parts whose means are told."""
_MOST_SECONDS, _RATES, _LOUDEST = 600, (1_000, 768_000), 1e9
"""Of a recording: seconds at most; samples a second, from and to; the largest value of one."""
Floats = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Sounds(Signals):
    """Wav files, read when they are asked for."""

    files: tuple[Path, ...]
    unit: ClassVar[str] = "recording"

    def raw(self, place: int) -> Floats:
        """A recording [samples], see `recording`."""
        return recording(self.files[place])

    def digest(self, place: int) -> str:
        """Of a file's bytes."""
        return content_digest(content(self.files[place]))

    def shown(self, place: int) -> list[tuple[str, str]]:
        """The file's name; the report's own columns say the rest."""
        return [("file", self.files[place].name)]

    def take(self, places: Any) -> Sounds:
        """These files."""
        kept = np.arange(len(self.files))[places]
        return Sounds(tuple(self.files[int(place)] for place in kept))

    def joined(self, others: Sequence[Any]) -> Sounds:
        """All of them."""
        return Sounds((*self.files, *(file for one in others for file in one.files)))


def recording(file: Path) -> Floats:
    """A wav file as one channel [samples] of -1 .. 1 at 16 kHz; several channels are averaged.

    Of integers and floats of any width (24 bits too) and any rate. Raises MetatlError naming a file that is
    no wav file, is empty, longer than ten minutes, or holds a value that is none of a sound.
    """
    from scipy.io import wavfile
    from scipy.signal import resample_poly

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of chunks that are no sound
            rate, held = wavfile.read(io.BytesIO(content(file)))
    except MetatlError:
        raise
    except Exception as error:  # its reader raises nearly everything at a damaged one
        raise MetatlError(f"{file}: cannot be read as a wav file; convert or remove it") from error
    if not _RATES[0] <= rate <= _RATES[1]:
        raise MetatlError(f"{file}: {rate} samples a second; give it {_RATES[0]} to {_RATES[1]}")
    if not held.size or len(held) > _MOST_SECONDS * rate:
        raise MetatlError(
            f"{file}: {len(held) / rate:.0f} s of sound; give recordings of up to {_MOST_SECONDS}"
        )
    sound = held.astype(np.float64)
    if held.dtype.kind == "u":
        sound = (sound - 128) / 128
    elif held.dtype.kind == "i":
        sound /= -float(np.iinfo(held.dtype).min)
    sound = sound.mean(1) if sound.ndim == 2 else sound
    if not np.abs(sound).max() < _LOUDEST:
        raise MetatlError(f"{file}: holds sound that is not finite; convert or remove it")
    common = int(np.gcd(rate, RATE))
    return sound if rate == RATE else np.asarray(resample_poly(sound, RATE // common, rate // common))


def log_mel(sound: Floats) -> Floats:
    """[frames, 40]: log of the power in triangular bands, evenly spaced in mel = 2595 log10(1 + f / 700).

    Frames of 25 ms every 10 ms under a Hann window (Davis & Mermelstein 1980; the mel of O'Shaughnessy 1987).
    """
    padded = np.pad(sound, (0, max(0, LENGTH - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, LENGTH)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(LENGTH), 512)) ** 2
    return np.log(power @ _bands().T + 1e-8)


@cache
def _bands() -> Floats:
    """[40, 257]: the share of every frequency in every band; shares add up to 1 between the outer middles."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    bins = np.arange(257) * RATE / 512
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))


def recording_columns(files: Sequence[Path], name: str) -> tuple[Columns, dict[int, str]]:
    """Recordings as columns, a row each, and why those that cannot be read have none.

    Of every mel band the mean in each third of the recording and its deviation, and the length in seconds.
    """
    rows, why = list[Floats](), dict[int, str]()
    width = BANDS * (PARTS + 1) + 1
    for place, file in enumerate(files):
        try:
            sound = recording(file)
            mel = log_mel(sound)
            means = [part.mean(0) if len(part) else mel.mean(0) for part in np.array_split(mel, PARTS)]
            rows.append(np.concatenate([*means, mel.std(0), [len(sound) / RATE]]))
        except MetatlError as error:
            why[place] = str(error)
            rows.append(np.full(width, np.nan))
    names = [f"band {b} part {p}" for p in range(PARTS) for b in range(BANDS)]
    names += [f"band {b} deviation" for b in range(BANDS)] + ["seconds"]
    held = np.stack(rows) if rows else np.zeros((0, width))
    return Columns(dict(zip(names, held.T, strict=True)), name, signals=Sounds(tuple(files))), why


def heard(table: Columns, audio: str | None, place: Any) -> tuple[Columns, dict[int, str]]:
    """The table with its recordings, wav files that lie beside it, as columns; and what cannot be read."""
    if audio is None:
        return table, {}
    table.require([audio])
    beside = Path(place) if isinstance(place, str | Path) else Path()
    beside = beside if beside.is_dir() else beside.parent
    files = [beside / (one or "no file") for one in as_text(table[audio])]
    columns, why = recording_columns(files, table.name)
    if table.signals is not None:
        raise MetatlError(f"{table.name}: holds windows and recordings; leave one of them out")
    rest = table.drop([audio])
    return replace(rest, arrays={**rest.arrays, **columns.arrays}, signals=columns.signals), why

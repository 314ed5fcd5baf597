"""Wav files in folders as examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from metatl.data.class_folder import files_of, read_class_folder
from metatl.data.examples import Examples, Reader
from metatl.data.rows import TableRows, rows_of
from metatl.data.signals import RECORDINGS, recording_columns
from metatl.opening import text_of


@dataclass(frozen=True)
class RecordingFiles(Reader):
    """Wav files, and those below folders, as columns."""

    unit: ClassVar[str] = "recording"
    id_name: ClassVar[str] = "file"
    place: ClassVar[str] = "RECORDING_OR_FOLDER"

    def read(self, places: Sequence[Path]) -> TableRows:
        """The recordings named, and those of the folders named."""
        files = files_of(places, RECORDINGS)
        columns, why = recording_columns(files, "recordings")
        return rows_of(columns, tuple(map(text_of, files)), why)


def recording_examples(folder: Path) -> Examples:
    """Wav files in a folder for each class; raises MetatlError as `read_class_folder`."""
    found = read_class_folder(folder, RECORDINGS)
    columns, why = recording_columns(found.files, str(folder))
    inputs = rows_of(columns, tuple(map(text_of, found.files)))
    whole = np.array([i for i in range(len(inputs)) if i not in why], np.int64)
    made = found.examples(folder, RecordingFiles(), inputs)
    return replace(made, left_out=tuple(map(text_of, why.values()))).take(whole)

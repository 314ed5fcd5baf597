"""Wav files in folders as examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from metatl.data.class_folder import files_of, read_class_folder
from metatl.data.examples import Examples, Reader
from metatl.data.signals import RECORDINGS, recording_columns
from metatl.data.table_rows import TableRows
from metatl.data.targets import Targets
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
        return TableRows(columns, tuple(map(text_of, files)), why)


def recording_examples(folder: Path) -> Examples:
    """Wav files in a folder for each class; raises MetatlError as `read_class_folder`."""
    found = read_class_folder(folder, RECORDINGS)
    files = [*found.labelled, *found.test]
    columns, why = recording_columns([one.file for one in files], str(folder))
    whole = np.array([i for i in range(len(files)) if i not in why], np.int64)
    targets = Targets("classes", found.classes, torch.tensor([one.label for one in files]))
    pool = np.arange(len(found.labelled))
    test = np.arange(len(found.labelled), len(files)) if found.test else None
    inputs = TableRows(columns, tuple(text_of(one.file) for one in files))
    name, left = text_of(folder.resolve().name), tuple(map(text_of, why.values()))
    return Examples(name, RecordingFiles(), inputs, targets, pool, test, found.part, left).take(whole)

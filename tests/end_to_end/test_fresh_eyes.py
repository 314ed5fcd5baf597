"""What somebody new types on data of their own, and what they are told: one line that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metatl.data.photos import PhotoFiles, photo_examples
from metatl.data.table_rows import table_examples
from metatl.lab import cli
from metatl.transferring import asked
from metatl.transferring.opened import Words
from metatl.transferring.transfer import transfer
from metatl.types import MetatlError
from tests.commands import refused
from tests.photos import drawn

HEIC = b"\0\0\0\x18ftypheic" + bytes(200)


def test_a_phones_heic_is_a_photo_and_is_named(tmp_path: Path) -> None:
    """It counts as one that cannot be read, here and where a folder is predicted; a film does not count."""
    folder = drawn(tmp_path / "p", {"": 3})
    (folder / "blue" / "IMG_1.HEIC").write_bytes(HEIC)
    (folder / "blue" / "film.mp4").write_bytes(HEIC)
    found = photo_examples(folder)
    assert [name for name in found.inputs.ids if name.endswith("HEIC")]
    assert found.notes == ("1 file beside the photos, of another kind, left out: film.mp4",)
    read = PhotoFiles().read([folder])
    place = next(i for i, name in enumerate(read.ids) if name.endswith("HEIC"))
    with pytest.raises(MetatlError, match="HEIC: cannot be read as an image; convert"):
        read.raw(place)


def test_a_row_that_reads_columns_is_refused_before_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the features of thousands of photos to read that line."""

    def never(*_: Any) -> None:
        raise AssertionError("a net was made")

    monkeypatch.setattr("metatl.transferring.transfer.net_for", never)
    with pytest.raises(MetatlError, match="'nearest-neighbours' reads columns, and these are photos"):
        transfer(drawn(tmp_path / "p", {"": 3}), methods="nearest-neighbours", out=tmp_path / "o")


def columns(**more: Any) -> dict[str, Any]:
    """Thirty rows."""
    return {"a": np.linspace(0, 1, 30), "b": np.arange(30.0) % 7 + 0.5, **more}


def test_targets_of_unlike_spread_are_told() -> None:
    """An MSE over metres and over cents is one of cents; ten standard deviations apart it is said."""
    close = table_examples(columns(m=np.arange(30) + 0.5, n=9.9 * np.arange(30)), target_name="m,n")[0]
    apart = table_examples(columns(m=np.arange(30) + 0.5, n=10.1 * np.arange(30)), target_name="m,n")[0]
    assert not [note for note in close.notes if "varies" in note]
    (note,) = [note for note in apart.notes if "varies" in note]
    assert note.startswith("target n varies more than 10 times as much as m")
    assert "nothing about m;" in note


def test_what_stands_for_an_empty_cell_is_told(tmp_path: Path) -> None:
    """The German zero is `null`, which a table takes for nothing at all."""
    lines = [f"{i},{('null', 'eins', 'zwei')[i % 3]}" for i in range(30)]
    (tmp_path / "d.csv").write_text("\n".join(["x,ziffer", *lines]))
    found = table_examples(tmp_path / "d.csv", target_name="ziffer")[0]
    (note,) = [note for note in found.notes if "no ziffer" in note]
    assert note.startswith("10 of 30 rows have no ziffer")
    assert "null" in note


def test_no_label_at_all_is_not_passed_over(tmp_path: Path) -> None:
    """A 0 that was asked for and serves no row is told; the usual 0 is not."""
    data = columns(y=["u", "v"] * 15)

    def said(labelled: str | None) -> list[str]:
        out, words = tmp_path / str(labelled), Words(target="y")
        found = transfer(data, None, labelled, 1, "ridge", 0.05, out, words=words)
        return [note for note in found.report["protocol"]["notes"] if note.startswith("0 labels")]

    assert said("0,1") == ["0 labels of each class are left out: every one of these rows needs labels."]
    assert said(None) == []


def test_wrong_words_name_the_help_of_their_command(tmp_path: Path) -> None:
    """`metatl --help` does not list the words of `multitask`."""
    said = refused("multitask", tmp_path / "a.csv", "--group", "id")
    assert "unrecognized arguments: --group id; 'metatl multitask --help'" in said
    with pytest.raises(MetatlError, match="give 1,2,5,all, say"):
        asked.counts("1,alle", "classes")


def test_a_share_that_is_none_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    """Neither the model nor the rows have to be there."""
    assert "--unsure is 2; give the share" in refused(
        "predict", tmp_path, tmp_path / "a.csv", "--unsure", "2"
    )


def test_ctrl_c_while_torch_is_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line and 130, as later on, and no traceback."""
    import builtins
    import sys

    kept: Callable[..., Any] = builtins.__import__

    def interrupted(name: str, *rest: Any) -> Any:
        if name == "metatl.lab" and rest[2:3] and "commands" in (rest[2] or ()):
            raise KeyboardInterrupt
        return kept(name, *rest)

    monkeypatch.delitem(sys.modules, "metatl.lab.commands", raising=False)
    monkeypatch.setattr(builtins, "__import__", interrupted)
    assert cli.main(["transfer", "photos"]) == 130
    assert capsys.readouterr().err == "metatl: interrupted before it began\n"

"""`metatl transfer` with a teacher, and what mattered on a source: rows that nobody gets unasked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metatl.transferring import transfer as transferring
from tests.commands import metatl, refused
from tests.photos import OTHERS, drawn

ASKED = ("--net", "Conv4", "--size", "20", "--labelled", "2", "--draws", "1")


pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")


@pytest.fixture(autouse=True)
def _unvalidated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transferring, "VALIDATING", 0.0)


def test_a_teacher_of_another_kind_and_a_source(tmp_path: Path) -> None:
    photos, source = (
        drawn(tmp_path / "squares"),
        drawn(tmp_path / "o", {"train": 6}, classes=3, colours=OTHERS),
    )
    more = ("--methods", "distillation,ewc,l2-sp-fisher", "--teacher", "CNN", "--source", source)
    found = metatl("transfer", photos, *ASKED, *more, "--out", tmp_path / "out")
    assert found.code == 0, found
    assert "Teacher: CNN" in found.out
    assert "ewc, l2-sp-fisher: 40 of 40 steps on the source" in found.out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {"distillation", "ewc", "l2-sp-fisher"} <= {row["method"] for row in report["rows"]}
    other = metatl("transfer", photos, *ASKED, *more[:3], "MLP", *more[4:], "--out", tmp_path / "out")
    refused(other, "teacher")


def test_rows_without_what_they_need_are_one_line(tmp_path: Path) -> None:
    photos = drawn(tmp_path / "squares")
    found = metatl("transfer", photos, *ASKED, "--methods", "distillation", "--out", tmp_path / "a")
    refused(found, "learns from a larger net; name it with --teacher")
    found = metatl(
        "transfer", photos, *ASKED, "--methods", "lp-ft", "--teacher", "CNN", "--out", tmp_path / "b"
    )
    refused(found, "learns from one; leave --teacher out")
    found = metatl("transfer", photos, *ASKED, "--methods", "ewc", "--out", tmp_path / "c")
    refused(found, "first learns on a source")

"""Stored transfers and reports come back bit by bit, and a file that is not whole is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from metatl.evaluation.evaluate import Report
from metatl.lab import store
from metatl.learners import State
from metatl.types import MetatlError, Transfer
from tests.toys import assert_bitwise, scales, toy_net, with_guide


def transfer() -> Transfer:
    start = toy_net(norm=True, dtype=torch.float32).start()
    return with_guide(start, scales(start.params))


def one_line(error: pytest.ExceptionInfo[MetatlError]) -> str:
    said = str(error.value)
    assert "\n" not in said
    return said


def test_a_transfer_round_trips(tmp_path: Path) -> None:
    before = transfer()
    before.params["nothing"] = torch.zeros(0, 3)
    before.params["shared"] = before.params["head.weight"].T  # a view, and not contiguous
    before.buffers["steps"] = torch.tensor(7)
    before.guide["wide"] = torch.ones(1, dtype=torch.float64).expand(4, 5)
    path = tmp_path / "new folder" / "a.safetensors"
    store.save_transfer(path, before, {"digest": "x"})
    after = store.load_transfer(path)
    pairs = [(after.params, before.params), (after.guide, before.guide), (after.buffers, before.buffers)]
    for ours, theirs in pairs:
        assert_bitwise(ours, theirs)
        assert [t.dtype for t in ours.values()] == [t.dtype for t in theirs.values()]
    assert [p.name for p in path.parent.iterdir()] == [path.name], "nothing else is left behind"
    with safe_open(path, "pt") as file:
        assert file.metadata()["digest"] == "x"


def loaded(path: Path) -> tuple[Transfer | None, str]:
    """The transfer, or what was said instead."""
    try:
        return store.load_transfer(path), ""
    except MetatlError as error:
        return None, str(error)


def test_every_flipped_bit_is_noticed_or_harmless(tmp_path: Path) -> None:
    path, before = tmp_path / "a", transfer()
    store.save_transfer(path, before)
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    draw = np.random.default_rng(0)
    places = [*range(8), *draw.integers(8, 8 + header, 150), *draw.integers(8 + header, len(whole), 50)]
    refused = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(draw.integers(8))
        path.write_bytes(bytes(damaged))
        after, said = loaded(path)
        if after is None:
            refused += 1
            assert "\n" not in said
            assert place < 8 + header or "checksum" in said
        else:
            assert place < 8 + header, "data that was changed is never returned"
            assert_bitwise(after.params, before.params)
            assert_bitwise(after.guide, before.guide)
    assert refused > 0.9 * len(places)


def test_a_flipped_bit_in_a_checkpoints_step_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    store.save_checkpoint(path, State(transfer(), 12, {}))
    changed = path.read_bytes().replace(b'"step":"12"', b'"step":"13"')
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    with pytest.raises(MetatlError, match="damaged"):
        store.load_checkpoint(path)


def test_truncated_missing_newer_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(MetatlError, match="is not there"):
        store.load_transfer(path)
    store.save_transfer(path, transfer())
    whole = path.read_bytes()
    for length in (0, 4, 60, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(MetatlError, match="damaged") as error:
            store.load_transfer(path)
        one_line(error)
    path.write_bytes(whole)
    with pytest.raises(MetatlError, match="not a metatl checkpoint but metatl-transfer"):
        store.load_checkpoint(path)
    path.write_bytes(whole.replace(b'"version":"1"', b'"version":"9"'))
    with pytest.raises(MetatlError, match=r"format version 9.*update metatl"):
        store.load_transfer(path)
    save_file({"w": torch.ones(2)}, path)
    with pytest.raises(MetatlError, match="some other safetensors file"):
        store.load_transfer(path)
    path.write_bytes(b"PK\x03\x04" + bytes(500))
    with pytest.raises(MetatlError, match="damaged"):
        store.load_transfer(path)
    with pytest.raises(MetatlError, match="is not there"):
        store.load_transfer(tmp_path)


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    store.write_text(path, "old")
    (tmp_path / "file").write_text("")
    with pytest.raises(MetatlError, match="cannot write"):
        store.write_text(tmp_path / "file" / "below", "x")
    with pytest.raises(MetatlError, match="cannot write"):
        store.write_text(tmp_path, "a folder is no file")
    assert path.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "file"]


def test_reports_round_trip_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random(5)
    report = Report("m", scores, {"episodes": 5, "way": 3}, {"selected": {"rule.lr": 0.1}})
    store.save_report(tmp_path, report)
    again = store.load_report(tmp_path)
    assert again.scores.tobytes() == scores.tobytes()
    assert (again.method, again.protocol, again.facts) == (report.method, report.protocol, report.facts)
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["mean"] == report.mean
    assert told["ci95"] == report.ci95
    whole = {name: (tmp_path / name).read_bytes() for name in ("report.json", "episodes.npy")}
    np.save(tmp_path / "short.npy", scores[:4])
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([{}], dtype=object), allow_pickle=True)
    for name, damaged in [
        ("report.json", b""),
        ("report.json", whole["report.json"][:-9]),
        ("report.json", b"[]"),
        ("report.json", b'{"method": "m"}'),
        ("report.json", b"\xff\xfe"),
        ("episodes.npy", b""),
        ("episodes.npy", whole["episodes.npy"][:-3]),
        ("episodes.npy", (tmp_path / "short.npy").read_bytes()),
        ("episodes.npy", objects.read_bytes()),
    ]:
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(MetatlError) as error:
            store.load_report(tmp_path)
        assert name in one_line(error)
        (tmp_path / name).write_bytes(whole[name])
    store.load_report(tmp_path)
    (tmp_path / "episodes.npy").unlink()
    with pytest.raises(MetatlError, match="missing"):
        store.load_report(tmp_path)


def test_a_run_directory_has_one_writer(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with store.locked(run), pytest.raises(MetatlError, match="in use"), store.locked(run):
        pass
    with store.locked(run):
        pass

"""Records are complete, single and readable after kills; event files hold what was said of a run."""

import io
import json
import os
import random
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from metatl.lab import render
from metatl.lab.record import (
    Console,
    JsonLines,
    Recorder,
    Recorders,
    TensorBoard,
    bar,
    describe,
    flat,
    floats,
    interval,
    open_recorders,
    overlap,
    peak_mib,
    record_guide,
    recording,
    shown_tag,
    tensorboard,
)
from metatl.types import Batch, Episode, MetatlError, Transfer


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance=dict(scalars=0, tensors=0, images=0, histograms=0))
    return found.Reload()


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events(folder).Scalars(shown_tag(tag))]


class Kept(Recorder):
    """Keeps what it is told."""

    def __init__(self):
        self.told: dict[str, Any] = {}

    def scalars(self, step, values):
        self.told |= values

    def figure(self, tag, figure, step):
        self.told[tag] = figure

    def histogram(self, tag, values, step):
        self.told[tag] = values


class Full(Recorder):
    """A disk without space."""

    def scalars(self, step, values):
        raise OSError(28, "No space left on device")

    def close(self):
        raise OSError(28, "No space left on device")


def test_a_line_is_on_disk_when_scalars_returns(tmp_path):
    recorder = JsonLines.open(tmp_path / "metrics.jsonl")
    recorder.scalars(1, {"loss": 2.0})
    assert lines(tmp_path / "metrics.jsonl") == [{"step": 1, "loss": 2.0}]
    recorder.scalars(2, {"loss": float("nan"), "big": float("inf")})
    assert (tmp_path / "metrics.jsonl").read_text().splitlines()[
        1
    ] == '{"step": 2, "loss": null, "big": null}'
    recorder.close()


def test_scalars_of_one_step_share_its_line():
    stream = io.BytesIO()
    recorder = JsonLines(stream)
    recorder.scalars(1, {"loss": 2.0})
    recorder.scalars(5, {"loss": 1.0})
    recorder.scalars(5, {"accuracy": 0.5})
    recorder.scalars(5, {"loss": 3})  # shorter than before: nothing of the old line may stay behind
    recorder.scalars(6, {"loss": 0.5})
    recorder.flush()
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"step": 1, "loss": 2.0},
        {"step": 5, "loss": 3, "accuracy": 0.5},
        {"step": 6, "loss": 0.5},
    ]
    with pytest.raises(ValueError, match="step 4 recorded after step 6"):
        recorder.scalars(4, {"loss": 0.0})


@pytest.mark.parametrize(
    "torn", [b"", b'{"ste', b'{"step": 5, "x"', b'{"step": 5}', b"\x00\x00\x00", b'{"step": 5}\n']
)
@pytest.mark.parametrize("resume_step", [0, 2, 3, 4])
def test_resume_drops_later_and_torn_lines(tmp_path, torn, resume_step):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"".join(b'{"step": %d, "x": 1}\n' % step for step in (1, 2, 3, 4)) + torn)
    recorder = JsonLines.open(path, resume_step)
    assert [row["step"] for row in lines(path)] == list(range(1, resume_step + 1))
    for step in range(resume_step + 1, 7):
        recorder.scalars(step, {"x": 2})
    recorder.close()
    assert [row["step"] for row in lines(path)] == [1, 2, 3, 4, 5, 6]


def test_a_last_line_that_lost_only_its_end_is_kept(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1, "x": 1}\n{"step": 2, "x": 1}')
    recorder = JsonLines.open(path, 2)
    recorder.scalars(3, {"x": 1})
    recorder.close()
    assert [row["step"] for row in lines(path)] == [1, 2, 3]


@pytest.mark.parametrize("bad", [b'{"step": 1, "x": ?}\n', b"[1, 2]\n", b'{"x": 1}\n', b'{"step": 0}\n'])
def test_damage_in_the_middle_is_named(tmp_path, bad):
    path = tmp_path / "metrics.jsonl"
    content = b'{"step": 1}\n{"step": 2}\n' + bad + b'{"step": 4}\n'
    path.write_bytes(content)
    with pytest.raises(MetatlError, match=r"metrics.jsonl: line 3 is damaged"):
        JsonLines.open(path, 4)
    assert path.read_bytes() == content


def test_event_files_hold_what_was_said(tmp_path):
    board = TensorBoard(tmp_path)
    board.scalars(1, {"meta_train/inner_loss/0": 2.0, "meta_train/inner_loss/1": 1.0})
    board.scalars(2, {**interval("meta_val/accuracy", 80.0, 1.5), "time/step_ms": 3.0})
    board.images(2, {"pixels": np.zeros((3, 4, 5), np.uint8)})
    board.figure("plot", render.learning_curves({"a": ([0, 1], [0, 1])}), 2)
    board.text("config", "way: 5")
    board.histogram("guide/w", torch.rand(100), 2)
    board.close()
    found = events(tmp_path)
    assert curve(tmp_path, "meta_train/inner_loss/1") == [(1, 1.0)]
    accuracy = [curve(tmp_path, f"meta_val/accuracy{end}")[0] for end in ("_low", "", "_high")]
    assert accuracy == [(2, 78.5), (2, 80.0), (2, 81.5)]
    assert [(image.width, image.height) for image in found.Images("pixels")] == [(5, 4)]
    assert found.Images("plot")[0].width == 1440
    assert found.Histograms("5_guide/w")[0].histogram_value.num == 100
    text = found.Tensors("config/text_summary")[0].tensor_proto.string_val[0]
    assert text == b"way: 5"
    assert "custom_scalars__config__" in found.Tags()["tensors"]


def test_losses_come_first_and_guides_last_in_one_group():
    tags = [
        *("guide/frozen/loss_head.weight", "guide/all/mean", "memory/peak_mib", "time/step_ms"),
        *("meta_test/accuracy", "meta_train/inner_loss/0", "meta_train/outer_gradient_norm"),
        *("meta_train/query_accuracy", "meta_train/query_loss", "meta_val/mse_low", "meta_val/diverged"),
    ]
    groups: dict[str, set[str]] = {}
    assert "1_z" < shown_tag("meta_test/episode") < "5_guide"  # beside curves, losses come first too
    for shown, tag in sorted((shown_tag(tag), tag) for tag in tags):
        groups.setdefault(shown.partition("/")[0], set()).add(tag)
    assert [group.partition("_")[2] for group in groups] == ["loss", "score", "training", "cost", "guide"]
    assert groups["1_loss"] == {"meta_train/inner_loss/0", "meta_train/query_loss"}
    assert groups["5_guide"] == {tag for tag in tags if tag.startswith("guide/")}
    assert groups["4_cost"] == {"memory/peak_mib", "time/step_ms"}
    assert len({shown_tag(tag) for tag in tags}) == len(tags)


def test_hparams_stay_in_the_run_of_the_scalars(tmp_path):
    board = TensorBoard(tmp_path)
    board.scalars(1, {"loss": 1.0})
    config = {"way": 5, "rule": {"lr": 0.4, "nesterov": True}, "name": None, "sizes": [3, 4]}
    board.hparams(config, {"meta_test/accuracy": 97.5})
    board.close()
    assert [path.parent for path in tmp_path.rglob("events*")] == [tmp_path]
    from tensorboard.plugins.hparams import metadata

    found = events(tmp_path)
    start = metadata.parse_session_start_info_plugin_data(
        found.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    )
    assert start.hparams["rule.lr"].number_value == 0.4
    assert start.hparams["sizes"].string_value == "[3, 4]"
    assert metadata.SESSION_END_INFO_TAG in found.summary_metadata
    assert curve(tmp_path, "meta_test/accuracy") == [(0, 97.5)]
    assert curve(tmp_path, "loss") == [(1, 1.0)]


def test_hparams_do_not_repeat_what_was_recorded(tmp_path):
    with tensorboard(tmp_path, 50) as recorder:
        recorder.scalars(50, {"meta_test/score": 0.5})
        recorder.hparams({"way": 5}, {"meta_test/score": 0.5, "other": 1.0})
    assert curve(tmp_path, "meta_test/score") == [(50, 0.5)]
    assert curve(tmp_path, "other") == [(0, 1.0)]


def test_an_evaluation_recorded_behind_a_run_hides_nothing_of_it(tmp_path):
    with recording(tmp_path, "maml", 0, 3) as recorder:
        for step in (1, 2, 3):
            recorder.scalars(step, {"loss": step})
    with tensorboard(tmp_path, 3) as recorder:
        recorder.scalars(3, {"meta_test/score": 0.5})
    assert curve(tmp_path, "loss") == [(1, 1), (2, 2), (3, 3)]
    assert curve(tmp_path, "meta_test/score") == [(3, 0.5)]


def test_recording_closes_when_the_run_breaks(tmp_path):
    with pytest.raises(KeyboardInterrupt), recording(tmp_path, "maml", 0, 3) as recorder:  # noqa: PT012
        recorder.scalars(1, {"loss": 1.0})
        raise KeyboardInterrupt
    assert curve(tmp_path, "loss") == [(1, 1.0)]
    with pytest.raises(ValueError, match="closed"):
        recorder.scalars(2, {"loss": 1.0})


def test_an_episode_becomes_an_image(tmp_path):
    batch = Batch(torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 0, 1]))
    with tensorboard(tmp_path, 0) as recorder:
        recorder.episode("meta_test/episode", Episode(batch, batch), batch.y, 9)
    (image,) = events(tmp_path).Images("3_episodes/meta_test/episode")
    assert image.step == 9
    assert image.encoded_image_string.startswith(b"\x89PNG")


def test_bar_counts_what_it_is_told_to(capsys):
    with bar("gtl: evaluating", 600) as advance:
        advance(300)
        advance(600)
    assert re.fullmatch(
        r"gtl: evaluating: 600/600 \(100 %\), .* episode/s, 00:00 left", capsys.readouterr().err.strip()
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to compare with")
def test_peak_memory_is_in_mib():
    kernel = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak_mib("cpu") == pytest.approx(int(kernel[1]) / 1024, rel=0.05)


def test_flat_config():
    config = {"a": {"b": 1, "c": {"d": "x"}}, "e": None, "f": True, "g": Path("h")}
    assert flat(config) == {"a.b": 1, "a.c.d": "x", "e": "None", "f": True, "g": "h"}


def test_resumed_event_files_are_one_curve(tmp_path):
    for first, last, resumed in [(1, 8, 0), (6, 9, 5), (4, 12, 3)]:
        recorders = open_recorders(tmp_path, 12, resumed)
        for step in range(first, last + 1):
            recorders.scalars(step, {"loss": 100.0 * resumed + step})
        recorders.close()
    expected = [(step, step if step <= 3 else 300.0 + step) for step in range(1, 13)]
    assert curve(tmp_path, "loss") == expected
    assert [(row["step"], row["loss"]) for row in lines(tmp_path / "metrics.jsonl")] == expected


def test_what_was_flushed_is_on_disk(tmp_path, monkeypatch):
    from tensorboard.summary.writer.record_writer import RecordWriter

    write = RecordWriter.write
    monkeypatch.setattr(RecordWriter, "write", lambda self, data: (time.sleep(0.01), write(self, data)))
    board = TensorBoard(tmp_path)
    for step in range(1, 21):
        board.scalars(step, {"loss": 1.0})  # the slow writer falls behind
    board.flush()
    copied = [path.read_bytes() for path in tmp_path.glob("events*")]  # as a kill would leave it
    board.close()
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "events.out.tfevents.1").write_bytes(copied[0])
    assert [step for step, _ in curve(tmp_path / "killed", "loss")] == list(range(1, 21))


def test_a_clock_that_goes_back_does_not_turn_the_curve(tmp_path, monkeypatch):
    for now, first in [(2_000_000_000, 1), (1_900_000_000, 4), (1_900_000_000, 7)]:
        monkeypatch.setattr(time, "time", lambda now=now: now + 0.25)
        board = TensorBoard(tmp_path, purge_step=first)
        for step in range(first, first + 5):
            board.scalars(step, {"loss": first})
        board.close()
    expected = [(step, 1.0) for step in (1, 2, 3)] + [(step, 4.0) for step in (4, 5, 6)]
    assert curve(tmp_path, "loss") == [*expected, *[(step, 7.0) for step in range(7, 12)]]
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 3


def _run_until_killed(folder: Path, steps: int, checkpoint: Path) -> None:
    """A run in small: it records every step, and writes a checkpoint every seventh."""
    start = int(checkpoint.read_text()) if checkpoint.exists() else 0
    recorders = Recorders(open_recorders(folder, steps, start)._recorders[:2])  # without the progress line
    for step in range(start + 1, steps + 1):
        time.sleep(0.0005)
        recorders.scalars(step, {"loss": 1.0 / step})
        if step % 3 == 0:
            recorders.scalars(step, {"accuracy": float(step)})
        if step % 7 == 0 or step == steps:
            recorders.flush()
            beside = checkpoint.with_suffix(".part")
            beside.write_text(str(step))
            beside.rename(checkpoint)
    recorders.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_leaves_no_gap_and_no_double(tmp_path):
    TensorBoard(tmp_path / "warm").close()  # imports TensorBoard once, for all children
    folder, checkpoint, steps = tmp_path / "run", tmp_path / "checkpoint", 400
    draw, kills = random.Random(0), 0
    while True:
        child = os.fork()
        if child == 0:
            try:
                _run_until_killed(folder, steps, checkpoint)
            finally:
                os._exit(0 if checkpoint.exists() and checkpoint.read_text() == str(steps) else 1)
        if kills < 12:
            time.sleep(draw.uniform(0.02, 0.12))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        kills += 1
    assert kills >= 3
    rows = lines(folder / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, steps + 1))
    assert all(("accuracy" in row) == (row["step"] % 3 == 0) for row in rows)
    assert [step for step, _ in curve(folder, "loss")] == list(range(1, steps + 1))
    assert [step for step, _ in curve(folder, "accuracy")] == list(range(3, steps + 1, 3))


def test_hundred_recorders_leave_no_thread_and_no_open_file(tmp_path):
    def held() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd")) if os.path.isdir(
            "/proc/self/fd"
        ) else 0

    open_recorders(tmp_path / "first", 1).close()
    before = held()
    for index in range(100):
        recorders = open_recorders(tmp_path / str(index % 5), 1)
        recorders.scalars(1, {"loss": 1.0})
        recorders.close()
    assert held() == before


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_bar_on_a_terminal_shows_rate_time_left_and_scores():
    stream = Terminal()
    console = Console(200, start=100, label="maml", stream=stream)
    console.scalars(150, {"meta_train/loss": 0.51234, "meta_val/accuracy": 93.25, "time/step_ms": 3.0})
    console._bar.refresh()
    console.close()
    last = stream.getvalue().split("\r")[-1]
    assert re.search(r"maml.*75%.*150/200 \[\d\d:\d\d<\d\d:\d\d,.*loss 0.5123, val accuracy 93.25", last)
    assert "step_ms" not in last


def test_lines_are_few_where_nobody_watches():
    clock, stream = Clock(), io.StringIO()
    console = Console(1000, label="maml", stream=stream, clock=clock)
    for step in range(1, 1001):
        clock.now = 0.5 * step  # 500 seconds: each 10 % takes 50
        console.tick(step)
        if step % 20 == 0:
            console.scalars(step, {"meta_train/loss": 1 / step})
    console.close()
    said = stream.getvalue().splitlines()
    assert [line.split(",")[0] for line in said] == [
        f"maml: {s}/1000 ({s // 10} %)" for s in range(100, 1001, 100)
    ]
    assert re.fullmatch(r"maml: 200/1000 \(20 %\), +2.00 step/s, 06:40 left, loss 0.005556", said[1])


@pytest.mark.parametrize(("seconds", "count"), [(0.001, 1), (0.05, 5), (5.0, 84)])
def test_lines_come_at_most_every_ten_seconds_and_at_least_each_minute(seconds, count):
    clock, stream = Clock(), io.StringIO()
    console = Console(1000, stream=stream, clock=clock)
    for step in range(1, 1001):
        clock.now = seconds * step
        console.tick(step)
    console.close()
    assert len(stream.getvalue().splitlines()) == count
    assert "1000/1000 (100 %)" in stream.getvalue().splitlines()[-1]


def test_all_recorders_hear_everything(tmp_path):
    first, second = Kept(), Kept()
    both = Recorders([first, second])
    both.scalars(1, {"loss": 1.0})
    both.histogram("w", torch.ones(2), 1)
    both.figure("f", Figure(), 1)
    for said in (
        both.tick(1),
        both.text("a", "b"),
        both.images(1, {}),
        both.hparams({}, {}),
        both.flush(),
    ):
        assert said is None
    assert first.told.keys() == second.told.keys() == {"loss", "w", "f"}


def test_a_full_disk_is_one_line_and_closes_the_others(tmp_path):
    stream = io.BytesIO()
    recorders = Recorders([Full(), JsonLines(stream)], "runs/x")
    with pytest.raises(
        MetatlError, match="cannot write records in runs/x: No space left on device; mend that"
    ):
        recorders.scalars(1, {"loss": 1.0})
    with pytest.raises(MetatlError, match="No space left"):
        recorders.close()
    assert stream.closed


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(MetatlError, match="cannot write records in"):
            open_recorders(place, 1)
    with pytest.raises(MetatlError, match="cannot write records in"):
        TensorBoard(tmp_path / "file")


def test_floats_are_exact_and_of_any_kind():
    told = floats({"a": torch.tensor(0.1), "b": torch.tensor(3), "c": torch.tensor(0.1, dtype=torch.float64)})
    assert told == {"a": float(np.float32(0.1)), "b": 3.0, "c": 0.1}
    assert floats({}) == {}


def transfer() -> Transfer:
    params = {
        "conv.weight": torch.randn(4, 3, 2, 2), "conv.bias": torch.randn(4), "head.weight": torch.randn(2, 4),
        "head.bias": torch.randn(2),
    }  # fmt: skip
    guide = {
        "conv.weight": torch.tensor([0.0, 0.0, 0.5, 1.0]).view(4, 1, 1, 1),  # broadcasts to its weight
        "conv.bias": torch.zeros(()),
        "head.weight": torch.stack(
            [torch.zeros(2, 4), torch.ones(2, 4)]
        ),  # an inner-step axis: moves at step 1
        "head.bias": torch.tensor([0.0, 1.0]),
    }
    return Transfer(params, guide)


def test_describe_by_hand():
    said = describe(transfer())
    assert {name: said[f"guide/frozen/{name}"] for name in transfer().params} == {
        "conv.weight": 0.5, "conv.bias": 1.0, "head.weight": 0.0, "head.bias": 0.5,
    }  # fmt: skip
    assert said["guide/mean/conv.weight"] == 0.375
    assert said["guide/mean/head.weight"] == 0.5
    assert said["guide/depth_mean/00_conv"] == pytest.approx(48 * 0.375 / 52)
    assert said["guide/depth_frozen/01_head"] == pytest.approx((0 * 8 + 0.5 * 2) / 10)
    assert said["guide/all/frozen"] == pytest.approx((24 + 4 + 0 + 1) / 62)
    assert said["guide/all/mean"] == pytest.approx((18 + 0 + 4 + 1) / 62)
    assert describe(Transfer(transfer().params)) == {}


def test_describe_names_what_is_not_finite():
    bad = transfer()
    bad.guide["head.bias"][0] = float("nan")
    with pytest.raises(MetatlError, match=r"guide of .head\.bias. is not finite"):
        describe(bad)


def test_overlap_by_hand():
    a, b = {"w": torch.tensor([1.0, 1.0, 0.0, 0.0])}, {"w": torch.tensor([0.0, 1.0, 1.0, 0.0])}
    assert overlap(a, b) == pytest.approx(1 / 3)  # one weight in both, three in either
    assert overlap(a, a) == 1.0
    assert overlap({"w": torch.zeros(3)}, {"w": torch.zeros(3)}) == 1.0
    assert overlap({"w": torch.tensor([0.2, 0.8])}, {"w": torch.tensor([0.4, 0.4])}) == pytest.approx(
        0.6 / 1.2
    )
    with pytest.raises(MetatlError, match="'v' is in one of the two only"):
        overlap(a, {"w": a["w"], "v": a["w"]})


def test_overlap_counts_weights_not_entries():
    a = {"big": torch.ones(()), "small": torch.zeros(())}
    b = {"big": torch.ones(()), "small": torch.ones(())}
    params = {"big": torch.zeros(9, 10), "small": torch.zeros(10)}
    assert overlap(a, b) == 0.5
    assert overlap(a, b, params) == pytest.approx(0.9)
    full = {"big": torch.ones(9, 10), "small": torch.ones(10)}
    assert overlap(a, full) == overlap(a, full, params) == pytest.approx(0.9)


def test_record_guide_says_everything(tmp_path):
    kept, carried = Kept(), transfer()
    record_guide(kept, carried, 7)
    assert describe(carried).items() <= kept.told.items()
    pictures = {tag for tag, value in kept.told.items() if isinstance(value, Figure)}
    assert pictures == {"guide/by_depth", "guide/histograms", "guide/filters"}
    assert {f"guide/{name}" for name in carried.params} <= kept.told.keys()
    recorders = Recorders([JsonLines.open(tmp_path / "metrics.jsonl"), TensorBoard(tmp_path)])
    record_guide(recorders, carried, 7)
    recorders.close()
    (row,) = lines(tmp_path / "metrics.jsonl")
    assert row == {"step": 7, **describe(carried)}
    found = events(tmp_path).Tags()
    assert set(found["images"]) == {shown_tag(tag) for tag in pictures}
    assert set(found["histograms"]) == {f"5_guide/{name}" for name in carried.params}
    nothing = Kept()
    record_guide(nothing, Transfer(carried.params), 7)
    assert nothing.told == {}

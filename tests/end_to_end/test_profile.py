"""`metatl profile` at its smallest: what it checks, shows and writes; no figure is judged."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metatl.engines import Loop
from metatl.lab import cli
from metatl.profile import additions, beside, domains, low_rank, memory, transfers, workloads
from metatl.profile.agreement import disagreement
from metatl.profile.engines import CAN_COMPILE, MAKERS, for_workload
from metatl.profile.timing import interleaved, sgemm_gflops, turns
from metatl.types import MetatlError

QUICK = ["--repeats", "1", "--seconds", "0"]
KEYS = [
    "workload", "steps", "queries", "engine", "compiled", "tasks_per_second", "ratio_to_learn2learn",
    "share_of_limit", "peak_mib",
]  # fmt: skip
CONFIG = """
name: tiny
data: {class_path: Sinusoid}
model: {class_path: MLP, init_args: {hidden: [8]}}
learner:
  class_path: Episodic
  init_args:
    meta_batch: 4
    tasks: {shot: 5, query: 3}
    adaptation: {steps: 2, rule: {class_path: SGD, init_args: {lr: 0.1, momentum: 0.5}}}
"""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sinusoid workload in eager mode only, with one variant."""
    monkeypatch.setitem(workloads.SHAPES, "W3", replace(workloads.SHAPES["W3"], variants=((1, 10),)))
    monkeypatch.setattr("metatl.profile.engines.CAN_COMPILE", False)


def test_rows_and_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str], small: None) -> None:
    out = tmp_path / "deep" / "profile.json"
    assert cli.main(["profile", "W3", "--engines", "batched,loop", "--out", str(out), *QUICK]) == 0
    shown, said = capsys.readouterr()
    found: dict[str, Any] = json.loads(out.read_text())
    assert [list(row) for row in found["rows"]] == [KEYS] * 2
    assert [row["engine"] for row in found["rows"]] == ["batched", "loop"]
    for row in found["rows"]:
        assert (row["workload"], row["steps"], row["queries"], row["compiled"]) == ("W3", 1, 10, False)
        assert row["tasks_per_second"] > 0
        assert 0 < row["share_of_limit"] < 1
        assert row["peak_mib"] >= 0
        assert row["ratio_to_learn2learn"] is None
    machine = found["machine"]
    assert machine["cores"] >= 1
    assert machine["threads"] == 1
    assert machine["sgemm_gflops"] > 0
    assert machine["torch"] == torch.__version__
    assert "tasks/s" in shown
    assert str(out) in shown
    assert "no gradient is off by more than" in said
    assert "batched will need about" in said


@pytest.mark.peers
def test_ratio_to_learn2learn(
    tmp_path: Path, higher: Any, learn2learn: Any, small: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "profile.json"
    assert cli.main(["profile", "W3", "--no-memory", "--out", str(out), *QUICK]) == 0
    rows = {row["engine"]: row for row in json.loads(out.read_text())["rows"]}
    assert set(rows) == {"batched", "loop", "higher", "learn2learn"}
    assert rows["learn2learn"]["ratio_to_learn2learn"] == 1.0
    assert all(row["peak_mib"] is None for row in rows.values())


def test_a_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "tiny.yaml", tmp_path / "profile.json"
    path.write_text(CONFIG)
    words = [
        "profile",
        str(path),
        "--out",
        str(out),
        "--no-memory",
        *QUICK,
        "--learner.adaptation.steps",
        "3",
    ]
    assert cli.main(words) == 0
    rows = json.loads(out.read_text())["rows"]
    assert {(row["steps"], row["queries"]) for row in rows} == {(3, 3)}
    assert {"batched", "loop"} <= {row["engine"] for row in rows}
    assert "learn2learn" not in {row["engine"] for row in rows}, "it has no momentum, and says so"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["W9"], "unknown workload 'W9'.*W1, W2, W3, W4"),
        (["W3", "--engines", "fast"], "unknown engine 'fast'.*batched, loop"),
        (["W3", "--device", "cuda:77"], "device 'cuda:77'"),
        (["W3", "--what"], "unknown argument --what"),
        (["nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_bad_words_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["profile", *words, "--no-memory"]) == 2
    shown, said = capsys.readouterr()
    assert shown == ""
    lines = [line for line in said.splitlines() if not line.startswith("note:")]
    assert len(lines) == 1
    assert re.search(message, lines[0])


def test_a_config_that_does_not_meta_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plain.yaml"
    path.write_text("name: x\ndata: {class_path: Sinusoid}\nmodel: {class_path: MLP}\n")
    assert cli.main(["profile", str(path)]) == 2
    assert "Keep" in capsys.readouterr().err


def test_a_wrong_engine_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(Loop):
        def grad(self, *args: Any) -> Any:
            grads, metrics = super().grad(*args)
            grads["params.head.weight"].mul_(1 + 1e-6)
            return grads, metrics

    monkeypatch.setitem(MAKERS, "wrong", lambda _: Wrong())
    setting = workloads.built(workloads.variants_of("W3")[0], "cpu")
    assert disagreement(setting, ["loop"]) == 0.0
    with pytest.raises(MetatlError, match=r"engine wrong disagrees.*head.weight"):
        disagreement(setting, ["loop", "wrong"])


def test_beside_meta_training(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["batched", "loop"]
    found = beside.scouts(names, "cpu", 1, count=3, steps=2)
    assert [(row["engine"], row["scouts_per_second"] > 0) for row in found] == [
        ("batched", True),
        ("loop", True),
    ]
    assert found[1]["ratio_to_loop"] == 1.0
    found = beside.sampling(["batched"], "cpu", 1)
    assert 0 < found[0]["share_of_step"] < 1
    found = beside.evaluation(["batched"], "cpu", 1, episodes=4)
    assert found[0]["seconds"] > 0
    assert found[0]["peak_mib"] > 0


def test_memory_is_measured_and_foretold() -> None:
    told: list[float] = []
    variant = workloads.variants_of("W1")[0]
    few = memory.measured(variant, "batched", 2, "cpu", told.append)
    many = memory.measured(variant, "batched", 16, "cpu", told.append)
    assert 0 < few < many
    assert len(told) == 2
    assert told[0] < told[1]


def test_estimates_grow_by_the_second_task() -> None:
    assert memory.estimate(10.0, 14.0, 1) == 10.0
    assert memory.estimate(10.0, 14.0, 5) == 26.0
    assert memory.estimate(10.0, 9.0, 5) == 9.0


def test_a_child_that_fails_is_one_line() -> None:
    with pytest.raises(MetatlError, match="engine batched failed: ValueError: no"):
        list(memory.in_fresh_process("raise ValueError('no')", {"engine": "batched"}))


def test_turns_are_shared() -> None:
    seen: list[str] = []
    done: list[int] = []
    calls = {name: lambda name=name: seen.append(name) for name in "ab"}
    found = interleaved(calls, 3, 0.0, "cpu", done.append)
    assert set(found) == {"a", "b"}
    assert done == list(range(1, turns(2, 3) + 1))
    assert {name: seen.count(name) > 3 for name in "ab"} == {"a": True, "b": True}
    assert sgemm_gflops("cpu", 64, 0.01) > 0


@pytest.mark.skipif(not CAN_COMPILE, reason="this build of the batched engine has no compiled step")
def test_the_sinusoid_is_timed_compiled_too() -> None:
    assert for_workload(["batched", "loop"], "W3", "cpu") == ["batched", "loop", "compiled"]
    assert for_workload(["batched"], "W1", "cpu") == ["batched"]
    assert for_workload(["batched"], "W1", "cuda:0") == ["batched", "captured"]
    with pytest.raises(MetatlError, match="CUDA graph"):
        for_workload(["captured"], "W1", "cpu")


@pytest.mark.parametrize("name", list(workloads.SHAPES))
def test_every_workload_can_be_built(name: str) -> None:
    for variant in workloads.variants_of(name):
        setting = workloads.built(variant, "cpu")
        assert setting.tasks == workloads.SHAPES[name].meta_batch
        assert setting.operations() > 0


def test_other_workloads_of_this_machine_stay_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], small: None
) -> None:
    out = tmp_path / "profile.json"
    words = ["profile", "W3", "--engines", "loop", "--no-memory", "--out", str(out), *QUICK]
    assert cli.main(words) == 0
    found = json.loads(out.read_text())
    other = {**found["rows"][0], "workload": "W1"}
    limit = {**found["machine"], "sgemm_gflops": 1e6}
    rows = [other, {**other, "workload": "W3", "engine": "old"}]
    out.write_text(json.dumps({"machine": limit, "rows": rows}))
    assert cli.main(words) == 0
    again = json.loads(out.read_text())
    assert again["machine"]["sgemm_gflops"] == 1e6, "the best that this machine has shown"
    assert again["rows"][0]["share_of_limit"] == other["share_of_limit"]
    low = {**again["machine"], "sgemm_gflops": 1e-3}
    out.write_text(json.dumps({"machine": low, "rows": [{**other, "share_of_limit": 0.9}]}))
    assert cli.main(words) == 0
    assert json.loads(out.read_text())["rows"][0]["share_of_limit"] < 0.001
    assert [(row["workload"], row["engine"]) for row in again["rows"]] == [("W1", "loop"), ("W3", "loop")]
    out.write_text(json.dumps({**again, "machine": {**again["machine"], "torch": "another"}}))
    assert cli.main(words) == 0
    assert [row["workload"] for row in json.loads(out.read_text())["rows"]] == ["W3"]


def test_transfer_beside_the_passes_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"EPOCHS": 2, "STEPS": 1, "BATCH": 4, "DRAWS": 2}.items():
        monkeypatch.setattr(transfers, name, value)
    (heads,) = transfers.frozen([], "cpu", 1, 32, (24, 6))
    assert heads["cells"] == 4 * (2 * 4 + 1)
    assert heads["ratio"] > 0
    assert heads["resumed_ratio"] < heads["again_ratio"]
    (adversary,) = domains.two_domains([], "cpu", 1, 4)
    assert adversary["ratio"] > 0
    for measure in (transfers.tuned, transfers.last_block):
        (found,) = measure([], "cpu", 1, 32)
        assert found["ratio"] > 0


def test_additions_of_all_tasks_at_once_and_of_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TASKS": 2, "STEPS": 1, "WIDTH": 8, "TOKENS": 3}.items():
        monkeypatch.setattr(additions, name, value)
    (found,) = additions.lora([], "cpu", 1)
    assert found["ratio"] == pytest.approx(found["loop_seconds"] / found["batched_seconds"], rel=0.05)


def test_additions_beside_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two loops end at the same weights; without peft a line says what is missing, and no group asks."""
    if not low_rank.able():
        assert "T3" not in sys.modules["metatl.profile.command"].GROUPS["transfer"]
        with pytest.raises(MetatlError, match="metatl\\[oracles\\]"):
            low_rank.beside_peft([], "cpu", 1)
        return
    monkeypatch.setattr(low_rank, "NETS", {"timm:vit_tiny_patch16_224": (2, 224)})
    (found,) = low_rank.beside_peft([], "cpu", 1)
    assert found["ratio"] > 0
    assert found["memory_ratio"] > 0

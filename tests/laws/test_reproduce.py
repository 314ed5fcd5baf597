"""scripts/reproduce.py: what counts as the same table, and what is refused."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def reproduce(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import reproduce

    return reproduce


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("a\nb 95.38 ± 0.40\n", None),
        ("a\nb 95.39 ± 0.40\n", "line 2"),
        ("a\n", "line 2"),
        ("a\nb 95.38 ± 0.40\nc\n", "line 3"),
    ],
)
def test_tables_are_the_same_to_the_digit(reproduce: Any, other: str, said: str | None) -> None:
    found = reproduce.difference("a\nb 95.38 ± 0.40\n", other)
    assert found is None if said is None else found.startswith(said)


def test_what_was_learned_before_is_not_used(
    reproduce: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce, "ROOT", tmp_path)
    (tmp_path / "runs" / "reproduce" / "sinusoid").mkdir(parents=True)
    with pytest.raises(reproduce.MetatlError, match="--resume"):
        reproduce.again("sinusoid", resume=False)


def test_every_study_takes_the_shared_options_and_one_thread(reproduce: Any) -> None:
    for command, _ in reproduce.STUDIES.values():
        text = (SCRIPTS / command.split()[0]).read_text(encoding="utf-8")
        called = [ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
        assert any(call.startswith("study.parser(") for call in called)
        assert "torch.set_num_threads(1)" in called

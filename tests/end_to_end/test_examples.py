"""The examples: each is short, and does what its first line says when it is run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from metatl.threads import few_threads

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
MOST_LINES = 40


def run(name: str) -> Any:
    path = next(path for path in EXAMPLES if path.stem == name)
    spec = importlib.util.spec_from_file_location(f"examples_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with few_threads(True):  # small tensors: on a busy machine a second thread is waited for
        return module.main()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_tested(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    named = (f'"{path.stem}"', f'"{path.name}"')
    tests = Path(__file__).parents[1].rglob("test_*.py")
    assert any(word in test.read_text(encoding="utf-8") for test in tests for word in named)


def test_knn_through_evaluate() -> None:
    found = run("knn_through_evaluate")
    assert len(found) == 3
    assert min(found.values()) > 0.35, "chance is 0.2"


def test_in_context_learner() -> None:
    found = run("in_context_learner")
    assert found["in context"] < found["k-NN"] / 2


def test_text_classifier() -> None:
    assert run("text_classifier") < 1e-12


def test_two_heads() -> None:
    found = run("two_heads")
    assert found["right"] > 0.75, "chance is 0.33"
    assert found["squared error"] < 0.5, "the mean gives 1.1"


def test_lora_under_maml() -> None:
    found = run("lora_under_maml")
    assert 0.0 < found["share"] < 0.1
    assert found["last"] < found["first"]

"""Small inputs that once failed silently or with a traceback: each case states its right value in asserts."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

CASES = sorted((Path(__file__).parent / "cases").glob("*.py"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_case(case: Path) -> None:
    """Run the case; its asserts say what was seen and what is right."""
    threads = torch.get_num_threads()
    try:
        runpy.run_path(str(case))
    finally:
        torch.set_num_threads(threads)


def test_there_are_cases() -> None:
    assert len(CASES) >= 12

"""Property-based: whatever configs, archives and saved files hold, a result or one clear line comes of it.

`scripts/torture.py --only fuzz` runs the same properties on ten thousand cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from tests import commands
from tests.trust import fuzz, ground

CASES = 400
"""In all; the same ones every time."""


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ground.Ground]:
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        commands.small_cache(patch, folder / "cache")
        patch.chdir(folder)
        torch.set_num_threads(1)
        yield ground.made(folder)


@pytest.mark.parametrize("name", fuzz.SHARES)
def test_a_result_or_one_line(name: str, grown: ground.Ground) -> None:
    drawn, holds = fuzz.properties(grown)[name]

    @settings(
        max_examples=round(CASES * fuzz.SHARES[name]),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn)
    def every(case: Any) -> None:
        holds(grown, case)

    every()


def test_every_property_is_tested(grown: ground.Ground) -> None:
    assert set(fuzz.properties(grown)) == set(fuzz.SHARES)
    assert sum(fuzz.SHARES.values()) == pytest.approx(1)
    assert Path(grown.run, "report.json").is_file()

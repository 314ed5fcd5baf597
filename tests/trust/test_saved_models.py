"""A saved model that somebody changed, value by value: it opens and predicts, or is refused in one line."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metatl.transferring.open_model import open_model
from metatl.transferring.opened import Words
from metatl.transferring.predict import predict
from metatl.transferring.transfer import transfer
from metatl.types import MetatlError

pytest.importorskip("sklearn")
OTHERS: list[Any] = [None, -1, 10**9, "x", [], {}, 1.5, True, "os.system", ["a"] * 3]


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every value of a nesting lies."""
    yield from (above,) if above else ()
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*above, key))


@pytest.fixture(scope="module", params=["ridge", "extra-trees"])
def saved(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, own_cache: None
) -> tuple[Path, Path]:
    place, rng = tmp_path_factory.mktemp("m"), np.random.default_rng(0)
    lines = ["age,ward,since,smokes,outcome"]
    for i in range(30):
        age, ward = rng.normal(50, 10), "ns"[i % 2]
        lines.append(f"{age:.1f},{ward},2024-01-{1 + i % 28:02d},{'yes' if i % 3 else 'no'},{'ab'[age > 50]}")
    (place / "t.csv").write_text("\n".join(lines))
    words = Words(target="outcome")
    transfer(
        place / "t.csv",
        methods=request.param,
        labelled="3",
        draws=1,
        minutes=0.1,
        out=place / "o",
        words=words,
    )
    return place / "o" / "model", place / "t.csv"


def test_every_value_that_is_another_is_one_line_or_none(saved: tuple[Path, Path], tmp_path: Path) -> None:
    model, table = saved
    whole, draw, refused = json.loads((model / "model.json").read_text()), random.Random(0), 0
    for place in places(whole):
        values: Any = json.loads(json.dumps(whole))
        at: Any = values
        for key in place[:-1]:
            at = at[key]
        if draw.random() < 0.3:
            del at[place[-1]]
        else:
            at[place[-1]] = draw.choice(OTHERS)
        shutil.copytree(model, tmp_path / "m", dirs_exist_ok=True)
        (tmp_path / "m" / "model.json").write_text(json.dumps(values))
        try:
            predict(open_model(tmp_path / "m"), [table])
        except MetatlError:
            refused += 1
    assert refused > 20

"""Source and target of unlike columns in `metatl transfer`: one space, and rows that need shared columns."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metatl import MetatlError
from metatl.adapt import AcrossDomains, ClosedForm, head_net
from metatl.adapt.solvers import LogisticRegression
from metatl.alignments import LatentSpace, ManifoldAlignment, TwoDomains
from metatl.alignments.latent import SharedLatent
from metatl.transferring.asked import columned
from metatl.transferring.open_model import open_model
from metatl.transferring.opened import Words, opened
from metatl.transferring.rows import rows
from metatl.transferring.shared_columns import UNLIKE
from metatl.transferring.transfer import Transferring, transfer
from metatl.types import Batch

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")

MIXES = np.random.default_rng(9).normal(size=(2, 3, 8)).astype(np.float32)
SPACES = {"dama": ManifoldAlignment(), "latent": LatentSpace(SharedLatent(steps=100, lr=1e-2))}


def hidden(count: int, seed: int, mix: Any) -> tuple[Tensor, Tensor]:
    """Three classes in as many hidden columns, seen through a mix of them."""
    y, draws = np.arange(count) % 3, np.random.default_rng(seed)
    x = (3 * np.eye(3)[y] + draws.normal(size=(count, 3))).astype(np.float32) @ mix
    return torch.from_numpy((x - x.mean(0)) / x.std(0)), torch.from_numpy(y)


def streams(labelled: int = 6) -> tuple[Batch, Tensor, Tensor]:
    """150 rows of 7 columns; of 8 others some with labels; and rows to judge."""
    (x, y), (z, t) = hidden(150, 0, MIXES[0][:, :7]), hidden(150, 1, MIXES[1])
    seen = {"labelled": z[:labelled], "source": x, "unlabelled": z}
    return Batch(seen, {"labelled": t[:labelled], "source": y}), z[60:], t[60:]


@pytest.mark.parametrize("space", SPACES)
def test_a_source_of_other_columns_serves_where_labels_are_few(space: str) -> None:
    """Also with more columns than labelled rows, where many directions hold no row apart."""
    support, z, t = streams()
    way = AcrossDomains(SPACES[space], ClosedForm(LogisticRegression(1e-2)))
    net, start = head_net(8, 3)
    with torch.no_grad():
        outputs = way.predict(net, start, way.fit(net, start, support), support, z)
    assert (outputs.argmax(1) == t).double().mean() > 0.85


@pytest.mark.parametrize("space", SPACES)
def test_labelled_rows_lie_where_further_rows_are_brought(space: str) -> None:
    support, _, _ = streams()
    x, y = support.x, support.y
    found = TwoDomains(Batch(x["source"], y["source"]), Batch(x["labelled"], y["labelled"]), x["unlabelled"])
    both, fitted = SPACES[space].fit(found)
    again = SPACES[space].target(fitted, x["labelled"])
    torch.testing.assert_close(both.x[150:], again, atol=1e-5, rtol=1e-4)


def table(place: Path, count: int, seed: int, mix: Any, names: str) -> Path:
    x, y = hidden(count, seed, mix)
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow([*names, "label"])
        out.writerows([*(f"{v:.6f}" for v in row), "pqr"[c]] for row, c in zip(x.tolist(), y, strict=True))
    return place


def asked(folder: Path, methods: str) -> Transferring:
    source = table(folder / "s.csv", 90, 0, MIXES[0][:, :7], "ABCDEFG")
    for name, seed in (("train", 1), ("test", 2)):
        table(folder / f"t/{name}.csv", 45, seed, MIXES[1], "abcdefgh")
    given: dict[str, Any] = {"draws": 1, "minutes": 1.0, "words": Words("label"), "source": source}
    return transfer(folder / "t", labelled="2", methods=methods, out=folder / "o", **given)


def test_unlike_columns_stand_in_the_table_and_are_saved(tmp_path: Path) -> None:
    found = asked(tmp_path, "dama,shared-latent")
    score = {row["method"]: row["score"] for row in found.report["rows"]}
    assert min(score["dama"], score["shared-latent"]) > 75
    one = tmp_path / "one"
    saved = asked(one, "dama")
    model, x = open_model(one / "o/model"), torch.randn(4, 8)
    torch.testing.assert_close(model.outputs(x), saved.model.outputs(x))


def test_rows_that_need_shared_columns_are_refused_by_name_and_else_left_out(tmp_path: Path) -> None:
    with pytest.raises(MetatlError, match=r"has no column of t's .* \(--methods dama,shared-latent; where"):
        asked(tmp_path, "coral,dama")
    data, source = (opened(tmp_path / place, Words("label"))[0] for place in ("t", "s.csv"))
    some = rows(("coral", "dama", "ridge"))
    assert columned(some, ["coral"], source, data, [0]) == (some, [])
    kept, notes = columned(some, ["domains"], source, data, [0, 2])
    assert (list(kept), notes) == (
        ["ridge", "dama"],
        ["Left out, as the source has no column of the data's: coral."],
    )
    assert columned(some, ["domains"], data, data, [0]) == (some, [])
    with pytest.raises(MetatlError, match=r"dama, shared-latent.* learn from labels of both"):
        columned(some, ["domains"], source, data, [0])


def test_rows_that_are_named_for_unlike_columns_are_those_that_take_them() -> None:
    unlike = {name: row for name, row in rows().items() if row.adaptation.unlike}
    assert tuple(name for name, row in unlike.items() if row.needs_labels) == UNLIKE
    assert {*unlike} - {*UNLIKE} == {"cca"}

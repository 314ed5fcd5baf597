"""A small net between two domains: its steps written out, what it does not see, and its rows of the table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from metatl import Net, train
from metatl.adapt import Descent, head_net
from metatl.data import CutAcross, Domain, MixedUp
from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.domain_data import DomainData
from metatl.engines import Loop
from metatl.guides import Norms
from metatl.heads import Learned
from metatl.learners import DualPath, NetAcross, Supervised
from metatl.models import MLP
from metatl.objectives import MMD, Bridged, Entropy, FeatureMatching, TaskLoss
from metatl.rules import SGD, Adam
from metatl.transferring.rows import rows
from metatl.types import Batch, MetatlError

pytestmark = pytest.mark.usefixtures("one_thread")
TARGET = {"target": Domain(size=8)}
PLAIN = Supervised(30, 8, SGD(0.1), (TaskLoss(), MMD()), streams=TARGET)
ROWS = (
    "dann",
    "deep-coral",
    "mmd",
    "mcc",
    "cdan",
    "pseudo-labels",
    "fixmatch",
    "mixup-bridges",
    "cutmix-bridge",
    "patchmix-bridge",
    "ddb",
    "feature-matching",
    "source-net",
    "source-norms",
    "adabn",
    "tent",
)


def support(n: int = 30, shift: float = 1.0, labelled: int = 4, seed: int = 0) -> Batch:
    """Three classes in five columns, the target's moved; y of the first rows of the target."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    x = [3 * torch.eye(5)[y] + torch.randn(n, 5, generator=draw) for _ in range(2)]
    x[1] = x[1] + shift
    streams = {"labelled": x[1][:labelled], "source": x[0], "unlabelled": x[1]}
    return Batch(streams, {"labelled": y[:labelled], "source": y})


def said(way: NetAcross, rows: Batch, x: Tensor, key: int = 0, outputs: int = 3) -> Tensor:
    net, start = head_net(x.shape[1], outputs)
    with torch.no_grad():
        return way.predict(net, start, way.fit(net, start, rows, key), rows, x)


def test_a_fit_is_its_learner_on_both_domains_written_out() -> None:
    rows = support()
    x, y = (
        torch.cat([rows.x["source"], rows.x["labelled"]]),
        torch.cat([rows.y["source"], rows.y["labelled"]]),
    )
    both = torch.cat([x, rows.x["unlabelled"]])
    mean, deviation = both.mean(0), both.std(0, correction=0)
    own, target = (x - mean) / deviation, (rows.x["unlabelled"] - mean) / deviation
    order = torch.argsort(y, stable=True)
    source = Bank.sorted_by_class(own[order], torch.bincount(y).tolist(), ["0", "1", "2"])
    whole = {n: Bank.sorted_by_class(one, [len(one)], ["r"]) for n, one in (("s", own), ("t", target))}
    data = DomainData(ClassData("d", {"meta_train": source}), whole, ("s",), "t")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        net = Net.of(MLP((5,), 3, (64,)))
        found = train(PLAIN, net, Loop(), PLAIN.init(net, net.start()), data, 5).transfer
        expected = net(found.params, found.buffers, target).detach()
    torch.testing.assert_close(said(NetAcross(PLAIN), rows, rows.x["unlabelled"], 5), expected)


def test_it_draws_by_its_key_alone_and_leaves_the_generator() -> None:
    rows, way = support(), NetAcross(PLAIN)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = said(way, rows, rows.x["unlabelled"])
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(said(way, rows, rows.x["unlabelled"]), one)
    assert not torch.equal(said(way, rows, rows.x["unlabelled"], 1), one)


def test_columns_in_other_units_change_nothing() -> None:
    rows, way = support(), NetAcross(PLAIN)
    units, zero = torch.tensor([1e-2, 1.0, 3.0, 50.0, 7.0]), torch.arange(5.0)
    other = rows._replace(x={name: leaf * units + zero for name, leaf in rows.x.items()})
    one, two = (said(way, some, some.x["unlabelled"]) for some in (rows, other))
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)


def test_a_term_on_both_domains_brings_over_what_the_source_knows() -> None:
    """A shift of two columns: a classifier of the source alone names more of the target wrong."""
    draw, y = torch.Generator().manual_seed(0), torch.arange(120) % 2
    apart, shift = (torch.tensor(way) for way in ([3.0, 2.0, 0.0, 0.0, 0.0], [2.5, 0.0, 0.0, 2.5, 0.0]))
    source, target = (torch.randn(120, 5, generator=draw) + y[:, None] * apart for _ in range(2))
    target = target + shift
    x = {"labelled": target[:0], "source": source, "unlabelled": target}
    rows, size = Batch(x, {"labelled": y[:0], "source": y}), 32
    streams = {"target": Domain(size=size), "bridge": CutAcross(size, 0.4)}
    terms = {"source": (), "mmd": (MMD(),), "bridge": (Bridged(threshold=0.968),)}
    score = dict[str, float]()
    for name, more in terms.items():
        learner = Supervised(200, size, Adam(3e-3), (TaskLoss(), *more), streams=streams)
        score[name] = float((said(NetAcross(learner), rows, target, outputs=2).argmax(1) == y).float().mean())
    assert min(score["mmd"], score["bridge"]) > score["source"] + 0.05, score


def test_a_class_without_a_row_is_no_class_that_is_learned() -> None:
    rows = support(labelled=0)
    kept = rows.y["source"] != 1
    y = {"labelled": rows.y["labelled"], "source": rows.y["source"][kept]}
    some = Batch({**rows.x, "source": rows.x["source"][kept]}, y)
    long = replace(PLAIN, steps=200, terms=(TaskLoss(),))
    assert (said(NetAcross(long), some, some.x["source"]).argmax(1) == y["source"]).float().mean() > 0.9


def test_two_paths_serve_as_one_does() -> None:
    two = DualPath(replace(PLAIN, terms=(TaskLoss(),), streams={}), 40, (MixedUp(8, 0.5), CutAcross(8, 0.4)))
    rows = support()
    found = said(NetAcross(two), rows, rows.x["source"])
    assert (found.argmax(1) == rows.y["source"]).float().mean() > 0.5


def test_what_it_does_not_take_is_one_line() -> None:
    rows = support()
    net, start = head_net(5, 3)
    with pytest.raises(MetatlError, match="NetAcross learns classes"):
        NetAcross(PLAIN).fit(net, start, rows._replace(y={n: y.float() for n, y in rows.y.items()}))
    empty = rows._replace(x={**rows.x, "unlabelled": rows.x["unlabelled"][:0]})
    with pytest.raises(MetatlError, match="no row of the target is left"):
        NetAcross(PLAIN).fit(net, start, empty)


def test_target_moments_undo_units_of_the_target_and_tent_moves_norms_alone() -> None:
    """Under AdaBN the mean and spread of every norm's inputs are those of unlabelled target rows."""
    plain = NetAcross(Supervised(60, 8, Adam(1e-2)), norm=True)
    rows = support(60, 2.0, labelled=0)
    own = replace(plain, moments_of="target")
    net, start = head_net(5, 3)
    with torch.no_grad():
        found, floor = (way.fit(net, start, rows, 0) for way in (own, plain))
        assert all(torch.equal(found["params"][n], leaf) for n, leaf in floor["params"].items())
        x = (rows.x["unlabelled"] - found["mean"]) / found["deviation"]
        inside = x @ found["params"]["body.0.weight"].T + found["params"]["body.0.bias"]
        torch.testing.assert_close(found["buffers"]["body.1.running_mean"], inside.mean(0))
        torch.testing.assert_close(found["buffers"]["body.1.running_var"], inside.var(0, correction=0))
        said_of = own.predict(net, start, found, rows, rows.x["unlabelled"])
        assert (said_of.argmax(1) == rows.y["source"]).double().mean() > 0.8
        steps = Descent(Adam(1e-2), 3, Learned(), (Entropy(),), moments="support")
        tent = replace(own, after=steps, guide=Norms(head=False))
        moved = tent.fit(net, start, rows, 0)["params"]
        assert tent.saved == replace(plain, learner=replace(plain.learner, steps=0))
    changed = {n for n, leaf in moved.items() if not torch.equal(leaf, found["params"][n])}
    assert changed == {"body.1.weight", "body.1.bias"}


def test_moments_and_steps_that_mean_nothing_are_one_line() -> None:
    with pytest.raises(MetatlError, match="needs batch norms"):
        NetAcross(PLAIN, moments_of="target")
    with pytest.raises(MetatlError, match="there are none"):
        NetAcross(PLAIN, guide=Norms(head=False))


def test_pairs_are_drawn_together() -> None:
    """Row i of one stream is of the same thing as row i of the other, whatever the step."""
    pairs = torch.arange(20.0)[:, None].repeat(1, 5)
    rows = support()
    rows = Batch({**rows.x, "paired_source": pairs, "paired_target": -pairs}, rows.y)
    streams = {name: Domain(name, 6) for name in ("paired_source", "paired_target")}
    seen = list[tuple[Tensor, Tensor]]()

    class Watched(FeatureMatching):
        def over(self, params: Any, seen_: Any) -> Tensor:
            seen.append(tuple(seen_.batches[name].x for name in self.streams))
            return super().over(params, seen_)

    way = NetAcross(Supervised(9, 8, SGD(0.0), (TaskLoss(), Watched()), streams=streams))
    assert "paired" in way.streams
    said(way, rows, rows.x["source"])
    assert len(seen) == 9
    scale = torch.cat([one[:, :1] for one, _ in seen]), torch.cat([other[:, :1] for _, other in seen])
    both = torch.cat(scale, 1)
    slope = torch.linalg.lstsq(torch.cat([both[:, :1], torch.ones(len(both), 1)], 1), both[:, 1:]).solution
    fitted = torch.cat([both[:, :1], torch.ones(len(both), 1)], 1) @ slope
    torch.testing.assert_close(fitted, both[:, 1:], atol=1e-4, rtol=1e-4)
    assert float(slope[0]) == pytest.approx(-1.0, abs=1e-4)


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_the_table_are_such_nets_with_rates_that_are_chosen(name: str) -> None:
    row = rows((name,))[name]
    assert isinstance(row.adaptation, NetAcross)
    assert row.family == "source and target"
    assert not row.needs_labels
    assert any(path.endswith("rule.lr") for path in row.select or {})

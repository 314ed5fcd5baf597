"""A net that reads support rows: what its outputs may depend on, and how Episodic learns it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from metatl import Net, Tasks
from metatl.adapt import InContext
from metatl.data import Fewer, LinearFunctions, SmallTables
from metatl.engines import Batched, Loop
from metatl.learners import Episodic
from metatl.models import InContextTransformer, NeuralProcess
from metatl.objectives import BarDistribution
from metatl.testing import check_adaptation
from metatl.types import Batch, Episode, MetatlError

M, N, D = 6, 4, 3


def reader(process: bool = False, **options: bool | int) -> nn.Module:
    torch.manual_seed(0)
    outputs = 3 if options.get("classes", not process) else 1
    if process:
        return NeuralProcess((D,), outputs, width=16, **options).double()  # pyright: ignore[reportArgumentType]
    return InContextTransformer((D,), outputs, width=16, layers=2, heads=2, **options).double()  # pyright: ignore[reportArgumentType]


def rows(real: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    made = torch.Generator().manual_seed(1)
    x, y, asked = (torch.randn(k, generator=made, dtype=torch.float64) for k in ((M, D), (M, 1), (N, D)))
    return x, y if real else torch.tensor([0, 1, 2, 0, 1, 2]), asked


KINDS: list[dict[str, bool | int]] = [
    {"classes": True},
    {"classes": True, "standardise": True},
    {"classes": False},
    {"classes": False, "bars": 8},
    {"process": True, "classes": False},
    {"process": True, "classes": True},
    {"process": True, "classes": False, "heads": 2},
    {"process": True, "classes": False, "heads": 4, "bars": 8},
]


@pytest.mark.parametrize("options", KINDS)
def test_the_order_of_support_rows_does_not_matter(options: dict[str, bool | int]) -> None:
    module, (x, y, asked) = reader(**options), rows(not options.get("classes", True))
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(module(x[order], y[order], asked), module(x, y, asked))
    other = y[order].clone()
    assert (module(x, other, asked) - module(x, y, asked)).abs().max() > 1e-4, "labels are not read"


@pytest.mark.parametrize("options", KINDS)
def test_a_query_does_not_see_other_queries(options: dict[str, bool | int]) -> None:
    module, (x, y, asked) = reader(**options), rows(not options.get("classes", True))
    together = module(x, y, asked)
    alone = torch.cat([module(x, y, row[None]) for row in asked])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("options", KINDS)
def test_a_row_of_weight_k_is_k_rows(options: dict[str, bool | int]) -> None:
    module, (x, y, asked) = reader(**options), rows(not options.get("classes", True))
    weight = torch.tensor([1.0, 2.0, 0.0, 1.0, 3.0, 0.0], dtype=torch.float64)
    times = weight.long()
    said = module(x, y, asked, weight)
    torch.testing.assert_close(
        said, module(x.repeat_interleave(times, 0), y.repeat_interleave(times, 0), asked)
    )


@pytest.mark.parametrize("options", KINDS)
def test_no_support_row_is_the_priors_answer(options: dict[str, bool | int]) -> None:
    module, (x, y, asked) = reader(**options), rows(not options.get("classes", True))
    none = module(x[:0], y[:0], asked)
    assert none.isfinite().all()
    torch.testing.assert_close(none, module(x, y, asked, torch.zeros(M, dtype=torch.float64)))


def test_fewer_columns_are_filled_and_more_are_refused() -> None:
    module, (x, y, asked) = reader(standardise=True), rows()
    filled = [torch.cat([part[:, :2], torch.zeros(len(part), 1)], 1) for part in (x, asked)]
    torch.testing.assert_close(module(x[:, :2], y, asked[:, :2]), module(filled[0], y, filled[1]))
    with pytest.raises(MetatlError, match="4 columns, and the net was trained for at most 3"):
        module(torch.zeros(M, 4, dtype=torch.float64), y, asked)


def test_units_of_columns_do_not_matter_where_they_are_standardised() -> None:
    module, (x, y, asked) = reader(standardise=True), rows()
    scale, shift = torch.tensor([10.0, 0.1, 3.0]), torch.tensor([5.0, -2.0, 0.0])
    torch.testing.assert_close(module(x * scale + shift, y, asked * scale + shift), module(x, y, asked))


def test_fewer_classes_are_the_first_outputs_and_more_are_refused() -> None:
    x, _, asked = rows()
    net = Net.of(reader())
    episode = Episode(Batch(x, torch.tensor([0, 1] * 3)), Batch(asked))
    way, start = InContext(), net.start()
    two, three = (way.answer(net.with_outputs(k), start, episode) for k in (2, 3))
    torch.testing.assert_close(two, three[:, :2])
    with pytest.raises(MetatlError, match="5 classes, and the net was trained for at most 3"):
        way.check(net.with_outputs(5), start, real=False)


def test_a_net_that_reads_no_support_rows_is_one_line() -> None:
    x, y, asked = rows()
    net = Net.of(nn.Linear(D, 3).double())
    with pytest.raises(MetatlError, match="Linear reads no support rows"):
        InContext().answer(net, net.start(), Episode(Batch(x, y), Batch(asked)))


@pytest.mark.parametrize("process", [False, True])
def test_an_interval_is_as_wide_as_the_middle_of_the_bars(process: bool) -> None:
    """Whatever little weight lies far away: a variance alone would be much wider."""
    bars, (x, y, asked) = BarDistribution(-3, 3, 8), rows(real=True)
    net = Net.of(reader(process, classes=False, bars=8)).with_outputs(1)
    episode = Episode(Batch(x, y), Batch(asked))
    told = InContext(bars=bars).predictive(net, net.start(), episode)
    output = net.module(x, y, asked)
    wide = bars.quantile(output, 0.975) - bars.quantile(output, 0.025)
    low, high = told.interval(0.95)
    torch.testing.assert_close(high - low, wide, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close((low + high) / 2, bars.mean(output))


@pytest.mark.parametrize("process", [False, True])
@pytest.mark.parametrize("bars", [None, BarDistribution(-3, 3, 8)])
def test_it_keeps_the_laws_of_adaptations(bars: BarDistribution | None, process: bool) -> None:
    made = torch.Generator().manual_seed(2)
    x, asked = torch.randn(3, M, D, generator=made), torch.randn(3, N, D, generator=made)
    y, target = torch.randn(3, M, 1, generator=made), torch.randn(3, N, 1, generator=made)
    net = Net.of(reader(process, classes=False, bars=8 if bars else 0).float()).with_outputs(1)
    check_adaptation(InContext(bars=bars), net, net.start(), Episode(Batch(x, y), Batch(asked, target)))


def test_episodic_learns_it_and_engines_agree() -> None:
    data, tasks = SmallTables(columns=D, latent=4).load(), Tasks(3, 4, 4)
    net = Net.of(reader(standardise=True).float()).with_outputs(3)
    learner = Episodic(steps=40, meta_batch=8, tasks=tasks, adaptation=InContext())
    learner.check(net, net.start(), data)
    state, losses = learner.init(net, net.start()), list[float]()
    drawn = learner.draw(data, 0, 0)
    grads = [e.grad(loss := learner.loss(net, state), loss.variables, drawn)[0] for e in (Batched(), Loop())]
    for name, leaf in grads[0].items():
        torch.testing.assert_close(leaf, grads[1][name], rtol=1e-4, atol=1e-6)
    for _ in range(40):
        state, metrics = learner.step(net, Batched(), state, drawn)
        losses.append(float(metrics["query_loss"]))
    assert losses[-1] < losses[0] - 0.1, losses[:: len(losses) - 1]


def test_a_prior_draws_by_index_alone() -> None:
    data, tasks = SmallTables(columns=5).load(), Tasks(4, 5, 3)
    whole, part = (data.draw("meta_train", tasks, 0, first, count) for first, count in ((0, 6), (4, 2)))
    for name in ("support", "query"):
        one, two = getattr(whole, name), getattr(part, name)
        torch.testing.assert_close(one.x[4:], two.x)
        assert (one.y[4:] == two.y).all()
        assert one.y.max() < 4
    other = data.draw("meta_val", tasks, 0, 0, 6)
    assert (whole.query.x - other.query.x).abs().max() > 0.1
    assert whole.support.weight is not None
    assert whole.support.x.isfinite().all()


def test_heads_must_divide_the_width() -> None:
    for made in (InContextTransformer, NeuralProcess):
        with pytest.raises(MetatlError, match="3 heads, width 16"):
            made((D,), 1, width=16, heads=3)


def test_fewer_rows_count_and_their_number_is_of_the_index() -> None:
    data, tasks = Fewer(LinearFunctions(), 1).load(), Tasks(shot=6, query=2)
    drawn = data.draw("meta_train", tasks, 0, 0, 200)
    assert isinstance(drawn, Episode)
    assert drawn.support.weight is not None
    counts = drawn.support.weight.sum(1)
    assert counts.unique().tolist() == [1, 2, 3, 4, 5, 6]
    assert (drawn.support.weight.diff(dim=1) <= 0).all()
    again = data.draw("meta_train", tasks, 0, 50, 3).support.weight
    assert again is not None
    assert (again.sum(1) == counts[50:53]).all()


def test_linear_functions_are_solved_by_least_squares() -> None:
    drawn = LinearFunctions(5, scale=2.0).load().draw("meta_test", Tasks(shot=8, query=4), 0, 0, 50)
    w = torch.linalg.pinv(drawn.support.x.double()) @ drawn.support.y.double()
    torch.testing.assert_close((drawn.query.x.double() @ w).float(), drawn.query.y, rtol=1e-4, atol=1e-4)
    assert 1.8 < float(drawn.support.x.std()) < 2.2
    noisy = LinearFunctions(5, noise=1.0).load().draw("meta_test", Tasks(shot=400, query=4), 0, 0, 20)
    w = torch.linalg.pinv(noisy.support.x) @ noisy.support.y
    assert float((noisy.support.x @ w - noisy.support.y).std()) == pytest.approx(1.0, abs=0.05)


def test_other_rows_that_count_are_other_episodes() -> None:
    """Reports of them must never be paired as if they were of the same ones."""
    tasks = Tasks(shot=3, query=2)
    found = [Fewer(LinearFunctions(), least).load().fingerprint("meta_test", tasks, 0, 4) for least in (0, 1)]
    assert found[0] != found[1] != LinearFunctions().load().fingerprint("meta_test", tasks, 0, 4)

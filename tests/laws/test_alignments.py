"""Alignments and density ratios: what each must give, whatever the rows are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from metatl import MetatlError
from metatl.adapt import AcrossDomains, ClosedForm, Continued, TrAdaBoost, TwoStageTrAdaBoost, head_net
from metatl.adapt.boosting import rate_of_source
from metatl.adapt.solvers import LogisticRegression, RidgeRegression
from metatl.adapt.two_stage import shrunk
from metatl.alignments import (
    CORAL,
    Alignment,
    AsItIs,
    EasyAdapt,
    Pooled,
    Reweighted,
    SubspaceAlignment,
    TransferComponents,
    TwoDomains,
)
from metatl.density_ratio import KLIEP, KMM, ULSIF, DensityRatio, DomainClassifier, effective_size
from metatl.types import Batch

RATIOS = (DomainClassifier(), KMM(), KLIEP(), ULSIF())
UNSUPERVISED = (AsItIs(), CORAL(), Reweighted(), SubspaceAlignment(2), TransferComponents(2))

pytestmark = pytest.mark.usefixtures("one_thread")


def normal(rows: int, columns: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def streams(source: int = 40, labelled: int = 0, unlabelled: int = 50) -> Batch:
    """Two classes apart in the first column; the target is the source, stretched and shifted."""
    x = normal(source + labelled + unlabelled).float()
    y = (torch.arange(len(x)) % 2).long()
    x[:, 0] += 6 * y
    s, t = x[:source], x[source:] * torch.tensor([2.0, 1.0, 0.5, 1.0]) + 3
    return Batch(
        {"source": s, "labelled": t[:labelled], "unlabelled": t[labelled:]},
        {"source": y[:source], "labelled": y[source : source + labelled]},
    )


@pytest.mark.parametrize("regularisation", [0.0, 0.3])
def test_coral_gives_the_source_the_covariance_of_the_target(regularisation: float) -> None:
    s, t = normal(60) @ normal(4, 4, 1), normal(50, seed=2) @ normal(4, 4, 3) + 5
    found = CORAL(regularisation).recoloured(s, t)
    if regularisation == 0:
        torch.testing.assert_close(found.T.cov(), t.T.cov(), rtol=1e-9, atol=1e-9)
    else:
        assert (found.T.cov() - t.T.cov()).abs().max() > 1e-3
    torch.testing.assert_close(found.mean(0), t.mean(0))


def test_coral_without_full_rank_is_refused_or_shrunk_and_says_so() -> None:
    s, t = normal(3, 500), normal(3, 500, 1)
    with pytest.raises(MetatlError, match="no full rank"):
        CORAL(0.0).recoloured(s, t)
    assert CORAL().recoloured(s, t).isfinite().all()
    domains = TwoDomains(
        Batch(s, torch.tensor([0, 1, 0])), Batch(t[:0], torch.zeros(0, dtype=torch.int64)), t
    )
    assert CORAL().told(domains) == "a covariance of 500 columns from 3 rows, shrunk by 1 I"


def test_products_of_easy_adapt_are_twice_as_large_inside_a_domain() -> None:
    s, t = normal(5), normal(6, seed=1)
    labels = torch.zeros(6, dtype=torch.int64)
    rows, fitted = EasyAdapt().fit(TwoDomains(Batch(s, labels[:5]), Batch(t, labels), t))
    kernel = rows.x @ rows.x.T
    torch.testing.assert_close(kernel[:5, :5], 2 * s @ s.T)
    torch.testing.assert_close(kernel[5:, 5:], 2 * t @ t.T)
    torch.testing.assert_close(kernel[:5, 5:], s @ t.T)
    torch.testing.assert_close(EasyAdapt().target(fitted, t), rows.x[5:])


def test_all_components_of_identical_domains_keep_every_distance() -> None:
    x = normal(30)
    nothing = Batch(x[:0], torch.zeros(0, dtype=torch.int64))
    rows, fitted = SubspaceAlignment(4).fit(TwoDomains(Batch(x, torch.zeros(30).long()), nothing, x))
    torch.testing.assert_close(torch.cdist(rows.x, rows.x), torch.cdist(x, x))
    torch.testing.assert_close(SubspaceAlignment(4).target(fitted, x), rows.x)


def test_transfer_components_bring_the_means_together() -> None:
    s, t = normal(40), normal(50, seed=1) + torch.tensor([4.0, 0.0, 0.0, 0.0])
    nothing = Batch(s[:0], torch.zeros(0, dtype=torch.int64))
    way = TransferComponents(2, mu=1e-3, width=0.0)
    rows, fitted = way.fit(TwoDomains(Batch(s, torch.zeros(40).long()), nothing, t))
    moved = way.target(fitted, t)
    spread = torch.cat([rows.x, moved]).std(0)
    apart = ((rows.x.mean(0) - moved.mean(0)) / spread).abs().max()
    assert apart < 0.05 < ((s.mean(0) - t.mean(0)) / torch.cat([s, t]).std(0)).abs().max()


@pytest.mark.parametrize("ratio", RATIOS, ids=lambda one: type(one).__name__)
def test_weights_of_identical_domains_are_one(ratio: DensityRatio) -> None:
    x = normal(80, 2)
    weight = ratio.weights(x, x[torch.randperm(80, generator=torch.Generator().manual_seed(3))])
    exact = isinstance(ratio, DomainClassifier | KMM)
    torch.testing.assert_close(weight, torch.ones_like(weight), rtol=0, atol=1e-6 if exact else 0.5)
    assert effective_size(weight) > (79.99 if exact else 75)


@pytest.mark.parametrize("ratio", RATIOS, ids=lambda one: type(one).__name__)
def test_weights_make_the_mean_of_the_source_that_of_the_target(ratio: DensityRatio) -> None:
    s, t = normal(300, 1), normal(200, 1, 1) + 0.8
    weight = ratio.weights(s, t)
    assert weight.min() >= 0
    assert abs(float(weight.mean()) - 1) < 1e-9
    moved = float((weight @ s.flatten()) / weight.sum())
    assert abs(moved - float(t.mean())) < 0.25 < abs(float(s.mean()) - float(t.mean()))
    assert effective_size(weight) < 260


def test_kernel_mean_matching_is_the_solution_of_its_conditions() -> None:
    s, t = normal(30, 2), normal(20, 2, 1) + 0.5
    way = KMM(width=1.0, most=3.0, steps=20000)
    found = way.matched(s, t)
    kernel = torch.exp(-torch.cdist(s, s).square() / 2)
    slope = kernel @ found - 30 * torch.exp(-torch.cdist(s, t).square() / 2).mean(1)
    inside = (found > 1e-6) & (found < 3 - 1e-6)
    assert inside.any()
    assert slope[inside].std() < 1e-3
    assert (slope[found <= 1e-6] >= slope[inside].mean() - 1e-3).all()
    assert (slope[found >= 3 - 1e-6] <= slope[inside].mean() + 1e-3).all()


def test_kliep_is_the_solution_of_its_conditions() -> None:
    s, t = normal(40, 2), normal(30, 2, 1) + 0.5
    kernel_s, kernel_t = (torch.exp(-torch.cdist(x, t).square() / 2) for x in (s, t))
    way = KLIEP(1.0, 30, 200_000)
    found = way.coefficients(kernel_s, kernel_t)
    mean = kernel_s.mean(0)
    assert abs(float(mean @ found) - 1) < 1e-9
    slope = (kernel_t / (kernel_t @ found).unsqueeze(1)).mean(0) / mean
    assert slope.max() < 1 + 1e-2  # no centre would raise the likelihood
    assert float((found * mean * (slope - 1).abs()).sum()) < 1e-3


def test_domains_that_cannot_be_compared_are_refused() -> None:
    for ratio in RATIOS:
        with pytest.raises(MetatlError, match="same columns"):
            ratio.weights(normal(5, 2), normal(5, 3))
        with pytest.raises(MetatlError, match="one row or more"):
            ratio.weights(normal(5, 2), normal(0, 2))


@pytest.mark.parametrize("alignment", UNSUPERVISED, ids=lambda one: type(one).__name__)
def test_without_labels_an_alignment_names_the_rows_of_the_target(alignment: Alignment) -> None:
    support, way = streams(), AcrossDomains(alignment, ClosedForm(LogisticRegression(1e-2)))
    assert not way.needs_labels
    assert "source" in way.streams
    net = head_net(4, 2)
    said = way.predict(*net, way.fit(*net, support), support, support.x["unlabelled"])
    assert said.shape == (50, 2)
    assert said.isfinite().all()
    if isinstance(alignment, CORAL):
        assert ((said.argmax(1) == torch.arange(50) % 2).double().mean()) > 0.95


def test_a_row_of_weight_two_is_two_rows() -> None:
    support, net = streams(20, 6), head_net(4, 2)
    inner = ClosedForm(LogisticRegression(1e-2))
    twice = Batch(
        {**support.x, "labelled": support.x["labelled"].repeat(2, 1)},
        {**support.y, "labelled": support.y["labelled"].repeat(2)},
    )
    one, other = AcrossDomains(Pooled(), inner, weight=2.0), AcrossDomains(Pooled(), inner)
    x = support.x["unlabelled"]
    found = one.predict(*net, one.fit(*net, support), support, x)
    torch.testing.assert_close(
        found, other.predict(*net, other.fit(*net, twice), twice, x), atol=1e-4, rtol=1e-4
    )


def test_streams_that_are_missing_are_named() -> None:
    with pytest.raises(MetatlError, match="--source"):
        AcrossDomains().fit(*head_net(4, 2), Batch({"labelled": normal(3)}, {"labelled": torch.zeros(3)}))
    with pytest.raises(MetatlError, match="weight is 0"):
        AcrossDomains(weight=0.0)


class _Known(ClosedForm):
    """A learner whose hypotheses are known: x[:, 0] > 0; it keeps the weights that it was given."""

    seen: list[Tensor]

    def fit(self, net: Any, transfer: Any, support: Batch, key: int = 0) -> Tensor:
        assert support.weight is not None
        self.seen.append(support.weight.double() / support.weight.sum())
        return torch.zeros(1)

    def predict(self, net: Any, transfer: Any, fitted: Any, support: Batch, x: Tensor) -> Tensor:
        return torch.stack([-x[:, 0], x[:, 0]], 1)


def test_tradaboost_moves_weights_as_published() -> None:
    base = _Known()
    object.__setattr__(base, "seen", [])
    x = torch.tensor([[1.0], [1.0], [-1.0], [1.0]])
    t = torch.tensor([[1.0], [1.0], [1.0], [-1.0], [-1.0]])
    support = Batch(
        {"source": x, "labelled": t, "unlabelled": t},
        {"source": torch.tensor([1, 0, 0, 1]), "labelled": torch.tensor([1, 1, 0, 0, 0])},
    )
    TrAdaBoost(base, 2).fit(*head_net(1, 2), support)
    error = 1 / 5  # the third target row
    wanted = torch.tensor([1, rate_of_source(4, 2), 1, 1, 1, 1, (1 - error) / error, 1, 1]).double()
    torch.testing.assert_close(base.seen[1], wanted / wanted.sum(), atol=1e-6, rtol=1e-6)
    assert abs(rate_of_source(4, 2) - 1 / (1 + torch.tensor(4.0).log().item() ** 0.5)) < 1e-6


def test_the_share_of_the_target_grows_as_asked() -> None:
    weight, error = torch.full((9,), 1 / 9, dtype=torch.float64), torch.rand(9).double() + 0.1
    found = shrunk(weight, error, 6, 0.6)
    assert abs(float(found[6:].sum()) - 0.6) < 1e-9
    assert (found[:6].argsort() == error[:6].argsort(descending=True)).all()
    assert float(shrunk(weight, error, 6, 1.0)[:6].sum()) == 0


def test_two_stages_use_a_like_source_and_survive_an_unlike_one() -> None:
    slope = torch.tensor([1.0, -2.0, 0.5, 3.0])
    x, few = normal(60).float(), normal(8, seed=5).float()
    ask = normal(50, seed=9).float()
    net = head_net(4, 1)

    def error(sign: float, way: TwoStageTrAdaBoost) -> float:
        x_all = {"source": x, "labelled": few, "unlabelled": few}
        support = Batch(x_all, {"source": sign * (x @ slope), "labelled": few @ slope})
        said = way.predict(*net, way.fit(*net, support), support, ask)
        return float((said.flatten() - ask @ slope).square().mean())

    way = TwoStageTrAdaBoost(ClosedForm(RidgeRegression(1e-3)), rounds=3, steps=4)
    assert error(1.0, way) < 0.05
    assert error(-1.0, way) < 0.5


@pytest.mark.parametrize("rule", ["ser", "strut", "mix"])
def test_trees_of_a_source_go_on_with_the_target(rule: str) -> None:
    pytest.importorskip("sklearn")
    first = {"classifier": "sklearn.ensemble.RandomForestClassifier"}
    way = Continued(first, {"n_estimators": 5}, then_options={"rule": rule})
    support, net = streams(40, 12), head_net(4, 2)
    fitted = way.fit(*net, support)
    said = way.predict(*net, fitted, support, support.x["unlabelled"])
    assert ((said.argmax(1) == torch.arange(50) % 2).double().mean()) > 0.9
    again = way.saved.predict(
        *net, fitted, Batch(support.x["labelled"], support.y["labelled"]), support.x["labelled"]
    )
    assert again.shape == (12, 2)
    assert replace(way) == way


@pytest.mark.parametrize(
    "alignment", [*UNSUPERVISED, Reweighted(KLIEP())], ids=lambda one: type(one).__name__
)
def test_an_alignment_is_made_once_for_values_that_come_after_it(
    alignment: Alignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And anew for other rows, whichever of them differ."""
    made, real = list[TwoDomains](), type(alignment).fit

    def counted(self: Alignment, domains: TwoDomains) -> Any:
        made.append(domains)
        return real(self, domains)

    monkeypatch.setattr(type(alignment), "fit", counted)
    one, net = streams(labelled=4), head_net(4, 2)
    for l2 in (0.01, 0.1):
        AcrossDomains(alignment, ClosedForm(RidgeRegression(l2))).fit(*net, one)
    assert len(made) == 1
    for name in ("source", "labelled", "unlabelled"):
        x = {**one.x, name: one.x[name] + torch.tensor([1e-3, 0.0, 0.0, 0.0])}
        rows, _ = AcrossDomains(alignment).aligned(*net, one._replace(x=x))
        torch.testing.assert_close(rows.x, real(alignment, made[-1])[0].x, rtol=0, atol=0)
    assert len(made) == 4
    one.x["source"][:, 0] += 1.0
    AcrossDomains(alignment).aligned(*net, one)
    assert len(made) == 5, "rows that were changed in place are other rows"

"""The net that comes with the package: what it answers, refuses and leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from metatl import Classifier
from metatl.adapt import PriorFitted
from metatl.transferring.readout import fit_readout, head_net, readout_of
from metatl.types import Batch, Episode, MetatlError
from metatl.weights.shipped import FOLDER, shipped

WAY = PriorFitted()


def blobs(rows: int = 60, columns: int = 6) -> tuple[Tensor, Tensor]:
    made = torch.Generator().manual_seed(0)
    y = torch.arange(rows) % 3
    centres = 2.0 * torch.randn(3, columns, generator=made)
    return centres[y] + torch.randn(rows, columns, generator=made), y


def said(x: Tensor, y: Tensor, new: Tensor, classes: int = 3) -> Tensor:
    net, transfer = head_net(x.shape[1], classes)
    return WAY.answer(net, transfer, Episode(Batch(x, y), Batch(new)))


def test_it_learns_clusters_from_ten_rows_a_class_and_no_weight_moves() -> None:
    x, y = blobs()
    before = {name: leaf.clone() for name, leaf in shipped(WAY.net)[1].items()}
    output = said(x[:30], y[:30], x[30:])
    torch.testing.assert_close(output.exp().sum(1), torch.ones(30))
    assert (output.argmax(1) == y[30:]).float().mean() > 0.9
    assert all((leaf == shipped(WAY.net)[1][name]).all() for name, leaf in before.items())


def test_the_order_of_rows_does_not_matter_and_units_do_not() -> None:
    x, y = blobs()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    found = said(x[:30], y[:30], x[30:])
    torch.testing.assert_close(said(x[order], y[order], x[30:]), found, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(said(7 * x[:30] + 3, y[:30], 7 * x[30:] + 3), found, rtol=1e-3, atol=1e-3)


def test_no_labelled_row_is_the_priors_answer_the_same_for_every_row() -> None:
    x, y = blobs()
    prior = said(x[:0], y[:0], torch.zeros(4, 6)).exp()
    torch.testing.assert_close(prior[:1].expand(4, -1), prior)
    assert (prior - 1 / 3).abs().max() < 0.1


def test_more_than_it_was_trained_for_is_one_line() -> None:
    x, y = blobs()
    with pytest.raises(MetatlError, match="33 columns, and little-pfn was trained for at most 32"):
        said(torch.zeros(60, 33), y, x)
    with pytest.raises(MetatlError, match="11 classes, and little-pfn was trained for at most 10"):
        said(x, y, x, classes=11)
    with pytest.raises(MetatlError, match="class labels; choose another"):
        WAY.check(head_net(6, 1)[0], head_net(6, 1)[1], real=True)
    with pytest.raises(MetatlError, match=r"no net that comes with the package.*little-pfn"):
        PriorFitted("little-pfm")


def test_what_it_kept_is_read_back() -> None:
    x, y = blobs()
    readout = fit_readout(WAY, Batch(x[:30], y[:30]), 3)
    described = {"class_path": "metatl.adapt.prior_fitted.PriorFitted", "init_args": {"orders": 4}}
    again = readout_of(described, 6, 3, list(readout.buffers()))
    torch.testing.assert_close(again(x[30:]), readout(x[30:]))


def test_it_is_a_row_of_metatl_transfer() -> None:
    x, y = blobs()
    model = Classifier(method="in-context").fit(x[:30].numpy(), np.array(list("abc"))[y[:30]])
    assert (model.predict(x[30:].numpy()) == np.array(list("abc"))[y[30:]]).mean() > 0.9
    with pytest.raises(MetatlError, match="takes 32 columns at most, and these are 40"):
        Classifier(method="in-context").fit(torch.randn(30, 40).numpy(), y[:30].numpy())


def test_its_weights_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 5e6

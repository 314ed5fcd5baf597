"""Every engine gives the same outer gradient (float64), for nets and adaptations of every kind."""

from __future__ import annotations

import pytest
import torch

from metatl.adapt import displacement, predict
from metatl.engines import Batched, Loop
from tests.cases import MAIN, NETS, OTHERS, assert_same, episodes_for, net_of, sgd


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Tensors this small only wait for a second thread."""
    torch.set_num_threads(1)


@pytest.mark.parametrize("case", MAIN)
@pytest.mark.parametrize("net", NETS)
def test_batched_is_the_loop(net: str, case: str) -> None:
    assert_same(Batched(), Loop(), net, MAIN[case])


@pytest.mark.parametrize("case", OTHERS)
@pytest.mark.parametrize("net", ["mlp, batch norm", "conv4, stride"])
def test_batched_is_the_loop_however_it_adapts(net: str, case: str) -> None:
    assert_same(Batched(tasks_per_chunk=2), Loop(), net, OTHERS[case])


@pytest.mark.parametrize("net", NETS)
def test_evaluation_and_scouts_are_the_same(net: str) -> None:
    module, shape = net_of(net)
    start, episodes, adaptation = module.start(), episodes_for(shape), sgd(2, 0.1)

    def fn(episode):
        adapted = adaptation(module, start, episode.support)
        with torch.no_grad():
            output = predict(module, adapted, start, episode, "support")
        return output, displacement(module, adaptation, start, episode.support)

    (ours, moves), (theirs, expected) = Batched(2).map(fn, episodes), Loop().map(fn, episodes)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(moves, expected, rtol=1e-9, atol=1e-9)


def test_chunks_are_even_and_held_by_activations() -> None:
    from metatl.adapt import QueryLoss
    from metatl.engines.chunk_size import Fitting
    from metatl.profile import workloads

    def chunk(name: str, variant: int, tasks: int | None = None) -> int:
        setting = workloads.built(workloads.variants_of(name)[variant], "cpu")
        setting = setting.first(tasks or setting.tasks)
        loss = QueryLoss(setting.net, setting.learner.adaptation, setting.state.transfer)
        fitting = Fitting()
        sizes = {fitting(loss, loss.variables, setting.episodes) for _ in range(2)}
        (size,) = sizes
        return size

    assert chunk("W1", 0) == 32
    assert chunk("W1", 2) == 16
    assert chunk("W1", 2, tasks=30) == 15
    assert chunk("W1", 2, tasks=31) == 16
    assert chunk("W3", 1) == 25
    assert chunk("W1", 1) == 16
    assert chunk("W2", 1) == 16, "never fewer at once: that costs time"

"""DDB's two paths, their teachers and the student, against the same steps written out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metatl import Net, train
from metatl.data import CutAcross, DomainData, MixedUp
from metatl.engines import Loop
from metatl.learners import DualPath, Keep, State, Supervised
from metatl.models import LeNet
from metatl.norm import Rows, moments_from
from metatl.objectives import Bridged
from metatl.rules import SGD
from metatl.testing import check_learner
from metatl.types import MetatlError, Transfer
from tests.laws.test_bridges import written

BRIDGES = (MixedUp(8, 0.5), CutAcross(8, 0.4))
PATH = Supervised(batch_size=8, rule=SGD(0.05), schedule="constant")
SMALL = DualPath(PATH, 8, BRIDGES, rounds=2, threshold=0.2)


@pytest.fixture
def data(tmp_path: Path) -> DomainData:
    return written(tmp_path, 12, 12).load()


@pytest.fixture
def net(data: DomainData) -> Net:
    torch.manual_seed(0)
    return Net.of(LeNet(data.shape, 3, (4,), (8,), 3, norm=True))


def test_it_keeps_the_laws_of_learners(data: DomainData, net: Net) -> None:
    check_learner(replace(SMALL, steps=4), net, net.start(), data)


def told(net: Net, at: Transfer, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), moments_from(Rows(frozen=True)):
        return net(at.params, at.buffers, x).softmax(-1)


def test_a_round_is_its_steps_written_out(data: DomainData, net: Net) -> None:
    own, start = DualPath(PATH, 4, BRIDGES, 1, 0.4, 0.2), net.start()
    plain = own._of(0)["one"]
    teachers = []
    for bridge in BRIDGES:
        path = replace(plain, streams={**plain.streams, "bridge": bridge})
        state, teacher = path.init(net, start), start
        for step in range(2):
            drawn = path.draw(data, 0, step)
            likely = told(net, teacher, drawn["target"].x)
            y = {**drawn["bridge"].y, "likely": likely}
            state, _ = path.step(net, Loop(), state, {**drawn, "bridge": drawn["bridge"]._replace(y=y)})
            share, new = (0.0, 0.4)[step], state.transfer

            def mean(old: dict[str, torch.Tensor], fresh: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
                return {n: share * old[n] + (1 - share) * leaf for n, leaf in fresh.items()}  # noqa: B023

            teacher = replace(new, params=mean(teacher.params, new.params),
                              buffers=mean(teacher.buffers, new.buffers))  # fmt: skip
        teachers.append(teacher)
    student, state = own._of(1)["student"], State(start, 0, plain.init(net, start).memory)
    assert student.terms[1] == Bridged()
    for step in (2, 3):
        drawn = student.draw(data, 0, step)
        likely = sum(told(net, one, drawn["target"].x) for one in teachers) / 2
        assert torch.equal(drawn["bridge"].x, drawn["target"].x)
        y = {**drawn["bridge"].y, "likely": likely}
        state, _ = student.step(net, Loop(), state, {**drawn, "bridge": drawn["bridge"]._replace(y=y)})
    found = train(own, net, Loop(), own.init(net, start), data, 0).transfer
    for one, two in zip(found.groups(), state.transfer.groups(), strict=True):
        for name in one:
            torch.testing.assert_close(one[name], two[name])


def test_paths_of_the_second_round_start_from_the_student_and_its_student_from_the_start(
    data: DomainData, net: Net
) -> None:
    start = net.start()
    state = SMALL.init(net, start)
    for step in range(6):
        state, _ = SMALL.step(net, Loop(), state, SMALL.draw(data, 0, step))
        if step == 3:
            for name in ("one", "two", "one-teacher", "two-teacher"):
                held = state.memory[f"{name}-params"]
                assert all(torch.equal(leaf, state.transfer.params[n]) for n, leaf in held.items())
            assert not torch.equal(state.transfer.params["head.weight"], start.params["head.weight"])
    held = state.memory["student-params"]
    assert all(torch.equal(leaf, start.params[n]) for n, leaf in held.items())


def test_what_cannot_be_done_is_one_line(data: DomainData, net: Net) -> None:
    with pytest.raises(MetatlError, match="give each half 1"):
        DualPath(PATH, 3, rounds=2)
    with pytest.raises(MetatlError, match="Keep has no terms over streams"):
        DualPath(Keep())
    with pytest.raises(MetatlError, match="keep is 1"):
        DualPath(PATH, keep=1.0)
    with pytest.raises(MetatlError, match="sizes differ"):
        replace(SMALL, path=replace(PATH, batch_size=4)).check(net, net.start(), data)

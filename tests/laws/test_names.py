"""Classes by their names: cosines without a label, and a start for fine-tuning."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metatl import MetatlError
from metatl.adapt import Descent
from metatl.engines import Batched, Loop
from metatl.heads import FromNames
from metatl.language import extra
from metatl.net import Net
from metatl.pretrained import Pretrained, embedded, name_vectors, pretrained
from metatl.rules import SGD
from metatl.types import Batch, Episode, Transfer
from tests import tiny_texts

pytestmark = pytest.mark.skipif(not extra.has("transformers"), reason="the extra text is not installed")
NAMES = ("send_money", "rain snow", "hot sun")
TEXTS = ("send cash", "snow", "move my money to a bill", "cold wind", "hot", "rain")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    return pretrained(f"hf:{tiny_texts.folder(tmp_path_factory.mktemp('net'))}")


def started(made: Pretrained) -> tuple[Net, Transfer, dict[str, Tensor]]:
    x = made.preparation.stacked([made.preparation(one) for one in TEXTS])  # type: ignore[arg-type]
    net = Net.of(made.module, head=made.head, example=x).with_outputs(len(NAMES))
    return net, net.start(), x  # type: ignore[return-value]


def nothing() -> Batch:
    empty = torch.zeros(0, 1, dtype=torch.int64)
    return Batch({"ids": empty, "mask": empty}, torch.zeros(0, dtype=torch.int64))


def test_vectors_are_those_of_each_text_alone_in_order(bert: Pretrained) -> None:
    net, start, _ = started(bert)
    found = embedded(bert, TEXTS * 30)
    assert len(found) == 180, "several batches"
    for text, row in zip(TEXTS, found, strict=False):
        alone = bert.preparation.stacked([bert.preparation(text)])  # type: ignore[arg-type]
        wanted = net.features(start.params, start.buffers, alone)[0]
        torch.testing.assert_close(row, wanted, rtol=1e-4, atol=1e-5)
    assert embedded(bert, []).shape == (0, 16)


def test_without_labels_classes_are_ranked_by_cosine(bert: Pretrained) -> None:
    net, start, x = started(bert)
    vectors = name_vectors(bert, NAMES)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(vectors[0], F.normalize(embedded(bert, ["send money"]))[0])
    zero = Descent(steps=0, head=FromNames.of(vectors, scale=5.0), moments="frozen")
    outputs = zero.answer(net, start, Episode(nothing(), Batch(x)))
    features = embedded(bert, TEXTS)
    cosines = F.cosine_similarity(features[:, None], vectors[None], dim=-1)
    torch.testing.assert_close(outputs, 5.0 * cosines * features.norm(dim=1, keepdim=True))
    assert outputs.argmax(1).tolist() == cosines.argmax(1).tolist()


def test_steps_go_on_from_there(bert: Pretrained) -> None:
    """Engines agree, support rows move what the names gave, and the first loss is that of the names."""
    net, start, x = started(bert)
    head = FromNames.of(name_vectors(bert, NAMES))
    y = torch.tensor([0, 1, 0, 1, 2, 1])
    part = Batch({name: leaf.expand(2, *leaf.shape) for name, leaf in x.items()}, y.expand(2, -1))
    tasks = Episode(part, part)
    how = Descent(steps=3, rule=SGD(lr=0.01), head=head, moments="frozen")

    def answers(engine: Loop | Batched, how: Descent) -> Tensor:
        return engine.map(lambda task: how.answer(net, start, task), tasks)

    one, two = answers(Loop(), how), answers(Batched(), how)
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)
    before, after = (
        F.cross_entropy(answers(Loop(), way)[0], y) for way in (Descent(steps=0, head=head), how)
    )
    assert after < before


def test_the_head_is_plain_values(bert: Pretrained) -> None:
    head = FromNames.of(name_vectors(bert, NAMES))
    assert FromNames(**json.loads(json.dumps(asdict(head)))) == head
    net, start, _ = started(bert)
    assert torch.equal(
        head.weights(net, start, nothing())[0], (20.0 * name_vectors(bert, NAMES).double()).float()
    )


def test_wrong_vectors_are_one_line(bert: Pretrained) -> None:
    net, start, _ = started(bert)
    with pytest.raises(MetatlError, match=r"vectors \(2, 16\) and the net wants \(3, 16\)"):
        FromNames.of(name_vectors(bert, NAMES[:2])).weights(net, start, nothing())
    with pytest.raises(MetatlError, match="one length"):
        FromNames(((1.0, 2.0), (1.0,)))
    with pytest.raises(MetatlError, match="holds no token"):
        name_vectors(pretrained_without_marks(bert), ["   "])
    with pytest.raises(MetatlError, match="reads no texts"):
        name_vectors(pretrained("MLP", 8), NAMES)


def pretrained_without_marks(made: Pretrained) -> Pretrained:
    return replace(made, preparation=replace(made.preparation, tokenizer=tiny_texts.tokenizer(False)))

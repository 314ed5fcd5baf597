"""Language models as nets of sentences: token ids -> hidden states -> one vector a text -> outputs."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metatl.language import extra
from metatl.types import MetatlError

Pooling = Literal["mean", "first", "last"]
"""Which hidden states make the vector: the mean of all, that of the first token, that of the last."""
HEAD, PAD = "head", -1
"""Name of the output layer; what stands for no token in ids that come without a mask."""
_MOST_LAYERS, _FEW = 512, 4
_LEFT_OUT = {
    *("auto_map", "quantization_config", "architectures", "model_type", "transformers_version"),
    *("torch_dtype", "dtype", "use_cache", "attn_implementation", "experts_implementation"),
    *("num_labels", "id2label", "label2id", "pruned_heads", "task_specific_params"),
}
"""Of a config: what would bring code, kernels, another type, or is of no use; underscored keys go too."""


class SentenceNet(nn.Module):
    """ids [n, t] int64 and mask [n, t] (1 for tokens, 0 for padding) -> outputs [n, outputs].

    The vector of a text is pooled over the last hidden states [n, t, d] of its own tokens, divided by its
    length (L2) where `normalised`; the linear layer `head` on it starts at 0. Called with ids and mask as
    keywords, as two tensors, with one mapping, or with ids alone, of which PAD is padding. Attention is made
    of plain products, which can be batched and differentiated twice.

    Args:
        encoder: token ids -> an object with `last_hidden_state`.
        width: d.
        outputs: of the linear layer.
        pooling: mean, first or last.
        normalised: whether vectors have length 1.
        causal: whether a token sees only those before it.
        additive: whether the encoder takes what is added to its scores [n, 1, t, t] as a mask, which reads no
            values and so runs under vmap; else it makes of the mask [n, t] what it will.
    """

    def __init__(
        self,
        encoder: nn.Module,
        width: int,
        outputs: int,
        pooling: Pooling = "mean",
        normalised: bool = False,
        causal: bool = False,
        additive: bool = True,
    ) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(width, outputs)
        self.pooling, self.normalised, self.causal, self.additive = pooling, normalised, causal, additive
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids: Tensor | Mapping[str, Tensor], mask: Tensor | None = None) -> Tensor:
        """Outputs [n, outputs]."""
        if isinstance(ids, Mapping):
            ids, mask = ids["ids"], ids.get("mask")
        if mask is None:
            ids, mask = ids.clamp(min=0), (ids != PAD).to(ids.dtype)
        pooled = self._pooled(self.hidden(ids, mask), mask)
        return self.head(F.normalize(pooled, dim=-1) if self.normalised else pooled)

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The last hidden states [n, t, d]."""
        given = self._added(mask) if self.additive else mask
        return self.encoder(input_ids=ids, attention_mask=given).last_hidden_state

    def _added(self, mask: Tensor) -> Tensor:
        kind = next(self.encoder.parameters()).dtype
        seen = mask.bool()[:, None, None, :].expand(-1, 1, mask.shape[1], -1)
        if self.causal:
            seen = seen & torch.ones(mask.shape[1:] * 2, dtype=torch.bool, device=mask.device).tril()
        return torch.zeros_like(seen, dtype=kind).masked_fill(~seen, torch.finfo(kind).min)

    def _pooled(self, hidden: Tensor, mask: Tensor) -> Tensor:
        if self.pooling == "first":
            return hidden[:, 0]
        weight = mask.to(hidden.dtype)
        if self.pooling == "last":  # a product instead of a look-up, whose gradient batches as it is
            at = torch.arange(mask.shape[1], device=mask.device)
            weight = (at == mask.sum(1, keepdim=True) - 1).to(hidden.dtype)
        return torch.einsum("nt,ntd->nd", weight, hidden) / weight.sum(1, keepdim=True).clamp_min(1)


def plain_config(found: Mapping[str, Any]) -> dict[str, Any]:
    """What of a config.json describes the architecture; nothing in it brings code or asks a hub."""
    return {k: v for k, v in found.items() if k not in _LEFT_OUT and not k.startswith("_")}


def rebuilt(recipe: Mapping[str, Any]) -> SentenceNet:
    """The net of a recipe with random weights; raises MetatlError for values that are no such net's.

    Only transformers' own classes are made, by the name of their kind (`bert`): no code of a folder or hub.
    """
    pooling = cast(Pooling, recipe.get("pooling"))
    if pooling not in get_args(Pooling):
        raise MetatlError(f"no recipe of a net: its pooling is one of {', '.join(get_args(Pooling))}")
    encoder = encoder_of(config_of(str(recipe.get("name")), recipe["config"]))
    width, outputs = int(recipe["width"]), int(recipe["outputs"])
    flags = {name: bool(recipe.get(name)) for name in ("normalised", "causal", "additive")}
    return SentenceNet(encoder, width, outputs, pooling, **flags).eval()


def config_of(kind: str, values: Mapping[str, Any]) -> Any:
    """The config of transformers for a kind of net; MetatlError for one that reads no texts, or too deep."""
    transformers = extra.transformers()
    if kind not in transformers.CONFIG_MAPPING:
        raise MetatlError(
            f"transformers {transformers.__version__} has no net of the kind {kind[:60]!r}; one with code of "
            "its own is not run"
        )
    with _refusing(kind):
        config = transformers.AutoConfig.for_model(kind, **plain_config(values))
    layers, words = getattr(config, "num_hidden_layers", None), getattr(config, "vocab_size", None)
    if getattr(config, "is_encoder_decoder", False) or not isinstance(layers, int) or words is None:
        raise MetatlError(f"a {kind} is no encoder and no decoder of texts alone; choose another net")
    if not 0 < layers <= _MOST_LAYERS:
        raise MetatlError(f"a {kind} of {layers} layers is not made; at most {_MOST_LAYERS}")
    config.use_cache = False
    return config


def encoder_of(config: Any) -> nn.Module:
    """The language model of a config, in eval mode, with random weights."""
    with _refusing(config.model_type):
        encoder = extra.transformers().AutoModel.from_config(
            config, attn_implementation="eager", dtype=torch.float32, trust_remote_code=False
        )
    if getattr(encoder, "pooler", None) is not None:  # it reads a state for itself, and nobody asks for it
        encoder.pooler = None
    return encoder.eval()


@contextlib.contextmanager
def _refusing(kind: str) -> Generator[None]:
    """Whatever a config's values lead to is one line."""
    try:
        yield
    except Exception as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise MetatlError(f"a {kind} cannot be made of its config ({said[:200]})") from error


def habits(encoder: nn.Module, width: int, words: int, tokens: int) -> tuple[bool, bool]:
    """(causal, additive), by trial: whether a token sees only those before it, and which mask is taken.

    Additive where the outputs are those with the encoder's own reading of the mask [n, t]. Raises MetatlError
    where it does not take token ids and a mask.
    """
    ids = torch.arange(2 * tokens).view(2, tokens) * 7919 % words
    few = ids[:, :_FEW]
    other = torch.cat([few[:, :-1], (few[:, -1:] + 1) % words], 1)
    mask = torch.ones_like(ids)
    mask[1, tokens // 2 :] = 0
    own = SentenceNet(encoder, width, 1, additive=False)
    try:
        with torch.no_grad():
            right = own.hidden(ids, mask)
            first, changed = (own.hidden(x, torch.ones_like(x))[:, 0] for x in (few, other))
    except Exception as error:  # whatever a forward raises: it does not read such texts
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise MetatlError(f"the net does not read token ids and a mask ({said[:200]})") from error
    if right.shape != (2, tokens, width):
        raise MetatlError(f"the net gives states {tuple(right.shape)}, not one of {width} for each token")
    causal = torch.equal(first, changed)
    ours = SentenceNet(encoder, width, 1, causal=causal)
    with contextlib.suppress(Exception), torch.no_grad():
        return causal, _alike(ours.hidden(ids, mask), right, mask)
    return causal, False


def _alike(one: Tensor, two: Tensor, mask: Tensor) -> bool:
    seen = mask.bool()
    return torch.allclose(one[seen], two[seen], rtol=1e-4, atol=1e-4)

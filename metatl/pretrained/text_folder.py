"""A language model from a folder in the layout of Hugging Face, read as data: JSON and tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from metatl.lab import store
from metatl.pretrained import fitting, text
from metatl.pretrained.files import held, sha256
from metatl.pretrained.pretrained import Pretrained
from metatl.pretrained.text_nets import HEAD, Pooling, SentenceNet, encoder_of, habits, plain_config
from metatl.pretrained.text_preparation import LONGEST, TextPreparation
from metatl.types import MetatlError

_CONFIG, _TOKENIZER, _MODULES = "config.json", "tokenizer.json", "modules.json"
_MODES: dict[str, Pooling] = {"cls_token": "first", "lasttoken": "last", "mean_tokens": "mean"}
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_VOCABULARIES = ("vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
_OUTPUTS = 10
"""Of the linear layer; a new problem starts it anew anyway."""
_EARLIER = {".gamma": ".weight", ".beta": ".bias"}
"""Ends of names of norms' weights in old files."""


def minilm(longest: int | None = None) -> Pretrained:
    """all-MiniLM-L6-v2 (Apache-2.0) from its package, 384 numbers a text: mean over tokens, length 1.

    Sources: Reimers & Gurevych 2019, arXiv 1908.10084; Wang et al. 2020, arXiv 2002.10957.
    """
    made = text_net(text.minilm_folder(), text.DEFAULT, longest)
    report = f"{made.report.partition(' tensors')[0]} tensors from the package {text.PACKAGE}"
    return replace(made, license="apache-2.0", report=report)


def text_net(folder: Path, name: str, longest: int | None = None) -> Pretrained:
    """The encoder or decoder of a folder: config.json, tokenizer, weights (safetensors, or of tensors alone).

    An encoder's vector is the mean over a text's tokens, a decoder's that of the last token, unless the
    folder says otherwise as those of sentence-transformers do. Nothing in it is run and no hub is asked.

    longest: tokens of a text that are read, by default LONGEST or as many as the net takes. Raises
    MetatlError for a folder that lacks any of it, and for a net that cannot be used.
    """
    config = _json(folder / _CONFIG, f"{folder} holds no net for texts: it has no {_CONFIG}")
    kind = str(config.get("model_type"))
    encoder, width, limit = encoder_of(kind, config)
    report, sha = _loaded(encoder, folder)
    preparation = TextPreparation(_tokenizer(folder), _longest(longest, limit, name))
    words = _words(encoder, preparation, folder)
    causal, additive = habits(encoder, width, words, preparation.longest)
    pooling, normalised, remark = _pooling(folder, causal)
    flags = {"pooling": pooling, "normalised": normalised, "causal": causal, "additive": additive}
    shape = {"config": plain_config(config), "width": width, "outputs": _OUTPUTS}
    recipe = {"kind": "text", "name": kind, **shape, **flags}
    module = SentenceNet(encoder, width, _OUTPUTS, pooling, normalised, causal, additive).eval()
    return Pretrained(name, module, HEAD, preparation, sha, "", report + remark, recipe)


def _loaded(encoder: nn.Module, folder: Path) -> tuple[str, str]:
    """Report and checksum, with the folder's weights in the encoder."""
    files = _weights_files(folder)
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= max(held(file).values(), key=len)
    for old, new in _EARLIER.items():
        tensors = {
            name.removesuffix(old) + new if name.endswith(old) else name: leaf
            for name, leaf in tensors.items()
        }
    report = fitting.load(encoder, {"": tensors}, folder / "model")
    sums = [sha256(file) for file in files]
    return report, sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


def _weights_files(folder: Path) -> list[Path]:
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            placed = _json(index).get("weight_map")
            parts = sorted({str(part) for part in dict(placed or {}).values()})
            if parts and all(Path(part).name == part for part in parts):
                return [folder / part for part in parts]
            raise MetatlError(f"{index} names no weights files beside it; the folder is damaged")
    raise MetatlError(
        f"{folder} holds no weights ({' or '.join(_WEIGHTS)}); save the net with save_pretrained"
    )


def _tokenizer(folder: Path) -> str:
    """The tokenizer as JSON text; one of older files is made of them by transformers."""
    if (folder / _TOKENIZER).is_file():
        return store.read_text(folder / _TOKENIZER, "tokenizer")
    try:
        if not any((folder / name).is_file() for name in _VOCABULARIES):
            raise FileNotFoundError(_TOKENIZER)  # where transformers would make one without words
        made = text.transformers().AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, use_fast=True
        )
        return made.backend_tokenizer.to_str()
    except Exception as error:  # whatever is raised for want of files that make a tokenizer
        raise MetatlError(
            f"{folder} has no {_TOKENIZER}, and none can be made of what is there; save the tokenizer beside "
            "the net with save_pretrained"
        ) from error


def _longest(asked: int | None, limit: int | None, name: str) -> int:
    if asked is not None and limit is not None and asked > limit:
        raise MetatlError(f"{name} reads {limit} tokens of a text at most; size is {asked}")
    return asked or min(LONGEST, limit or LONGEST)


def _words(encoder: nn.Module, preparation: TextPreparation, folder: Path) -> int:
    """Rows of the vocabulary; raises MetatlError where the tokenizer has ids that the net has not."""
    rows = int(cast(Any, encoder).get_input_embeddings().weight.shape[0])
    if preparation.words > rows:
        raise MetatlError(
            f"{folder}: the tokenizer has {preparation.words} tokens and the net {rows}; it is another net's"
        )
    return rows


def _pooling(folder: Path, causal: bool) -> tuple[Pooling, bool, str]:
    """Pooling, whether vectors have length 1, and a remark, by the folder's own word if it has one."""
    pooling: Pooling = "last" if causal else "mean"
    if not (folder / _MODULES).is_file():
        return pooling, False, ""
    told: Any = store.read_json(folder / _MODULES)
    if not isinstance(told, list) or not all(isinstance(part, dict) for part in cast("list[Any]", told)):
        raise MetatlError(f"{folder / _MODULES} is damaged: it is no list of modules")
    named = cast("list[dict[str, Any]]", told)
    parts = {str(part.get("type")).rpartition(".")[2]: Path(str(part.get("path"))).name for part in named}
    asked = _json(folder / parts["Pooling"] / _CONFIG) if "Pooling" in parts else {}
    for key, mode in _MODES.items():
        pooling = mode if asked.get(f"pooling_mode_{key}") else pooling
    left = sorted(set(parts) - {"Transformer", "Pooling", "Normalize"})
    remark = f"; left out: {', '.join(left)} after the pooling" if left else ""
    return pooling, "Normalize" in parts, remark


def _json(file: Path, absent: str = "") -> Mapping[str, Any]:
    if not file.is_file():
        raise MetatlError(absent or f"{file} is not there; the folder is not whole")
    found = store.read_json(file)
    if not isinstance(found, dict):
        raise MetatlError(f"{file} is damaged: it holds no values by name")
    return cast(Mapping[str, Any], found)

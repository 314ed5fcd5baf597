"""A language model from a folder in the layout of Hugging Face, read as data: JSON and tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from metatl.language import extra
from metatl.language.files import json_of, text_of, value_of, weights_of
from metatl.language.preparation import LONGEST, TextPreparation
from metatl.language.sentence_net import (
    Pooling,
    SentenceNet,
    config_of,
    encoder_of,
    habits,
    plain_config,
)
from metatl.types import MetatlError
from metatl.weights import fitting
from metatl.weights.files import held, sha256

_CONFIG, _TOKENIZER, _MODULES = "config.json", "tokenizer.json", "modules.json"
_MODES: dict[str, Pooling] = {"cls_token": "first", "lasttoken": "last", "mean_tokens": "mean"}
_VOCABULARIES = ("vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
_OUTPUTS = 10
"""Of the linear layer; a new problem starts it anew anyway."""
_EARLIER = {".gamma": ".weight", ".beta": ".bias"}
"""Ends of names of norms' weights in old files."""


@dataclass(frozen=True)
class TextNet:
    """A language model as it comes: module and preparation, and what is known of its weights.

    weights_sha256: of the file, or of several files' checksums; license: where it is known; report: one line
    on what was loaded; recipe: plain values from which `rebuilt` makes the architecture.
    """

    module: SentenceNet
    preparation: TextPreparation
    weights_sha256: str
    license: str
    report: str
    recipe: Mapping[str, Any]


def text_net(name: str, longest: int | None = None) -> TextNet:
    """The net `minilm`, or the encoder or decoder of a folder: config.json, tokenizer, weights.

    Weights are safetensors, or files of tensors alone. An encoder's vector is the mean over a text's tokens,
    a decoder's that of the last token, unless the folder says otherwise as those of sentence-transformers do.
    Nothing in it is run and no hub is asked. minilm is all-MiniLM-L6-v2 from its package: the mean, of length
    1 (Reimers & Gurevych 2019, arXiv 1908.10084; Wang et al. 2020, arXiv 2002.10957).

    longest: tokens of a text that are read, by default LONGEST or as many as the net takes. Raises
    MetatlError for a folder that lacks any of it, and for a net that cannot be used.
    """
    folder, values = _told(name)
    config = config_of(str(values.get("model_type")), values)
    encoder, width = encoder_of(config), int(config.hidden_size)
    report, sha = _loaded(encoder, folder)
    preparation = TextPreparation(_tokenizer(folder), _longest(longest, config, name))
    words = _words(encoder, preparation, folder)
    causal, additive = habits(encoder, width, words, preparation.longest)
    pooling, normalised, remark = _pooling(folder, causal)
    flags = {"pooling": pooling, "normalised": normalised, "causal": causal, "additive": additive}
    shape = {"config": plain_config(values), "width": width, "outputs": _OUTPUTS}
    recipe = {"kind": "text", "name": config.model_type, **shape, **flags}
    module = SentenceNet(encoder, width, _OUTPUTS, pooling, normalised, causal, additive).eval()
    known = ""
    if name == extra.DEFAULT:
        known, report = "apache-2.0", f"{report.partition(' from ')[0]} from the package {extra.PACKAGE}"
    return TextNet(module, preparation, sha, known, report + remark, recipe)


def preparation_of(name: str, longest: int | None = None) -> TextPreparation:
    """What texts go through before a net of `text_net`; its weights are not read."""
    folder, values = _told(name)
    config = config_of(str(values.get("model_type")), values)
    return TextPreparation(_tokenizer(folder), _longest(longest, config, name))


def _told(name: str) -> tuple[Path, Mapping[str, Any]]:
    """The folder and its config."""
    if name == extra.DEFAULT:
        folder = extra.minilm_folder()
    else:
        folder = Path(name.removeprefix(extra.FOLDER)).expanduser()
    if not folder.is_dir():
        raise MetatlError(
            f"{folder}: no such folder; a net for texts is {extra.DEFAULT}, or {extra.FOLDER}FOLDER"
        )
    return folder, json_of(folder / _CONFIG, f"{folder} holds no net for texts: it has no {_CONFIG}")


def _loaded(encoder: nn.Module, folder: Path) -> tuple[str, str]:
    """Report and checksum, with the folder's weights in the encoder."""
    files = weights_of(folder)
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


def _tokenizer(folder: Path) -> str:
    """The tokenizer as JSON text; one of older files is made of them by transformers."""
    if (folder / _TOKENIZER).is_file():
        return text_of(folder / _TOKENIZER)
    try:
        if not any((folder / name).is_file() for name in _VOCABULARIES):
            raise FileNotFoundError(_TOKENIZER)  # where transformers would make one without words
        made = extra.transformers().AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, use_fast=True
        )
        return made.backend_tokenizer.to_str()
    except Exception as error:  # whatever is raised for want of files that make a tokenizer
        raise MetatlError(
            f"{folder} has no {_TOKENIZER}, and none can be made of what is there; save the tokenizer beside "
            "the net with save_pretrained"
        ) from error


def _longest(asked: int | None, config: Any, name: str) -> int:
    found = getattr(config, "max_position_embeddings", None)
    limit = found if isinstance(found, int) and found > 0 else None
    if asked is not None and not 1 <= asked <= (limit or asked):
        raise MetatlError(
            f"{name} reads 1 to {limit or 'any number of'} tokens of a text; the size asked for is {asked}"
        )
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
    told: Any = value_of(folder / _MODULES)
    if not isinstance(told, list) or not all(isinstance(part, dict) for part in cast("list[Any]", told)):
        raise MetatlError(f"{folder / _MODULES} is damaged: it is no list of modules")
    named = cast("list[dict[str, Any]]", told)
    parts = {str(part.get("type")).rpartition(".")[2]: Path(str(part.get("path"))).name for part in named}
    asked = json_of(folder / parts["Pooling"] / _CONFIG) if "Pooling" in parts else {}
    for key, mode in _MODES.items():
        pooling = mode if asked.get(f"pooling_mode_{key}") else pooling
    left = sorted(set(parts) - {"Transformer", "Pooling", "Normalize"})
    remark = f"; left out: {', '.join(left)} after the pooling" if left else ""
    return pooling, "Normalize" in parts, remark

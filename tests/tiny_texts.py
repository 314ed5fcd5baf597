"""Language models of a few hundred weights, written to a folder as transformers writes them."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from metatl.language import extra

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
WORDS = (
    *SPECIAL,
    *("send", "move", "money", "pay", "cash", "bill", "rain", "snow"),
    *("sun", "cold", "wind", "hot", "to", "my", "a"),
)


def tokenizer(opened: bool = True) -> str:
    """A tokenizer of whole words as JSON; opened: whether a text stands between <s> and </s>."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    ids = {word: at for at, word in enumerate(WORDS)}
    made = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if opened:
        pair = [("<s>", ids["<s>"]), ("</s>", ids["</s>"])]
        made.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=pair)
    return made.to_str()


def folder(place: Path, kind: str = "bert", **more: object) -> Path:
    """A folder with a tiny net of this kind, random weights (always the same) and a tokenizer."""
    transformers = extra.transformers()
    sizes = {"vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"max_position_embeddings": 24, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    if kind not in ("gpt2", "distilbert"):
        sizes["intermediate_size"] = 32
    if kind == "llama":
        sizes["num_key_value_heads"] = 1
    config = transformers.AutoConfig.for_model(kind, **{**sizes, **more})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = transformers.AutoModel.from_config(config)
        for leaf in net.parameters():  # behind the small numbers that they start from all texts look alike
            leaf.data += 0.3 * torch.randn_like(leaf)
    net.save_pretrained(place)
    (place / "tokenizer.json").write_text(tokenizer(kind not in ("gpt2", "llama")), encoding="utf-8")
    return place


def pooled_by(place: Path, mode: str, *after: str) -> None:
    """Write into the folder, as sentence-transformers does, what follows its net."""
    parts = ["Transformer", "Pooling", *after]
    paths = ["" if part == "Transformer" else f"{at}_{part}" for at, part in enumerate(parts)]
    kinds = [f"sentence_transformers.models.{part}" for part in parts]
    modules = [{"path": path, "type": kind} for kind, path in zip(kinds, paths, strict=True)]
    (place / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (place / "1_Pooling").mkdir()
    told = json.dumps({f"pooling_mode_{mode}": True})
    (place / "1_Pooling" / "config.json").write_text(told, encoding="utf-8")

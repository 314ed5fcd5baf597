"""How a text becomes token ids: by the tokenizer that its net was trained with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from metatl.language import extra
from metatl.types import MetatlError

LONGEST = 128
"""Tokens of a text that are read, unless the net takes fewer or somebody asks for another number."""


@dataclass(frozen=True)
class TextPreparation:
    """The first tokens of a text, as ids of a vocabulary; what is beyond the longest is cut.

    All plain values: `TextPreparation(**dataclasses.asdict(p)) == p`, also through JSON.

    Args:
        tokenizer: as the JSON text of the package tokenizers (`Tokenizer.to_str`, a tokenizer.json).
        longest: tokens of a text, those that open and close it among them.

    Raises MetatlError for a tokenizer that cannot be read, and where the extra `text` is missing.
    """

    unit: ClassVar[str] = "sentence"

    tokenizer: str
    longest: int = LONGEST

    def __post_init__(self) -> None:
        """A tokenizer out of a file is read once, so that a damaged one is one clear line."""
        if isinstance(self.longest, bool) or not isinstance(self.longest, int) or self.longest < 1:
            raise MetatlError(f"preparation: longest is {self.longest!r}; give a number of tokens, 1 or more")
        _opened(self.tokenizer, self.longest)

    def __call__(self, sentence: str) -> dict[str, Tensor]:
        """{"ids": [t], "mask": [t]}, int64; the mask is 1 throughout, since nothing is padded yet.

        Raises MetatlError for a text without a token.
        """
        ids = self._encoded(sentence).ids
        if not ids:
            raise MetatlError(f"the text {sentence[:40]!r} holds no token; leave it out")
        row = torch.tensor(ids, dtype=torch.int64)
        return {"ids": row, "mask": torch.ones_like(row)}

    def stacked(self, rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Rows of `__call__` as {"ids": [n, t], "mask": [n, t]}, padded to the longest of them."""
        return {
            name: pad_sequence([row[name] for row in rows], batch_first=True)
            if rows
            else torch.zeros(0, 1, dtype=torch.int64)
            for name in ("ids", "mask")
        }

    def cut(self, sentences: Iterable[str]) -> int:
        """How many of the texts are longer than what is read of them."""
        return sum(bool(self._encoded(sentence).overflowing) for sentence in sentences)

    def notes(self, rows: Iterable[str]) -> tuple[str, ...]:
        """What is worth saying of these texts: how many are cut."""
        count = self.cut(rows)
        what = "text is" if count == 1 else "texts are"
        return (
            (f"{count} {what} longer than {self.longest} tokens; what is beyond is not read",)
            if count
            else ()
        )

    def example(self) -> dict[str, Tensor]:
        """A batch of two short texts of two lengths: a pass over it tells layers by use."""
        row = self("a")
        twice = {name: torch.cat([leaf, leaf])[: self.longest] for name, leaf in row.items()}
        return self.stacked([row, twice])

    def values(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Plain values and tensors from which `of` makes it again; the tokenizer as bytes, which are many."""
        written = torch.frombuffer(bytearray(self.tokenizer.encode("utf-8")), dtype=torch.uint8)
        return {"longest": self.longest}, {"tokenizer": written}

    @staticmethod
    def of(values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> TextPreparation:
        """The inverse of `values`; raises MetatlError for a damaged tokenizer."""
        written = tensors["tokenizer"].to(torch.uint8).numpy().tobytes()
        return TextPreparation(written.decode("utf-8", "replace"), **values)

    def text(self, ids: Tensor) -> str:
        """What token ids [t] say, as near to the text as the tokenizer tells; negative ones are padding."""
        return _opened(self.tokenizer, self.longest).decode(ids[ids >= 0].tolist())

    @property
    def told(self) -> str:
        """What a net is given, in a few words for tables."""
        return f"on up to {self.longest} tokens"

    @property
    def words(self) -> int:
        """Tokens of the vocabulary, one more than the largest id."""
        return 1 + max(_opened(self.tokenizer, self.longest).get_vocab(with_added_tokens=True).values())

    def resized(self, longest: int) -> TextPreparation:
        """The same preparation for texts of another number of tokens."""
        return replace(self, longest=longest)

    def _encoded(self, sentence: str) -> Any:
        # half of a surrogate pair is no character, and no tokenizer takes it
        whole = sentence.encode("utf-8", "replace").decode("utf-8")
        return _opened(self.tokenizer, self.longest).encode(whole)


@lru_cache(maxsize=8)
def _opened(tokenizer: str, longest: int) -> Any:
    """The tokenizer, which cuts from the right and pads nothing."""
    tokenizers = extra.tokenizers()
    try:
        made = tokenizers.Tokenizer.from_str(tokenizer)
        made.no_padding()
        made.enable_truncation(longest)
    except Exception as error:  # the package raises plain ones, its compiled part others
        said = " ".join(str(error).split())[:200]
        raise MetatlError(f"the tokenizer cannot be read ({said}); it is no whole tokenizer.json") from error
    return made

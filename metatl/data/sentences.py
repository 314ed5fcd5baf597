"""One's own sentences as episodes: a column of a table, or text files by class, divided by class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch.nn.utils.rnn import pad_sequence

from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.division import listed, shares
from metatl.data.examples import Examples
from metatl.data.source import Source, device_of
from metatl.data.texts import text_examples, text_folder_examples
from metatl.language import PAD, preparation_of
from metatl.types import MetatlError, Split

_NAMED = 8
"""Of what is left out, in `describe`."""


@final
@dataclass(frozen=True)
class Sentences(Source):
    """Texts with classes, as token ids [n, t] int64 of a net's tokenizer: t of the longest, PAD beyond.

    Args:
        path: a table (CSV, TSV, Parquet), or a folder of .txt files by class (`path/<class>/<text>.txt`).
        text: the column of texts, target: that of classes; neither for a folder.
        net: minilm, or the folder of a net, whose tokenizer is used; weights are not read.
        longest: tokens of a text that are read; what is longer is cut and counted. None: as the net has it.
        fractions: shares of the classes for meta_train, meta_val, meta_test, after a shuffle by `seed`; or
            train, val, test: the names of each split's classes (those of a few domains, say).
        smallest: classes with fewer texts are left out, and named in `describe`.
    """

    path: str
    text: str | None = None
    target: str | None = None
    net: str = "minilm"
    longest: int | None = None
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    seed: int = 0
    smallest: int = 0

    def load(self, device: str = "cpu") -> ClassData:
        """Read, cut into tokens and divide; MetatlError for texts without classes, or a split in vain."""
        place, found = device_of(device), self._examples()
        prepare = preparation_of(self.net, self.longest)
        given = [at for at in range(len(found.inputs)) if str(found.inputs.shown(at)).strip()]
        labels = found.targets.values[given]
        sizes = torch.bincount(labels, minlength=len(found.targets.names)).tolist()
        large = [at for at, size in enumerate(sizes) if size >= max(self.smallest, 1)]
        if not large:
            raise MetatlError(f"{self.path}: no class has {self.smallest} texts; lower smallest")
        rows = [given[int(at)] for label in large for at in torch.nonzero(labels == label)[:, 0]]
        texts = [found.inputs.raw(row) for row in rows]
        ids = pad_sequence([prepare(text)["ids"] for text in texts], batch_first=True, padding_value=PAD)
        names = [found.targets.names[label] for label in large]
        bank = Bank.sorted_by_class(ids, [sizes[label] for label in large], names)
        parts, rule = self._divided(bank)
        facts: dict[str, Any] = {"split": rule, "net": self.net, "tokens": ids.shape[1], "seed": self.seed}
        facts |= {"cut": prepare.cut(texts), "empty": len(found.inputs) - len(given)}
        small = {found.targets.names[at]: size for at, size in enumerate(sizes) if at not in large}
        facts |= {"left_out": dict(list(small.items())[:_NAMED])} if small else {}
        banks: dict[Split, Bank] = {split: bank.pick(part).to(place) for split, part in parts.items() if part}
        return ClassData(found.name, banks, facts)

    def _examples(self) -> Examples:
        if Path(self.path).is_dir() and self.text is None:
            return text_folder_examples(Path(self.path))
        if self.text is None or self.target is None:
            raise MetatlError(f"{self.path}: a table needs text and target, the names of its columns")
        found = text_examples(self.path, self.text, target_name=self.target)
        if found.targets.kind != "classes":
            raise MetatlError(f"{self.path}: column {self.target!r} holds no classes; name another target")
        return found

    def _divided(self, bank: Bank) -> tuple[dict[Split, list[int]], str]:
        named: dict[Split, tuple[str, ...]] = {
            "meta_train": self.train,
            "meta_val": self.val,
            "meta_test": self.test,
        }
        if any(named.values()):
            return listed(bank.names, named, self.path), "by class, as listed"
        return shares(bank.classes, self.fractions, self.seed, self.path), "by class, shuffled"

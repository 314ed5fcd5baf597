"""One's own sentences as episodes: a column of a table, or text files by class, divided by class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.division import listed, shares
from metatl.data.examples import Examples
from metatl.data.group_data import GroupData
from metatl.data.group_rule import GroupedColumns, GroupRule, fingerprint
from metatl.data.labelled import Array
from metatl.data.source import Data, Further, Source, device_of
from metatl.data.texts import TextReader, text_examples, text_folder_examples
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
        group, apart: columns of a table: a task is then a group, with labels that all groups share (see
            GroupArrays); fractions, train, val, test divide groups.
        join: groups that a task of meta_train joins.
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
    group: str | None = None
    apart: str | None = None
    join: int = 1

    def load(self, device: str = "cpu") -> ClassData | GroupData:
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
        facts: dict[str, Any] = {"net": self.net, "tokens": ids.shape[1], "seed": self.seed}
        facts |= {"cut": prepare.cut(texts), "empty": len(found.inputs) - len(given)}
        small = {found.targets.names[at]: size for at, size in enumerate(sizes) if at not in large}
        facts |= {"left_out": dict(list(small.items())[:_NAMED])} if small else {}
        if self.group is not None:
            label = np.repeat(np.arange(len(large)), [sizes[at] for at in large])
            data = self._groups(ids, label, tuple(names), found.take(np.array(rows)), facts, place)
            return replace(data, show=prepare.text)
        bank = Bank.sorted_by_class(ids, [sizes[label] for label in large], names)
        parts, rule = self._divided(bank)
        facts = {"split": rule, **facts}
        banks: dict[Split, Bank] = {split: bank.pick(part).to(place) for split, part in parts.items() if part}
        return ClassData(found.name, banks, facts, show=prepare.text)

    def further(self, place: Path, data: Data, labelled: bool) -> Further:
        """Texts of a table with these columns, or of files and folders where this source is a folder."""
        prepare, width = preparation_of(self.net, self.longest), data.shape[0]
        if self.text is None and not labelled:
            texts = TextReader().read([place])
            named = None
        elif labelled:
            found = self._examples(place)
            texts, names = found.inputs, found.targets.names
            named = tuple(names[int(label)] for label in found.targets.values)
        else:
            texts, named = TextReader(self.text).read([place]), None
        ids = pad_sequence(
            [prepare(texts.raw(at))["ids"] for at in range(len(texts))], batch_first=True, padding_value=PAD
        )
        ids = torch.nn.functional.pad(ids, (0, max(0, width - ids.shape[1])), value=PAD)[:, :width]
        return Further(ids, named, tuple(texts.ids), "line" if self.text else "file", "sentence")

    def _groups(
        self,
        ids: Tensor,
        label: Array,
        names: tuple[str, ...],
        found: Examples,
        facts: dict[str, Any],
        place: torch.device,
    ) -> GroupData:
        assert self.group is not None
        assert found.group is not None
        rule = GroupRule.of(self)
        own, said = rule.divided(sorted({*found.group.tolist()}))
        content = fingerprint((own, names), ids.numpy(), label, found.group, found.part_of)
        columns = GroupedColumns(ids, label, found.group, found.part_of)
        return rule.data(columns, names, own, {"split": said, **facts}, content, place)

    def _examples(self, place: Path | None = None) -> Examples:
        path = Path(self.path) if place is None else place
        if self.group is None and self.apart is not None:
            raise MetatlError(
                f"{self.path}: apart is {self.apart!r}, of the texts of a group; name the group"
            )
        if path.is_dir() and self.text is None:
            if self.group is not None:
                raise MetatlError(f"{self.path}: group {self.group!r} is a column, and this is a folder")
            return text_folder_examples(path)
        if self.text is None or self.target is None:
            raise MetatlError(f"{self.path}: a table needs text and target, the names of its columns")
        whose = {"group": self.group, "apart": self.apart} if place is None else {}
        found = text_examples(path, self.text, target_name=self.target, **whose)
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

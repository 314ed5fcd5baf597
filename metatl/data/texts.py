"""Sentences as examples: a column of a table, or text files in a folder for each class."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from metatl.data.class_folder import FileKind, content, files_of, read_class_folder
from metatl.data.examples import Examples, Index, Inputs, Reader
from metatl.data.table_rows import line_name, table_examples
from metatl.data.tables import Columns, read_table
from metatl.data.tables.columns import as_text
from metatl.data.tables.decoding import decoded
from metatl.data.tables.formats import check
from metatl.opening import text_of
from metatl.types import MetatlError

TEXTS = FileKind("text", (".txt",))


@dataclass(frozen=True)
class Texts(Inputs):
    """Texts, and the names of the rows.

    where: what stands before a name in a message; why: of rows that hold no text, by name.
    """

    texts: tuple[str, ...]
    names: tuple[str, ...]
    where: str = ""
    why: Mapping[str, str] = field(default_factory=dict[str, str])
    unit: ClassVar[str] = "sentence"

    @property
    def ids(self) -> Sequence[str]:
        """File or line of every text."""
        return self.names

    def digest(self, place: int) -> str:
        """Of a text; raises MetatlError for an empty one."""
        return hashlib.sha256(self.raw(place).encode("utf-8", "surrogatepass")).hexdigest()

    def raw(self, place: int) -> str:
        """The text; raises MetatlError for an empty one."""
        name = self.names[place]
        if not self.texts[place].strip():
            raise MetatlError(self.why.get(name, f"{self.where}{name}: the text is empty"))
        return self.texts[place]

    def shown(self, place: int) -> str:
        """The text."""
        return self.texts[place]

    def take(self, places: Index) -> Texts:
        """These texts."""
        held = ((self.texts[int(i)], self.names[int(i)]) for i in places)
        texts, names = zip(*held, strict=True) if len(places) else ((), ())
        return replace(self, texts=tuple(texts), names=tuple(names))


@dataclass(frozen=True)
class TextReader(Reader):
    """Texts of a table's column, or of text files.

    text: the column; formats: of the table that was read before; id: the column that names rows.
    """

    text: str | None = None
    formats: Mapping[str, str] = field(default_factory=dict[str, str])
    id: str | None = None

    def __post_init__(self) -> None:
        """Refuse formats that are none: a reader may come out of a file."""
        check(self.formats)

    unit: ClassVar[str] = "sentence"
    id_name: ClassVar[str] = "line"
    place: ClassVar[str] = "TABLE_OR_TEXTS"

    def read(self, places: Sequence[Path]) -> Texts:
        """The texts of one table, or of files and folders."""
        if self.text is None or all(
            place.is_dir() or place.suffix.lower() in TEXTS.suffixes for place in places
        ):
            return of_files(files_of(places, TEXTS))
        if len(places) != 1:
            raise MetatlError(f"{len(places)} tables; name one, so that predictions stand in its lines")
        table = read_table(places[0], text=self.text, formats=self.formats)
        return of_column(table, self.text, [line_name(table, i, self.id) for i in range(table.rows)])


def of_files(files: Sequence[Path]) -> Texts:
    """The texts of files, whatever their encoding; those of files that hold no text are empty."""
    texts, why = list[str](), dict[str, str]()
    for file in files:
        try:
            texts.append(_text(file))
        except MetatlError as error:
            texts.append("")
            why[text_of(file)] = str(error)
    return Texts(tuple(texts), tuple(map(text_of, files)), why=why)


def _text(file: Path) -> str:
    held = content(file)
    try:
        return decoded(held, file)[0].strip()
    except MetatlError as error:  # which speaks of tables
        raise MetatlError(f"{file}: cannot be read as text; save it as plain text, or remove it") from error


def of_column(table: Columns, text: str, names: Sequence[str]) -> Texts:
    """The texts of a column; names: of the rows, in messages after the table's."""
    lines = list(names) == [str(table.line(row)) for row in range(table.rows)]
    where = f"{table.name} {table.counted} " if lines else f"{table.name}: "
    return Texts(tuple(one or "" for one in as_text(table[text])), tuple(names), where)


def text_examples(place: Any, text: str, **words: Any) -> Examples:
    """The sentences of a table's column, with targets as `table_examples` takes them."""
    found, rest = table_examples(place, text=text, **words)
    reader = found.reader
    texts = of_column(rest, text, found.inputs.ids)
    made = TextReader(text, dict.fromkeys(rest.formats, "text"), getattr(reader, "id", None))
    return replace(found, inputs=texts, reader=made)


def text_folder_examples(folder: Path) -> Examples:
    """Text files in a folder for each class; raises MetatlError as `read_class_folder`."""
    found = read_class_folder(folder, TEXTS)
    return found.examples(folder, TextReader(), of_files(found.files))

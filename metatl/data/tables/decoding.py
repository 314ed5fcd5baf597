"""Bytes of a file to text."""

from __future__ import annotations

import codecs
from pathlib import Path

from metatl.data.bounds import check_text
from metatl.opening import reading
from metatl.types import MetatlError

_KINDS = {
    b"PK\x03\x04": "a zip file or an Excel workbook: save its sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save its sheet as CSV",
    b"\x1f\x8b": "packed by gzip: unpack it first",
    b"SQLite": "a database: export the table as CSV",
    b"%PDF": "a PDF: export the table as CSV",
}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = frozenset(map(chr, range(32))) - {*"\t\n\r\x0b\x0c\x1b\x1f"}


def read_bytes(path: Path) -> bytes:
    """The file's content; MetatlError where it is not there, empty, or too large for this machine."""
    try:
        with reading(path) as file:
            check_text(path)
            content = file.read()
    except FileNotFoundError as error:
        raise MetatlError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise MetatlError(f"{path} is a folder; name a file: CSV, TSV, Parquet or npz") from error
    except (OSError, ValueError) as error:
        raise MetatlError(f"{path} cannot be read: {error}") from error
    if not content.strip():
        raise MetatlError(f"{path} is empty; a table has a line with the names of its columns, and rows")
    return content


def decoded(content: bytes, path: Path) -> tuple[str, str]:
    """The text, and a note where its encoding was a guess; MetatlError for what is no text."""
    for front, said in _KINDS.items():
        if content.startswith(front):
            raise MetatlError(f"{path} is {said}")
    coding, note = _encoding(content), ""
    try:
        text = content.decode(coding)
    except UnicodeDecodeError as error:
        if coding != "utf-8":
            raise MetatlError(f"{path} is damaged: it is no {coding} ({error.reason})") from error
        line = content.count(b"\n", 0, error.start) + 1
        text = content.decode("latin-1")
        note = f"{path} is not UTF-8 (line {line}), read as Latin-1; if letters are wrong, save it as UTF-8"
    if bad := next((c for c in text[: 1 << 16] if c in _CONTROL), None):
        line = text.count("\n", 0, text.index(bad)) + 1
        raise MetatlError(f"{path} is no text (line {line} has the byte {ord(bad)}); name a CSV or TSV file")
    return text, note


def _encoding(content: bytes) -> str:
    """By the mark in front; without one UTF-16 where every other byte of the beginning is mostly 0."""
    for mark, coding in _MARKS:
        if content.startswith(mark):
            return coding
    front = content[:512]
    half = max(1, len(front) // 2)
    for offset, coding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if front[offset::2].count(0) > 0.8 * half and not front[1 - offset :: 2].count(0):
            return coding
    return "utf-8"

"""Reading and writing transfers, their differences, checkpoints and reports.

Tensors are kept as safetensors (no pickle, nothing executed on load), with a format version and a checksum of
their bytes in the header. Every file is written beside its place, synced, and renamed; the one before stays
until then.
"""

from metatl.lab.store.content import fingerprint, remove_tree, stamp
from metatl.lab.store.delta import Precision, apply_delta, load_delta, save_delta
from metatl.lab.store.files import (
    DamagedError,
    read_bytes,
    read_json,
    read_text,
    refuse_newer,
    remove,
    write_atomic,
    write_json,
    write_text,
    write_there,
)
from metatl.lab.store.folders import locked, make_folder
from metatl.lab.store.kept import given, keep, kept, path_of, placed, renamed, strings, words
from metatl.lab.store.owner import not_own, owner, rows_of
from metatl.lab.store.peft import save_peft
from metatl.lab.store.reports import load_report, save_report
from metatl.lab.store.tensors import load_checkpoint, load_transfer, save_checkpoint, save_transfer

__all__ = [
    "DamagedError",
    "Precision",
    "apply_delta",
    "fingerprint",
    "given",
    "keep",
    "kept",
    "load_checkpoint",
    "load_delta",
    "load_report",
    "load_transfer",
    "locked",
    "make_folder",
    "not_own",
    "owner",
    "path_of",
    "placed",
    "read_bytes",
    "read_json",
    "read_text",
    "refuse_newer",
    "remove",
    "remove_tree",
    "renamed",
    "rows_of",
    "save_checkpoint",
    "save_delta",
    "save_peft",
    "save_report",
    "save_transfer",
    "stamp",
    "strings",
    "words",
    "write_atomic",
    "write_json",
    "write_text",
    "write_there",
]

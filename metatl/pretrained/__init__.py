"""Pre-trained nets by name, each with its preparation of pictures or texts; nothing is downloaded."""

from metatl.pretrained.embedding import embedded, name_vectors
from metatl.pretrained.nets import pretrained
from metatl.pretrained.preparation import Preparation
from metatl.pretrained.pretrained import AnyPreparation, Pretrained, prepared_by
from metatl.pretrained.recipes import DEFAULT, known, rebuild
from metatl.pretrained.text import DEFAULT as DEFAULT_TEXT
from metatl.pretrained.text_preparation import TextPreparation

__all__ = [
    "DEFAULT",
    "DEFAULT_TEXT",
    "AnyPreparation",
    "Preparation",
    "Pretrained",
    "TextPreparation",
    "embedded",
    "known",
    "name_vectors",
    "prepared_by",
    "pretrained",
    "rebuild",
]

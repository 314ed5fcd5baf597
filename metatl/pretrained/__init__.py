"""Pre-trained nets by name, each with its preparation of pictures or texts; nothing is downloaded."""

from metatl.language import DEFAULT as DEFAULT_TEXT
from metatl.language.preparation import TextPreparation
from metatl.pretrained.embedding import embedded, name_vectors
from metatl.pretrained.nets import pretrained
from metatl.pretrained.preparation import Preparation
from metatl.pretrained.pretrained import AnyPreparation, Pretrained
from metatl.pretrained.recipes import DEFAULT, known, rebuild

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
    "pretrained",
    "rebuild",
]

"""Pre-trained nets by name, each with its preparation of pictures; nothing is downloaded."""

from metatl.pretrained.nets import Pretrained, pretrained
from metatl.pretrained.preparation import Preparation
from metatl.pretrained.recipes import DEFAULT, known, rebuild

__all__ = ["DEFAULT", "Preparation", "Pretrained", "known", "pretrained", "rebuild"]

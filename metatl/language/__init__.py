"""Language models as nets of sentences, from a package or a folder; no hub is asked and no code is run."""

from metatl.language.extra import DEFAULT, FOLDER
from metatl.language.folder import TextNet, preparation_of, text_net
from metatl.language.preparation import TextPreparation
from metatl.language.sentence_net import PAD, SentenceNet, rebuilt

__all__ = [
    "DEFAULT",
    "FOLDER",
    "PAD",
    "SentenceNet",
    "TextNet",
    "TextPreparation",
    "preparation_of",
    "rebuilt",
    "text_net",
]

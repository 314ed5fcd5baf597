"""Views: the rows of a step as they might also have looked."""

from metatl.views.colour import Colour
from metatl.views.crop import Crop
from metatl.views.cut_mix import CutMix
from metatl.views.flip import Flip
from metatl.views.mask_columns import MaskColumns
from metatl.views.mixup import Mixup
from metatl.views.view import View, check_views, viewed
from metatl.views.word_dropout import WordDropout

__all__ = [
    "Colour",
    "Crop",
    "CutMix",
    "Flip",
    "MaskColumns",
    "Mixup",
    "View",
    "WordDropout",
    "check_views",
    "viewed",
]

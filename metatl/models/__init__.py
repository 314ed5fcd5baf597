"""Models: plain modules; each takes (shape, outputs, ...)."""

from metatl.models.branching_trunk import BranchingTrunk
from metatl.models.cnn import CNN
from metatl.models.conv1d import Conv1d
from metatl.models.conv2d import Conv2d
from metatl.models.conv4 import Conv4
from metatl.models.coupled_nets import CoupledNets
from metatl.models.cross_stitch import CrossStitch
from metatl.models.factory import Factory
from metatl.models.in_context_transformer import InContextTransformer
from metatl.models.lenet import LeNet
from metatl.models.masked_trunk import MaskedTrunk
from metatl.models.mlp import MLP
from metatl.models.module_grid import ModuleGrid
from metatl.models.neural_process import NeuralProcess
from metatl.models.patch_decoder import PatchDecoder
from metatl.models.resnet12 import ResNet12
from metatl.models.sentence_encoder import SentenceEncoder
from metatl.models.shared_trunk import SharedTrunk

__all__ = [
    "CNN",
    "MLP",
    "BranchingTrunk",
    "Conv1d",
    "Conv2d",
    "Conv4",
    "CoupledNets",
    "CrossStitch",
    "Factory",
    "InContextTransformer",
    "LeNet",
    "MaskedTrunk",
    "ModuleGrid",
    "NeuralProcess",
    "PatchDecoder",
    "ResNet12",
    "SentenceEncoder",
    "SharedTrunk",
]

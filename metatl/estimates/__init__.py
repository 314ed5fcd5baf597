"""How well what was learned on one task serves another, told from a few labelled rows without a fit."""

from metatl.estimates.estimate import Pair, TransferabilityEstimate
from metatl.estimates.h_score import HScore, h_score
from metatl.estimates.leep import LEEP, NCE, leep, nce
from metatl.estimates.logme import LogME, logme
from metatl.estimates.nearest import NearestNeighbour, nearest_neighbour
from metatl.estimates.order import ordered
from metatl.estimates.parc import PARC, parc
from metatl.estimates.task2vec import Task2Vec, filter_fisher, task2vec_distance

__all__ = [
    "LEEP",
    "NCE",
    "PARC",
    "HScore",
    "LogME",
    "NearestNeighbour",
    "Pair",
    "Task2Vec",
    "TransferabilityEstimate",
    "filter_fisher",
    "h_score",
    "leep",
    "logme",
    "nce",
    "nearest_neighbour",
    "ordered",
    "parc",
    "task2vec_distance",
]

"""What was published on Omniglot (Vinyals split) by the MAML family: accuracies and schedules.

Finn, Abbeel & Levine 2017 (maml), Nichol, Achiam & Schulman 2018 (fomaml, reptile), Raghu et al. 2020 (anil),
Li et al. 2017 (meta-sgd), Snell, Swersky & Zemel 2017 (protonet). As many queries a class as shots, but for
Reptile (one) and ProtoNet, whose evaluation does not depend on it.
"""

from __future__ import annotations

SETTINGS = ("5w1s", "5w5s", "20w1s", "20w5s")
_FINN = {"5": (60_000, 32), "20": (60_000, 16)}
SCHEDULES: dict[str, dict[str, tuple[int, int]]] = {
    **dict.fromkeys(("maml", "fomaml", "anil", "meta-sgd", "proto-maml"), _FINN),
    "reptile": {"5": (100_000, 5), "20": (200_000, 5)},
}
"""Published iterations and tasks in each, by way. What descends from MAML is held against MAML's."""


def _values(*values: float) -> dict[str, tuple[float, float | None]]:
    return {setting: (value, None) for setting, value in zip(SETTINGS, values, strict=True)}


PUBLISHED: dict[tuple[str, str], dict[str, tuple[float, float | None]]] = {
    ("maml", "transductive"): {
        "5w1s": (98.7, 0.4),
        "5w5s": (99.9, 0.1),
        "20w1s": (95.8, 0.3),
        "20w5s": (98.9, 0.2),
    },
    ("fomaml", "transductive"): _values(98.3, 99.2, 89.4, 97.9),
    ("anil", "transductive"): {"20w1s": (96.2, None), "20w5s": (98.0, None)},
    ("meta-sgd", "transductive"): {"5w1s": (99.53, 0.26), "5w5s": (99.93, 0.09)},
    ("reptile", "transductive"): _values(97.68, 99.48, 89.43, 97.12),
    ("reptile", "inductive"): _values(95.39, 98.90, 88.14, 96.65),
    ("protonet", "inductive"): _values(98.8, 99.7, 96.0, 98.9),
}
"""Accuracy and half of its 95 % interval, where one is known, by method and evaluation."""

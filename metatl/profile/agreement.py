"""The engines under test give one gradient: checked in float64 before anything is timed."""

from __future__ import annotations

from collections.abc import Sequence

from metatl.engines import Engine, Loop
from metatl.profile.engines import engine_of
from metatl.profile.workloads import Setting
from metatl.types import MetatlError, Params

TOLERANCE = 1e-8
"""Of the largest gradient of a weight."""


def disagreement(setting: Setting, names: Sequence[str], tasks: int = 3) -> float:
    """The largest difference of any engine's outer gradient from the loop's, relative to its largest entry.

    Raises MetatlError naming engine and weight when it is above the tolerance.
    """
    small = setting.first(min(tasks, setting.tasks)).in_double()
    reference = _gradient(small, Loop())
    largest = max(float(g.abs().max()) for g in reference.values())
    worst = 0.0
    for name in names:
        found = _gradient(small, engine_of(name))
        for weight, g in reference.items():
            off = float((found[weight] - g).abs().max()) / largest
            worst = max(worst, off)
            if not off <= TOLERANCE:
                raise MetatlError(
                    f"engine {name} disagrees with the loop: the gradient of '{weight}' is off by "
                    f"{off:.1e} of the largest one in float64 ({TOLERANCE:.0e} is allowed); nothing was timed"
                )
    return worst


def able(setting: Setting, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The engines that can express this setting, and why the others cannot."""
    small, fit, notes = setting.first(1), list[str](), list[str]()
    for name in names:
        try:
            _gradient(small, engine_of(name))
            fit.append(name)
        except MetatlError as error:
            notes.append(f"left out: {error}")
    return fit, notes


def _gradient(setting: Setting, engine: Engine) -> Params:
    loss = setting.learner.loss(setting.net, setting.state)
    return engine.grad(loss, loss.variables, setting.episodes, setting.learner.steps)[0]

"""What scores are called in a run's curves."""

from __future__ import annotations

from metatl.lab.run.prepare import Run


def kind(run: Run) -> str:
    """What the score of a training step is, as curves call it."""
    names = {"classification": "accuracy", "regression": "mse", "multilabel": "averaged_precision"}
    return names[run.data.kind]


def judged(run: Run) -> str:
    """What the score of its evaluation is, as curves call it."""
    named = run.experiment.evaluation.score
    return kind(run) if named is None else named.replace(" ", "_")

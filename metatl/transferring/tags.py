"""What scikit-learn is told of the estimators; asked for by scikit-learn alone."""

from __future__ import annotations

from typing import Any, Literal


def tags(kind: Literal["classifier", "regressor"]) -> Any:
    """Classes, several labels or real values, of dense rows whose values may be words, or missing."""
    from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

    return Tags(
        estimator_type=kind,
        target_tags=TargetTags(required=True, multi_output=True),
        classifier_tags=ClassifierTags(multi_label=True) if kind == "classifier" else None,
        regressor_tags=RegressorTags() if kind == "regressor" else None,
        input_tags=InputTags(three_d_array=True, categorical=True, string=True, allow_nan=True),
    )

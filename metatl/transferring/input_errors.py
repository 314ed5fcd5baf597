"""Mistakes in what an estimator is given, as scikit-learn expects them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from metatl.types import MetatlError


class InputError(MetatlError, ValueError):
    """A mistake in what an estimator was given, for code that expects scikit-learn's ValueError."""


@contextmanager
def as_value_error() -> Generator[None]:
    """Mistakes as InputError."""
    try:
        yield
    except ValueError:
        raise
    except MetatlError as error:
        raise InputError(*error.args) from error


def not_fitted(said: str) -> MetatlError:
    """The error that scikit-learn knows, where that is there."""
    try:
        from sklearn.exceptions import NotFittedError
    except ImportError:
        return InputError(said)
    return type("NotFitted", (InputError, NotFittedError), {})(said)

"""The picture of both domains after adaptation shows what CORAL makes of the source."""

from __future__ import annotations

import numpy as np

from metatl.lab import render
from metatl.shifts.picture import adapted, picture

REPORT = {
    "source": {"name": "here"},
    "target": {"name": "there"},
    "labels": [{"class": "a", "source": 0.5, "target": None, "estimated": 0.4}],
    "one_of_them": False,
    "shifts": ["covariate"],
    "setting": "transductive",
    "tests": [{"question": "P(X)", "p_holm": 0.01}],
}


def test_the_source_gets_the_target_s_moments_and_the_target_stays() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 3)) @ np.diag([3.0, 1.0, 0.2]), draw.normal([5.0, 0, 0], size=(200, 3))
    source, target = adapted(x)
    assert target is x[1]
    assert np.allclose(source.mean(0), target.mean(0))
    assert (
        np.abs(np.cov(source.T) - np.cov(target.T)).max()
        < 0.1 * np.abs(np.cov(x[0].T) - np.cov(x[1].T)).max()
    )
    alike, same = adapted((x[0], x[0]))
    assert np.allclose(alike, same)


def test_domains_of_one_column_or_none_are_drawn() -> None:
    draw = np.random.default_rng(0)
    for x in (
        None,
        (np.ones((30, 0)), np.ones((20, 0))),
        (draw.normal(size=(30, 1)), draw.normal(size=(20, 1))),
        (np.ones((30, 2)), np.ones((20, 2))),
    ):
        assert len(render.png(picture(REPORT, x))) > 1000

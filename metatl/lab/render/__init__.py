"""Tables as text; plots and pictures as matplotlib figures. Nothing here writes a file or touches pyplot."""

from metatl.lab.render.calibrated import calibrated_console, calibrated_markdown
from metatl.lab.render.ends import at_an_end
from metatl.lab.render.figure import picture, png
from metatl.lab.render.groups import groups_console, groups_markdown
from metatl.lab.render.pictures import depth_profile, episode_grid, filter_map, guide_histogram
from metatl.lab.render.plots import benchmark_plot, learning_curves
from metatl.lab.render.tables import console, markdown

__all__ = [
    "at_an_end",
    "benchmark_plot",
    "calibrated_console",
    "calibrated_markdown",
    "console",
    "depth_profile",
    "episode_grid",
    "filter_map",
    "groups_console",
    "groups_markdown",
    "guide_histogram",
    "learning_curves",
    "markdown",
    "picture",
    "png",
]

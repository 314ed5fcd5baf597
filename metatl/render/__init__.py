"""Tables as text; plots and pictures as matplotlib figures. Nothing here writes a file or touches pyplot."""

from metatl.render.ends import at_an_end
from metatl.render.figure import picture, png
from metatl.render.pictures import depth_profile, episode_grid, filter_map, guide_histogram
from metatl.render.plots import benchmark_plot, learning_curves
from metatl.render.tables import console, markdown

__all__ = [
    "at_an_end",
    "benchmark_plot",
    "console",
    "depth_profile",
    "episode_grid",
    "filter_map",
    "guide_histogram",
    "learning_curves",
    "markdown",
    "picture",
    "png",
]

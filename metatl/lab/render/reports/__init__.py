"""What report.html says of a run and of a benchmark: sections made from what lies in their folders."""

from metatl.lab.render.reports.benchmark import benchmark_page
from metatl.lab.render.reports.origin import command_words
from metatl.lab.render.reports.predictions import MOST, Mistake, confusion, mistakes
from metatl.lab.render.reports.run import RunFiles, run_page

__all__ = [
    "MOST",
    "Mistake",
    "RunFiles",
    "benchmark_page",
    "command_words",
    "confusion",
    "mistakes",
    "run_page",
]

"""Profiling: check that the engines give one gradient, then time whole meta-iterations side by side."""

from metatl.profile.command import command

__all__ = ["command"]

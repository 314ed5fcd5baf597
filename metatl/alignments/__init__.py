"""Projections that bring unlike inputs together: paired rows, or rows that are labelled on both sides."""

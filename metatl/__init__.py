"""Learn what to carry over from old tasks to new ones, and measure whether it helps."""

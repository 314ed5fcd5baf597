"""`metatl multitask`: several targets of the same rows, learned together and each alone."""

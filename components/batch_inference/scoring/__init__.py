"""Models that score batches, how large those are, and which rows of a failing one are bad."""

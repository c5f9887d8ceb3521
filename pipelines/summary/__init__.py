"""What a run achieved: metrics, blessings, pushes and real predictions, read back from what it left behind."""

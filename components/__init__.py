"""Components of ours, one folder each; none knows another."""

"""One script a claim; each prints its figures as JSON."""

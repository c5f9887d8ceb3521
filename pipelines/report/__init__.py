"""A run as one page: what it did, with what, and what came of it."""

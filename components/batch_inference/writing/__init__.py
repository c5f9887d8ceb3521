"""Predictions → files, each format in a module of its own; whole blocks at a time."""

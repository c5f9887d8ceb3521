"""Batch inference as Beam transforms."""

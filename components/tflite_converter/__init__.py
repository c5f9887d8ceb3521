"""Turns a SavedModel into LiteRT flatbuffers, measures each against it, and blesses those within tolerance."""

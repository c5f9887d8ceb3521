"""Scores files of any size with a SavedModel, on Beam: rows in are results plus errors, in order, whatever breaks."""

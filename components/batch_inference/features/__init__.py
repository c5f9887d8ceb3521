"""Columns of the input → inputs of the signature: which feeds which, and how their values become arrays."""

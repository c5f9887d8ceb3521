"""Publishes a blessed model as a new version in a TF Serving base path: completely or not at all."""

"""Clusters: who the tasks are, and on one machine their processes. Imports no TensorFlow."""

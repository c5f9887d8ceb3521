"""The models that were pushed: find, promote, roll back, verify, describe, serve. Never imports TensorFlow."""

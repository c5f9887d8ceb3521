"""The Trainer: from examples and a model_fn to a SavedModel that was checked to serve."""

"""``penstock convert``: a SavedModel to flatbuffers without a pipeline, and what is in a flatbuffer."""

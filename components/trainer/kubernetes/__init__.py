"""A cluster's processes as pods of a training job on Kubernetes. Imports neither TensorFlow nor TFX."""

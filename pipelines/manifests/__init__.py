"""Pushed models as manifests for Kubernetes: text alone, no cluster is asked."""

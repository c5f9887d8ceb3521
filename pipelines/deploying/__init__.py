"""Handing a compiled pipeline to Kubeflow Pipelines or Vertex AI, following its runs, and stopping them.

``kfp`` and ``google.cloud.aiplatform`` are imported only where a server is asked.
"""
